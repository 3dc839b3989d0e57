"""Benchmark of the worker against other designs of a stream processor on the same topic."""
