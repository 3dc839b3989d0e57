"""Imports of DAG tasks, loaded once by the process from which runs are forked.

These imports start no thread and open no connection, because a fork inherits neither.
"""

from __future__ import annotations

import batch.archive.tasks
import batch.challenge.tasks
import batch.drift.tasks
import batch.promotion.tasks
import batch.reconcile.tasks
import batch.rescore.tasks
import batch.retrain.tasks  # noqa: F401
from moderation.adapters.registry import Registry
from moderation.adapters.registry.keys import CertificateKeys, KeyRing
from moderation.text import Lexicon

Registry(
    "http://127.0.0.1:1", "nobody", CertificateKeys(KeyRing())
)  # imports what MLflow imports when a client is made
Lexicon()
