"""Imports of workers, archivers and reconcilers, loaded once by the fork server.

These imports start no thread and open no connection, because a fork inherits neither.
"""

from __future__ import annotations

import threading

import uvloop  # noqa: F401

import stream.__main__
import stream.source.cli  # noqa: F401
from moderation.adapters.registry import Registry
from moderation.adapters.registry.keys import CertificateKeys, KeyRing
from moderation.text import Lexicon

Registry(
    "http://127.0.0.1:1", "nobody", CertificateKeys(KeyRing())
)  # imports what MLflow imports when a client is made
Lexicon()
assert threading.active_count() == 1, threading.enumerate()
