"""Sizes and costs for a rate of comments, computed from docs/evidence."""
