"""The child process of the probe handles a record as the worker does, without servers."""

from __future__ import annotations

from typing import Any

import pytest

from moderation.adapters.sql import copy_format
from moderation.contracts import Comment, to_json
from moderation.policy import Policy
from moderation.scoring import Kernel
from stream.worker import decider, probe, publisher
from stream.worker.messages import Record, ServingModel

RECORD = Record(1, 7, 1_700_000_000_000_000, to_json(Comment("c7", "science", "you idiot!!!", 1_699_999_999_000_000)))


class Reached(Exception):
    """The step under test was reached."""


@pytest.mark.parametrize(
    ("module", "step"),
    [(probe, "read_record"), (decider, "judge"), (copy_format, "text"), (publisher, "encode_decision")],
)
def test_every_step_of_a_record_is_rehearsed(
    module: object, step: str, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ServingModel(kernel, Policy(1, 500_000, ()), "1")
    probe.rehearse([RECORD], model)

    def reached(*arguments: Any) -> None:
        raise Reached

    monkeypatch.setattr(module, step, reached)
    with pytest.raises(Reached):
        probe.rehearse([RECORD], model)
