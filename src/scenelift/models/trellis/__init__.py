"""TRELLIS-image-large in plain PyTorch: an object's picture on black in, its shape out.

What SAM 3D Objects shares with it is in `models.slat`; here is what is TRELLIS's own: how it
looks at pictures, its first flow, and its files (https://arxiv.org/abs/2412.01506).
"""
