"""Comparison of this model with the usual ones, on the same folds."""
