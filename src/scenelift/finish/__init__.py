"""Between reconstruct and compose: a decoder's mesh becomes one that viewers and printers like."""
