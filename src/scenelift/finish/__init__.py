"""Finish a decoder's mesh between reconstruct and compose, so that viewers and printers like it.

`stage.py` holds the recipe; `docs/finish.md` explains it.
"""
