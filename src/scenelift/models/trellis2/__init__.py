"""TRELLIS.2-4B in plain PyTorch: from an object's picture to its surface and materials.

What it shares with TRELLIS and SAM 3D Objects is theirs (`slat`, `trellis`, `layers`); here are the
flow that all its stages use, its decoders, and the files (https://arxiv.org/abs/2512.14692).
"""
