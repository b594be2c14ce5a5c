"""SAM 3D Objects in plain PyTorch: from one object's pixels and points to its shape and pose.

The modules carry the parameter names of the published checkpoints, so a state dict loads as it is.
Points are row vectors in PyTorch3D axes (x left, y up, z forward) and objects are z-up in here;
`pose` converts to the frames of the rest of the package.
"""
