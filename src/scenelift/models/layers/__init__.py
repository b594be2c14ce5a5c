"""Building blocks of the transformers, dense and sparse: no model and no weights in here.

Parameters carry the names of the published checkpoints (DINOv2, TRELLIS, SAM 3D Objects, MoGe).
"""
