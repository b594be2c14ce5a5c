"""Segmentation with small models that ship inside ordinary packages: no gate, no GPU."""
