"""What the tasks of the project's DAGs import; imported once by the process that runs of DAGs are forked from.

Importing starts no thread and opens no connection: a fork inherits neither.
"""

from __future__ import annotations

import batch.archive
import batch.challenge.run
import batch.drift.steps
import batch.promotion.steps
import batch.reconcile.nightly
import batch.rescore.steps
import batch.retrain.steps  # noqa: F401
from moderation.adapters.registry import Registry
from moderation.text import Lexicon

Registry("http://127.0.0.1:1", "nobody", b"k" * 32)  # imports what MLflow imports when a client is made
Lexicon()
