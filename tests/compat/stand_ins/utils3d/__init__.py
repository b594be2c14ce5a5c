"""A small `utils3d` with the newer library's signatures, results and quirks, for the tests.

Written from the interface of https://github.com/EasternJournalist/utils3d; the real one is not on
PyPI and its rasteriser needs a GPU.
"""
