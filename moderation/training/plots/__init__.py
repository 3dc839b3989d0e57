"""Plots of training, drift and comparison, with Matplotlib."""
