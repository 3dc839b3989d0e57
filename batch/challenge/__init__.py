"""Comparison of challenger and production on the comments of the lake; the worker takes no part."""
