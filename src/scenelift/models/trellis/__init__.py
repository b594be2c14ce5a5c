"""TRELLIS-image-large in plain PyTorch: from an object's picture on black to its shape.

What SAM 3D Objects shares with it is in `models.slat`; here is what is TRELLIS's own: how it
looks at pictures, its first flow, and its files (https://arxiv.org/abs/2412.01506).
"""
