"""The networks: the published ones in plain PyTorch, what they share, and the embedded heads."""
