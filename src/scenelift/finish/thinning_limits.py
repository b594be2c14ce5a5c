"""Limits and weights of edge collapse, shared by the PyTorch and Triton implementations."""

PASSES = 4  # at choosing edges in a round
# What a collapse costs besides its distance to the planes: so much of the edge's squared length.
SHORT = 1e-4
# How firmly a new vertex is held to the middle of its edge where the planes leave it free.
HOLD = 1e-3
TURN = 0.2  # cosine: no face may turn further
SLIM = 0.02  # twice the area over the longest squared edge: no face may become slimmer
