"""Between reconstruct and compose: a decoder's mesh becomes one that viewers and printers like.

`stage.py` holds the recipe; `docs/finish.md` explains it.
"""
