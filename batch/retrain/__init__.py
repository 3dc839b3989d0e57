"""Retraining on the labelled comments of the lake, and the gate for a new version."""
