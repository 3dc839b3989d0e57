"""``python -m tests.support.crashing_worker WORD …``: a worker that crashes at every text with a word.

With ``copy:WORD`` it crashes when a text is encoded for COPY; with ``topics:WORD`` when a decision whose comment id
has the word is encoded for the topics. ``… crashing_worker probe WORD`` is the child process of the probe; it crashes
in the same way.

The thread raises the signal itself: a signal to the process may reach another thread later, and until then this one
stores its batch.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Any

from moderation.adapters.sql import copy_format
from moderation.ledger import DecisionRow, Versions
from moderation.scoring import Kernel
from moderation.settings import load_settings
from stream.__main__ import new_worker
from stream.logs import faust_level
from stream.worker import probe, publisher
from stream.worker.messages import Encoded


def end_for(word: str) -> None:
    """Make this process crash at a word: in its kernels, or at the point that ``copy:`` or ``topics:`` names."""
    stage, _, rest = word.rpartition(":")
    {"": _end_in_kernel, "copy": _end_in_copy, "topics": _end_in_topics}[stage](rest)


def _end_in_copy(word: str) -> None:
    text = copy_format.text

    def crashing(value: str) -> str:
        if word in value:
            signal.raise_signal(signal.SIGSEGV)
        return text(value)

    copy_format.text = crashing


def _end_in_topics(word: str) -> None:
    encode = publisher.encode_decision

    def crashing(topic: str, topic_id: str, row: DecisionRow, versions: Versions) -> Encoded:
        if word in row.comment_id:
            signal.raise_signal(signal.SIGSEGV)
        return encode(topic, topic_id, row, versions)

    publisher.encode_decision = crashing


def _end_in_kernel(word: str) -> None:
    """Make every kernel end the process at texts with a word, or hang if the text asks for it."""
    score_many = Kernel.score_many

    def crashing(self: Kernel, texts: Sequence[str]) -> Any:
        for text in texts:
            if word in text:
                while "hang" in text:
                    pass
                signal.raise_signal(signal.SIGSEGV)
        return score_many(self, texts)

    Kernel.score_many = crashing  # type: ignore[method-assign]


if __name__ == "__main__":
    if sys.argv[1] == "probe":
        end_for(sys.argv[2])
        probe.serve()
    else:
        end_for(word := sys.argv.pop(1))
        probe.COMMAND = [sys.executable, "-P", "-m", "tests.support.crashing_worker", "probe", word]
        settings = load_settings()
        sys.argv += ["--loglevel", faust_level(settings.log_level)]
        new_worker(settings).main()
