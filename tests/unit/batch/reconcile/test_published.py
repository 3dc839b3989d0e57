"""Comparison of published records with the ledger's rows, without servers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from batch.reconcile.published import _place
from batch.reconcile.published_differences import compare_rows
from moderation.adapters.kafka.published_records import (
    alert_value,
    decision_fields,
    decision_value,
    pane_key,
    pane_value,
)
from moderation.adapters.kafka.row_records import PublishedTopic
from moderation.adapters.reconciliation.published_checks import PublishedCheck
from moderation.contracts import Fate, Pane, Verdict
from moderation.ledger import DecisionRow, Versions

TOPIC_ID = "00000000-0000-0000-0000-000000000001"
DECISION = DecisionRow(2, 7, 0, "c7", "science", 5, bytes(32), 3, Verdict.REMOVE, Fate.COUNTED, ["x"])
PANE = Pane("comments", TOPIC_ID, 2, "a b", 300_000_000, 600_000_000, "1", "p", 1, 0, 0, 5)


class Published(NamedTuple):
    """A record or row; the name is that of a pane."""

    pos: int
    digest: bytes = bytes(16)
    must: bool = True
    nth: int = 0
    name: str = ""


def compare(folder: Path, seen: list[Published], expected: list[Published], topic: PublishedTopic) -> PublishedCheck:
    before, after = (
        (("t", 0, each.pos, each.name, each.digest, each.must, each.nth) for each in side) for side in (seen, expected)
    )
    return compare_rows(topic, before, after, folder)


ROWS = [Published(pos) for pos in range(9)]
OTHER = b"o" * 16


@pytest.mark.parametrize(
    ("seen", "expected", "kinds"),
    [
        (ROWS, ROWS, {}),
        (ROWS + ROWS[3:5], ROWS, {}),  # sent again after a crash
        (ROWS[:-2], ROWS, {"unpublished": ["t/0/7", "t/0/8"]}),
        (ROWS[:-2], [*ROWS[:-2], Published(7, must=False), Published(8, must=False)], {}),
        (ROWS, ROWS[1:], {"published_unknown": ["t/0/0"]}),
        ([Published(0, OTHER), *ROWS[1:]], ROWS, {"published_otherwise": ["t/0/0"]}),
        ([Published(0, OTHER), *ROWS], ROWS, {"published_otherwise": ["t/0/0"]}),
        ([*ROWS, Published(8, OTHER)], [*ROWS[:8], Published(8, must=False)], {"published_otherwise": ["t/0/8"]}),
    ],
)
def test_each_difference_of_a_decision_has_its_kind(
    tmp_path: Path, seen: list[Published], expected: list[Published], kinds: dict[str, list[str]]
) -> None:
    check = compare(tmp_path, seen, expected, "decisions")
    assert check.examples == kinds
    assert check.defects == {kind: len(places) for kind, places in kinds.items()}
    assert check.compared == sum(row.must for row in expected)


@pytest.mark.parametrize(
    ("seen", "expected", "defects"),
    [
        ([Published(0, OTHER, nth=3), Published(0, nth=4)], [Published(0)], {}),  # published before a reset
        ([Published(0, nth=3), Published(0, OTHER, nth=4)], [Published(0)], {"published_otherwise": 1}),
        ([Published(0, OTHER)], [Published(0, must=False)], {}),  # not published again yet
        ([Published(0, name="a")], [Published(0, name="b")], {"published_unknown": 1, "unpublished": 1}),
    ],
)
def test_the_last_record_of_a_published_pane_counts(
    tmp_path: Path, seen: list[Published], expected: list[Published], defects: dict[str, int]
) -> None:
    assert compare(tmp_path, seen, expected, "panes").defects == defects


def test_examples_are_bounded(tmp_path: Path) -> None:
    check = compare(tmp_path, [], [Published(pos) for pos in range(25_000)], "alerts")
    assert (check.unpublished, check.examples) == (25_000, {"unpublished": [f"t/0/{pos}" for pos in range(5)]})


def test_records_name_the_row_that_they_are_about() -> None:
    fields = decision_fields("comments", TOPIC_ID, DECISION, Versions("1", "p", "1"))
    for topic, value in (("decisions", decision_value(fields)), ("alerts", alert_value(fields, DECISION))):
        assert _place(topic, b"c7", value) == (TOPIC_ID, 2, 7, "")  # type: ignore[arg-type]
    key = pane_key(PANE)
    assert _place("panes", key, pane_value(PANE)) == (TOPIC_ID, 2, 300_000_000, key.decode())
    assert pane_key(replace(PANE, community="b")) != key


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"nonsense", b"[]", b'{"topic_id": 3}', b"[[[[", b"\xff"),
        b'{"topic_id":"t","partition":0,"offset":0}',
        b'{"topic_id":"00000000-0000-0000-0000-00000000000\\u0000","partition":0,"offset":0}',
        *(
            f'{{"topic_id":"{TOPIC_ID}","partition":{partition},"offset":{offset}}}'.encode()
            for partition, offset in ((-1, 0), ("true", 0), (0, "1.5"), (2**31, 0), (0, 2**63), (0, "null"))
        ),
    ],
)
def test_other_records_name_none(value: bytes) -> None:
    assert _place("decisions", b"", value) is None
    assert _place("alerts", b"", value) is None
    assert _place("panes", value, b"") is None
