"""Measurements of scenelift: quality on scenes with known truth. Run from the repository root."""
