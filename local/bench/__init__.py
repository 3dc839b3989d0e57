"""Benchmarks against baseline designs; compare ratios, not absolutes."""
