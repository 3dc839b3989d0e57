"""Drift check: compare a day's comments with the training data of the production model."""
