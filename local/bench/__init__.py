"""Benches: ours beside what one would use otherwise, alternating, in one run. They judge by ratios."""
