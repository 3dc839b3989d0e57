"""Listing, showing and replaying dead letters on real servers."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from batch.archive.run import archive_topics
from cli.main import app
from cli.output import printable
from local.oracle import read_topic
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import kafka_of
from moderation.contracts import Comment, dead_letter, parse_record, to_json
from moderation.contracts.records import RAW_KEPT_BYTES
from moderation.errors import ConfigurationError, DatabaseUnavailable, InvalidRecord
from moderation.timestamps import now_us
from tests.support.workers import SpeedLayerUnderTest, comments

OTHER_TOPIC_ID = "00000000-0000-0000-0000-000000000001"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["dead-letters", *map(str, arguments)], catch_exceptions=False)


def answer(*arguments: object, exit_code: int = 0) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == exit_code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def comment(comment_id: str, event_time_us: int, body: str = "Nice study, thanks.") -> bytes:
    return to_json(Comment(comment_id, "science", body, event_time_us))


@dataclass
class Letters:
    """Topic whose refused records are in the ledger, as a worker would store them, without a worker."""

    layer: SpeedLayerUnderTest

    def add(self, key: str, value: bytes, append_us: int, *, in_topic: bool = True) -> tuple[int, int]:
        """Produce a record and store it as a dead letter."""
        if in_topic:
            self.layer.produce([(key, value)])
            place = self.layer.delivered[-1].partition, self.layer.delivered[-1].offset
        else:
            place = 0, 1_000_000
        with pytest.raises(InvalidRecord) as refused:
            parse_record(value, append_us)
        kept = dead_letter(value, append_us, refused.value)
        with psycopg.connect(self.layer.database_url) as connection:
            connection.execute(
                "INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next) "
                "VALUES (%s, %s, %s, 0, 0, 0) ON CONFLICT DO NOTHING",
                (self.layer.topic_id, place[0], self.layer.topic),
            )
            connection.execute(
                'INSERT INTO speed.dead_letters (topic_id, partition, "offset", append_us, reason, detail, raw, '
                "raw_length, raw_sha256) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (
                    *(self.layer.topic_id, *place, append_us, kept.reason, kept.detail),
                    *(kept.raw, kept.raw_length, kept.raw_sha256),
                ),
            )
        return place

    def execute(self, statement: str, *parameters: object) -> None:
        with psycopg.connect(self.layer.database_url) as connection:
            connection.execute(statement.encode(), parameters)

    def values(self) -> list[bytes]:
        return list(read_topic(kafka_of(self.layer.settings), self.layer.topic).values())

    def replays(self) -> list[tuple[bytes, bytes, str]]:
        """Return key, value and header of every replay on the topic."""
        kafka, topic = kafka_of(self.layer.settings), self.layer.topic
        consumer = Consumer(kafka.librdkafka({"group.id": "test", "enable.auto.commit": False}))
        found = []
        try:
            for partition in range(4):
                first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
                consumer.assign([TopicPartition(topic, partition, first)])
                for _ in range(first, end):
                    message = consumer.poll(30)
                    assert message is not None
                    assert message.error() is None
                    headers = dict(message.headers() or [])
                    if "replay_of" in headers:
                        header = headers["replay_of"]
                        assert isinstance(header, bytes)
                        found.append((message.key() or b"", message.value() or b"", header.decode("ascii")))
        finally:
            consumer.close()
        return found


@pytest.fixture
def letters(commanded: SpeedLayerUnderTest) -> Letters:
    return Letters(commanded)


def test_the_list_is_newest_first_filtered_and_counted_by_reason(letters: Letters) -> None:
    day_us = 1_700_000_000_000_000
    places = [letters.add(f"k{n}", value, day_us + n) for n, value in enumerate((b"no", b"", b"[]", b"still no"))]
    letters.execute(
        "UPDATE speed.dead_letters SET replayed_as_partition = 2, replayed_as_offset = 7 "
        'WHERE topic_id = %s AND (partition, "offset") = (%s, %s)',
        *(letters.layer.topic_id, *places[3]),
    )
    found = answer("list")
    assert (found["total"], found["by_reason"]) == (4, {"not_json": 2, "empty": 1, "not_an_object": 1})
    assert [(each["partition"], each["offset"]) for each in found["dead_letters"]] == places[::-1]
    newest = found["dead_letters"][0]
    assert (newest["replayed_as_partition"], newest["replayed_as_offset"]) == (2, 7)
    assert (newest["topic_id"], newest["raw_length"]) == (letters.layer.topic_id, 8)

    assert answer("list", "--reason", "not_json", "--open")["total"] == 1
    limited = answer("list", "--limit", 1)
    assert (len(limited["dead_letters"]), limited["total"]) == (1, 4)
    in_partition = answer("list", "--partition", places[0][0])["dead_letters"]
    assert {each["partition"] for each in in_partition} == {places[0][0]}
    shown = run("list")
    assert "2023-11-14" in shown.stdout
    assert "4 in all: 2 not_json, 1 empty, 1 not_an_object" in shown.stdout
    assert run("list", "--reason", "no_such").exit_code == 2


def test_the_summary_names_reason_field_and_the_producers_key_and_shows_no_value(letters: Letters) -> None:
    now = now_us()
    word = "unmistakable"
    good = json.loads(comment("c", now))
    wrong_time = json.dumps(good | {"event_time_us": word}).encode()
    other_version = json.dumps(good | {"schema_version": word}).encode()
    for _ in range(3):
        letters.add("sensor\x1b[2J\n" + 100 * "k", wrong_time, now)
    letters.add("other", other_version, now)
    letters.add("gone", b"[]", now, in_topic=False)
    place = letters.add("placeholder", other_version, now)
    # The last record has a header instead of a key.
    producer = Producer(kafka_of(letters.layer.settings).librdkafka({"log_level": 2}))
    reports: list[int | None] = []
    producer.produce(
        letters.layer.topic,
        other_version,
        partition=place[0],
        headers=[("replay_of", b"x"), ("client", b"importer-7")],
        on_delivery=lambda _, message: reports.append(message.offset()),
    )
    assert producer.flush(30) == 0
    letters.execute(
        'UPDATE speed.dead_letters SET "offset" = %s WHERE topic_id = %s AND (partition, "offset") = (%s, %s)',
        *(reports[0], letters.layer.topic_id, *place),
    )

    found = answer("summary")
    assert (found["total"], found["examined"]) == (6, 6)
    assert found["by_field"] == [
        {"reason": "wrong_type", "field": "event_time_us", "letters": 3},
        {"reason": "schema_version", "field": "schema_version", "letters": 2},
        {"reason": "not_an_object", "field": "", "letters": 1},
    ]
    first, *others = found["by_key"]
    assert first == {
        "key_from": "key",
        "key": "sensor\\x1b[2J\\n" + 45 * "k" + "…",
        "reason": "wrong_type",
        "field": "event_time_us",
        "letters": 3,
    }
    assert {(each["key_from"], each["key"], each["field"]) for each in others} == {
        ("key", "other", "schema_version"),
        ("header client", "importer-7", "schema_version"),
        ("gone", "", ""),
    }
    shown = run("summary").stdout
    assert "importer-7" in shown
    assert word not in shown + json.dumps(found)
    assert all(character.isprintable() or character == "\n" for character in shown)
    limited = answer("summary", "--limit", 1, "--newest", 2)
    assert (len(limited["by_field"]), len(limited["by_key"]), limited["examined"]) == (1, 1, 2)


def test_letters_of_other_topics_are_not_shown(letters: Letters) -> None:
    letters.add("k", b"no", 5)
    letters.execute("UPDATE speed.source_offsets SET topic = 'another' WHERE topic_id = %s", letters.layer.topic_id)
    assert answer("list") == {"dead_letters": [], "total": 0, "by_reason": {}}
    assert run("list").stdout == "no dead letters\n"


def test_output_contains_no_terminal_control_sequences(letters: Letters) -> None:
    raw = b'{"a\x1b[2J":"\xff\n\xe2\x80\xae [red]"'
    place = letters.add("k", raw, 1_700_000_000_000_000)
    shown = run("show", *place)
    assert shown.exit_code == 0
    assert "\\x1b[2J" in shown.stdout
    assert "\\xff\\n\\u202e [red]" in shown.stdout
    assert all(character.isprintable() or character == "\n" for character in shown.stdout)
    found = answer("show", *place)
    assert base64.b64decode(found["raw_base64"]) == raw
    assert (found["reason"], found["append_us"], found["raw_length"]) == ("not_json", 1_700_000_000_000_000, len(raw))
    with pytest.raises(ConfigurationError, match="there is no dead letter"):
        run("show", 3, 999)


def test_a_recreated_topic_leaves_two_letters_at_one_position_and_one_must_be_named(letters: Letters) -> None:
    place = letters.add("k", b"no", 5)
    for table in ("source_offsets", "dead_letters"):
        letters.execute(
            f"INSERT INTO speed.{table} SELECT (jsonb_populate_record(t, jsonb_build_object('topic_id', %s::text))).* "
            f"FROM speed.{table} t WHERE topic_id = %s",
            *(OTHER_TOPIC_ID, letters.layer.topic_id),
        )
    try:
        assert answer("list")["total"] == 2
        with pytest.raises(ConfigurationError, match="--topic-id"):
            run("show", *place)
        assert answer("show", *place, "--topic-id", OTHER_TOPIC_ID)["topic_id"] == OTHER_TOPIC_ID
    finally:
        for table in ("source_offsets", "dead_letters"):
            letters.execute(f"DELETE FROM speed.{table} WHERE topic_id = %s", OTHER_TOPIC_ID)


def test_a_replay_is_the_same_bytes_under_the_comments_key_and_names_its_letter(letters: Letters) -> None:
    past = comment("late-clock", now_us())
    place = letters.add("another key", past, now_us() - 3_600_000_000)
    letters.add("f", comment("future", now_us() + 3_600_000_000), now_us())
    letters.add("b", b"no", now_us())
    before = len(letters.values())

    dry = answer("replay", "--all", "--dry-run")
    assert dry == {"replayed": 1, "already": 0, "still_refused": {"future_dated": 1, "not_json": 1}, "gone": []}
    assert len(letters.values()) == before
    assert answer("replay", "--all") == dry
    assert letters.replays() == [(b"late-clock", past, f"{letters.layer.topic_id}/{place[0]}/{place[1]}")]
    assert len(letters.values()) == before + 1

    refused = answer("replay", "--reason", "not_json", exit_code=1)
    assert refused == {"replayed": 0, "already": 0, "still_refused": {"not_json": 1}, "gone": []}
    none = answer("replay", "--reason", "empty")
    assert none == {"replayed": 0, "already": 0, "still_refused": {}, "gone": []}
    assert len(letters.values()) == before + 1


def test_corrected_bytes_are_sent_in_place_of_the_record(letters: Letters, tmp_path: Path) -> None:
    place = letters.add("k", b'{"schema_version":1,', now_us())
    corrected = tmp_path / "corrected.json"
    one = ("replay", "--partition", place[0], "--offset", place[1])
    corrected.write_bytes(b"still broken")
    assert answer(*one, "--value", corrected, exit_code=1)["still_refused"] == {"not_json": 1}
    corrected.write_bytes(comment("corrected", 1_700_000_000_000_000))
    assert answer(*one, "--value", corrected)["replayed"] == 1
    assert [(key, value) for key, value, _ in letters.replays()] == [
        (b"corrected", comment("corrected", 1_700_000_000_000_000))
    ]


def test_replayed_letters_are_skipped_unless_again_is_given(letters: Letters) -> None:
    place = letters.add("k", comment("once", now_us()), now_us() - 3_600_000_000)
    letters.execute(
        "UPDATE speed.dead_letters SET replayed_as_partition = 0, replayed_as_offset = 9 WHERE topic_id = %s",
        letters.layer.topic_id,
    )
    one = ("replay", "--partition", place[0], "--offset", place[1])
    for arguments in (("replay", "--all"), one):
        assert answer(*arguments) == {"replayed": 0, "already": 1, "still_refused": {}, "gone": []}
    assert letters.replays() == []
    assert answer(*one, "--again")["replayed"] == 1
    assert len(letters.replays()) == 1


def test_a_record_longer_than_the_ledger_keeps_comes_from_the_topic_or_is_named_as_gone(letters: Letters) -> None:
    long = comment("long", now_us(), "ü" * 39_000)
    assert len(long) > RAW_KEPT_BYTES
    short = comment("short", now_us())
    letters.add("long", short, now_us() - 3_600_000_000)
    place = letters.add("long", long, now_us() - 3_600_000_000)
    assert answer("replay", "--reason", "future_dated")["replayed"] == 2
    assert {value for _, value, _ in letters.replays()} == {short, long}

    admin = AdminClient(kafka_of(letters.layer.settings).librdkafka({"log_level": 4}))
    before = TopicPartition(letters.layer.topic, place[0], place[1] + 1)
    for future in admin.delete_records([before]).values():
        future.result(30)
    found = answer("replay", "--reason", "future_dated", exit_code=1)
    assert (found["replayed"], found["gone"]) == (1, [{"partition": place[0], "offset": place[1]}])
    shown = run("replay", "--partition", place[0], "--offset", place[1])
    assert shown.exit_code == 1
    assert f"partition {place[0]} offset {place[1]}:" in shown.stderr
    assert "--value" in shown.stderr


def test_a_record_that_ledger_and_topic_no_longer_have_comes_from_the_lake(
    letters: Letters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODERATION_LAKE_URL", str(tmp_path / "lake"))
    value = comment("c1", now_us())
    place = letters.add("c1", value, now_us() - 3_600_000_000)
    letters.execute("UPDATE speed.dead_letters SET raw = '' WHERE topic_id = %s", letters.layer.topic_id)
    archive_topics(letters.layer.settings.model_copy(update={"lake_url": str(tmp_path / "lake")}))
    letters.layer.produce([("other", b"what keeps the log from being empty")] * 40)
    admin = AdminClient(kafka_of(letters.layer.settings).librdkafka({"log_level": 4}))
    before = TopicPartition(letters.layer.topic, place[0], place[1] + 1)
    for future in admin.delete_records([before]).values():
        future.result(30)
    assert [(each["key_from"], each["key"]) for each in answer("summary")["by_key"]] == [("key", "c1")]
    found = answer("replay", "--reason", "future_dated")
    assert (found["replayed"], found["gone"]) == (1, [])
    assert value in letters.values()


def test_another_record_at_the_position_is_never_sent(letters: Letters) -> None:
    """Two checks prevent it: the id of the topic and the SHA-256."""
    long = comment("long", now_us(), "ü" * 39_000)
    place = letters.add("long", long, now_us() - 3_600_000_000)
    letters.execute(
        "UPDATE speed.dead_letters SET raw_sha256 = repeat('0', 64) WHERE topic_id = %s", letters.layer.topic_id
    )
    found = answer("replay", "--all", exit_code=1)
    assert found["gone"] == [{"partition": place[0], "offset": place[1]}]
    assert letters.replays() == []


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--partition", 0),
        ("--offset", 0),
        ("--all", "--reason", "empty"),
        ("--all", "--partition", 0, "--offset", 0),
        ("--all", "--again"),
        ("--all", "--topic-id", OTHER_TOPIC_ID),
        ("--reason", "no_such"),
    ],
)
def test_a_selection_must_be_one_of_three(arguments: tuple[object, ...]) -> None:
    assert run("replay", *arguments).exit_code == 2


def test_a_database_that_does_not_answer_is_named(letters: Letters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailable, match="PostgreSQL"):
        run("list")


def test_escapes_stand_for_what_is_not_printable() -> None:
    assert printable("a\x1b\n\u202eü\x9b") == "a\\x1b\\n\\u202eü\\x9b"


def test_a_replay_that_became_a_decision_closes_its_letter(commanded: SpeedLayerUnderTest) -> None:
    """It is future-dated at first and valid when replayed; a second copy is not counted."""
    layer = commanded
    # As far ahead of the append time as is refused, and little enough that the test can wait for it.
    event_time_us = now_us() + (5 * 60 + 6) * 1_000_000
    layer.produce([("early", comment("early", event_time_us)), *comments(20)])
    layer.start_worker()
    layer.wait_accounted(21)
    assert answer("list")["by_reason"] == {"future_dated": 1}
    letter = answer("list")["dead_letters"][0]

    wait_until(lambda: now_us() > event_time_us - 5 * 60 * 1_000_000, seconds=30, description="the time of the comment")
    assert answer("replay", "--reason", "future_dated")["replayed"] == 1
    layer.wait_accounted(22)
    closed = answer("show", letter["partition"], letter["offset"])
    with psycopg.connect(layer.database_url) as connection:
        row = connection.execute(
            'SELECT partition, "offset", fate FROM speed.decisions WHERE topic_id = %s AND comment_id = %s',
            (layer.topic_id, "early"),
        ).fetchone()
    assert row == (closed["replayed_as_partition"], closed["replayed_as_offset"], "counted")
    assert answer("list", "--open")["total"] == 0
    assert answer("replay", "--all")["already"] == 1

    assert (
        answer("replay", "--partition", letter["partition"], "--offset", letter["offset"], "--again")["replayed"] == 1
    )
    layer.wait_accounted(23)
    again = answer("show", letter["partition"], letter["offset"])
    assert again == closed
    with psycopg.connect(layer.database_url) as connection:
        fates = connection.execute(
            "SELECT fate FROM speed.decisions WHERE topic_id = %s AND comment_id = %s ORDER BY 1",
            (layer.topic_id, "early"),
        ).fetchall()
    assert fates == [("counted",), ("duplicate",)]
    assert layer.comparison().pane_mismatches == 0
