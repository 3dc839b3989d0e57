"""Scores of decided comments by another model version; nothing that serves is changed."""
