"""Quality figures on photos with known truth: `python -m benchmarks.quality`."""
