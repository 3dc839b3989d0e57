"""Reconciliation: a day recomputed from the lake, compared with what the speed layer says, every gap with a cause."""
