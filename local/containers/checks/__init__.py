"""Checks of ``docker-compose.yaml`` in the engine, by purpose.

Each check takes the running system (:mod:`local.containers.checks.system`) and returns what was seen. It raises an
error if the documents promise something else.
"""
