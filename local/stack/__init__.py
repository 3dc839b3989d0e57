"""Servers and worker on one machine without Docker: `moderation up`, `down`, `status`."""
