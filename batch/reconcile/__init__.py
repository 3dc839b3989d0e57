"""Reconciliation: recompute a day from the lake, compare it with the speed layer, and explain each difference."""
