"""Challenger and production side by side on what the lake holds: a shadow on all traffic, free for the worker."""
