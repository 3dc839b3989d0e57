"""Benchmark of the model against baseline models, on the same folds."""
