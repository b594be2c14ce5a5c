"""Structured latents: what TRELLIS and SAM 3D Objects share, in plain PyTorch.

A coarse cube becomes occupied voxels, a flow puts eight numbers on each of them, and decoders turn
those into splats and a mesh. `models.trellis` and `models.sam3d` hold what is each model's
own. Objects are z-up in here, inside [−0.5, 0.5]³; parameters carry their published names.
"""
