"""MoGe, version 1: a photo in, a point for each pixel and the camera's focal length out.

https://arxiv.org/abs/2410.19115. In here cameras have x right, y down, z forward.
"""
