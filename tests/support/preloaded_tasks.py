"""What the tasks of the project's DAGs import; imported once by the process that runs of DAGs are forked from.

Importing starts no thread and opens no connection: a fork inherits neither.
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
from moderation.text import Lexicon

Registry("http://127.0.0.1:1", "nobody", b"k" * 32)  # imports what MLflow imports when a client is made
Lexicon()
