"""The servers and the worker on one machine, without Docker: `moderation up`, `down`, `status`."""
