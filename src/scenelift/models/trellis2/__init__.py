"""TRELLIS.2-4B in plain PyTorch: an object's picture in, its surface and materials out.

What it shares with TRELLIS and SAM 3D Objects is theirs (`slat`, `trellis`, `layers`); here are the
flow that all its stages use, its decoders, and the files (https://arxiv.org/abs/2512.14692).
"""
