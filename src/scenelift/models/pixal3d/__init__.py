"""Pixal3D in plain PyTorch: TRELLIS.2's networks, with each token's pixel as a condition.

So objects come out as the photo's camera sees them, and there is no pose to search for. Here is
what that takes: where tokens fall in the picture, and finer features to read there.
"""
