"""Fetches models that a manifest names by repository and commit, and makes mesh packs of them."""
