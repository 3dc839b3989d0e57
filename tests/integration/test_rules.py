"""Reading rules on a running worker, and recomputation of each offset by its own rules version.

The unit tests of the contracts have every kind of record; these have the way through ledger, topics, lake and
reconciliation.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from local.oracle import read_topic
from moderation.adapters.kafka.connection import kafka_of
from moderation.contracts import Comment, Repair, to_json
from moderation.datasets.synthetic.breakage import BREAKAGES, REPAIRABLE
from tests.support.reconcile_day import DAY, DAY_US, MINUTE_US, DayUnderTest, comments
from tests.support.workers import Record, SpeedLayerUnderTest


@pytest.fixture
def day(layer: SpeedLayerUnderTest, tmp_path: Path) -> DayUnderTest:
    return DayUnderTest(layer, tmp_path)


def odd(start: int, minute: float = 1) -> list[Record]:
    """Return a record of every kind, repairable or not, each with a unique id, for one partition."""
    found = []
    for number, (name, broken) in enumerate({**REPAIRABLE, **BREAKAGES}.items(), start):
        comment = Comment(f"odd{number}", "science", f"A comment, {name}.", DAY_US + int(minute * MINUTE_US), "a", "p")
        found.append(("one key", broken(comment)))
    return found


def without_community(number: int) -> Record:
    fields = json.loads(to_json(Comment(f"nowhere{number}", "science", "A calm comment.", DAY_US + MINUTE_US)))
    del fields["community"]
    return "one key", b"\xef\xbb\xbf" + json.dumps(fields).encode()


@pytest.mark.budget(30)
def test_repaired_records_are_decided_with_their_repairs_and_reconcile(day: DayUnderTest) -> None:
    worker = day.layer.start_worker()
    in_ms = json.dumps({"comment_id": "ms", "community": "x", "body": "b", "event_time_us": DAY_US // 1_000}).encode()
    day.send([*comments(range(50)), *odd(0), without_community(1), ("ms", in_ms), *comments(range(50, 100))])
    assert worker.poll() is None
    rows = day.execute(
        "SELECT comment_id, verdict, repairs, community FROM speed.decisions WHERE topic_id = %s", day.layer.topic_id
    )
    found = {comment_id: (verdict, repairs, community) for comment_id, verdict, repairs, community in rows}
    assert len(found) == 100 + len(REPAIRABLE) + 1
    repairs = {name: found[f"odd{number}"][1] for number, name in enumerate(REPAIRABLE)}
    assert repairs == {
        "body too long": "cut",
        "no schema version": None,
        "NUL character": "nul",
        "unknown field": None,
        "lone surrogate": "surrogate",
        "invalid UTF-8": "invalid_utf8",
        "author is an object": "optional_field",
    }
    for number, name in enumerate(REPAIRABLE):
        if repairs[name] and Repair(repairs[name]).changes_text:
            assert found[f"odd{number}"][0] != "allow", name
    assert found["nowhere1"] == ("allow", "byte_order_mark,community", "unknown")
    letters = dict(
        day.execute(
            "SELECT reason, max(detail) FROM speed.dead_letters WHERE topic_id = %s GROUP BY 1", day.layer.topic_id
        )
    )
    assert "it looks like milliseconds" in letters["past_dated"]
    assert day.layer.comparison().is_exact
    published = [
        json.loads(value)
        for value in read_topic(kafka_of(day.settings), f"{day.settings.topic_prefix}decisions").values()
    ]
    assert {each["comment_id"]: ",".join(each.get("repairs", [])) or None for each in published} == {
        comment_id: stored for comment_id, (_, stored, _) in found.items()
    }
    day.archive()
    report = day.reconcile()
    assert not any(report.defects.values())
    assert not any(report.causes.values())
    assert report.batch_comments == report.speed_comments == len(found)
    own = "WHERE repairs = 'cut' AND topic_id = %s"
    day.execute(f"UPDATE speed.decisions SET repairs = NULL {own}", day.layer.topic_id)
    assert day.reconcile().defects["unexplained"] == 1


@pytest.mark.long
@pytest.mark.budget(60)
def test_each_offset_is_recomputed_by_its_own_rules_version(day: DayUnderTest) -> None:
    """If the record with an unknown field were read, it would close panes and make later comments late."""
    ahead = json.dumps(
        {**json.loads(to_json(Comment("ahead", "science", "Nice.", DAY_US + 300 * MINUTE_US))), "upvotes": 7}
    ).encode()
    first = day.layer.start_worker(("tests.support.first_rules_worker",))
    day.send([("one key", ahead), *[("one key", value) for _, value in comments(range(100, 200))], *odd(0)])
    day.archive()  # by the newest rules: the file's largest event time is that of the record that was refused
    day.send([("one key", value) for _, value in comments(range(200, 230))])
    first.kill()
    first.wait(30)
    day.layer.start_worker()
    day.send([*odd(100, minute=22), *[("one key", value) for _, value in comments(range(230, 300))]])
    day.archive()
    served = day.execute(
        "SELECT rules_version, count(*) FROM speed.served WHERE topic_id = %s GROUP BY 1 ORDER BY 1", day.layer.topic_id
    )
    assert [version for version, _ in served] == [1, 2]
    decided = Counter(
        comment_id.rstrip("0123456789")
        for (comment_id,) in day.execute(
            "SELECT comment_id FROM speed.decisions WHERE topic_id = %s", day.layer.topic_id
        )
    )
    assert decided == {"c": 200, "odd": len(REPAIRABLE)}
    assert day.layer.comparison().is_exact
    report = day.reconcile(DAY)
    assert not any(report.defects.values())
    assert not any(report.causes.values())
    assert report.batch_comments == report.speed_comments == 200 + len(REPAIRABLE)
