"""Unreadable records of topic actions: stored once by the archive and shown without their text."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from batch.archive.partition import ArchivePoint
from cli.main import app
from local.stack.attention import attention
from local.stack.worker import settings_environment
from moderation.contracts import Action, ActionKind, to_json
from tests.support.lakes import LakeUnderTest, Record

TIME_US = 1_700_000_000_000_000
SECRET = "a text that quotes a comment"
GOOD = to_json(Action("c1", ActionKind.REMOVE, "m1", "rude", TIME_US, 1.0))
LENIENT = b"\xef\xbb\xbf" + GOOD.replace(b'"reason":"rude"', b'"tool":"\\ud800"')
BAD = {
    ("not_json", ""): SECRET.encode(),
    ("out_of_range", "kind"): GOOD.replace(b'"remove"', json.dumps(SECRET).encode()),
    ("missing_field", "inclusion_probability"): GOOD.replace(b"inclusion_probability", b"probability"),
    ("past_dated", "action_time_us"): GOOD.replace(b"1700000000000000", b"1700000000"),
    ("wrong_type", "moderator_key"): GOOD.replace(b'"m1"', b'["m1"]'),
    ("empty", ""): b"",
}


@pytest.fixture
def commanded_lake(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> LakeUnderTest:
    """Lake that commands use because of the environment."""
    for key, value in settings_environment(lake.settings).items():
        monkeypatch.setenv(key, value)
    return lake


def answer(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert SECRET not in result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def stored(lake: LakeUnderTest) -> list[tuple[Any, ...]]:
    with psycopg.connect(lake.database_url) as connection:
        return connection.execute(
            'SELECT partition, "offset", reason, field, detail FROM batch.action_dead_letters WHERE topic = %s '
            "ORDER BY 3, 4",
            (lake.prefix + "actions",),
        ).fetchall()


def send(lake: LakeUnderTest) -> None:
    records: list[Record] = [("k", value, []) for value in (GOOD, *BAD.values(), LENIENT)]
    lake.produce(records, name="actions")


@pytest.mark.budget(30)
def test_unreadable_actions_are_stored_once_and_shown_without_their_text(commanded_lake: LakeUnderTest) -> None:
    lake = commanded_lake
    send(lake)
    assert answer("dead-letters", "list", "--topic", "actions")["total"] == 0
    report = lake.archive()
    assert (report.total("rows"), report.total("dead_letters")) == (len(BAD) + 2, len(BAD))
    rows = stored(lake)
    assert [(reason, field) for _, _, reason, field, _ in rows] == sorted(BAD)
    assert {offset for _, offset, *_ in rows} == set(range(1, len(BAD) + 1))
    assert SECRET not in str(rows)

    lake.archive()
    assert stored(lake) == rows
    listed = answer("dead-letters", "list", "--topic", "actions", "--limit", "2")
    assert (listed["total"], len(listed["dead_letters"]), listed["by_reason"]["not_json"]) == (len(BAD), 2, 1)
    assert listed["dead_letters"][0].keys() == {
        *("topic_id", "partition", "offset", "reason", "field", "detail", "append_us")
    }
    assert answer("dead-letters", "list", "--topic", "actions", "--reason", "out_of_range")["total"] == 1
    summary = answer("dead-letters", "summary")
    assert {(row["reason"], row["field"]): row["letters"] for row in summary["actions"]} == dict.fromkeys(BAD, 1)
    shown = CliRunner().invoke(app, ["dead-letters", "list", "--topic", "actions"], catch_exceptions=False)
    assert "6 in all" in shown.output
    assert SECRET not in shown.output
    assert any("6 actions archived in the last 24 hours cannot be read" in line for line in attention(lake.settings))


class Died(Exception):
    """The archiver is killed here."""


@pytest.mark.parametrize("point", ["before_rename", "before_manifest", "after_manifest"])
def test_a_killed_archiver_stores_dead_letters_with_their_file_or_not_at_all(
    lake: LakeUnderTest, point: ArchivePoint
) -> None:
    send(lake)

    def reach(at: ArchivePoint) -> None:
        if at == point:
            raise Died

    with pytest.raises(Died):
        lake.archive(fault_point=reach)
    assert len(stored(lake)) == (len(BAD) if point == "after_manifest" else 0)
    lake.archive()
    assert len(stored(lake)) == len(BAD)
