"""Bridges to other people's packages, each imported only if that package is installed."""
