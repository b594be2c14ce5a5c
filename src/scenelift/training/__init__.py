"""Training: scenes with known truth, the embedded default's heads, and the loop they share.

`docs/training.md` walks through it. Needs the extra `train` (PyTorch, embreex).
"""
