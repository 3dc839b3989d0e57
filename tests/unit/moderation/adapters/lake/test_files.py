"""Lake files: records round-trip, equal records give equal bytes, and damaged files are named."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import fsspec
import pyarrow.parquet as pq
import pytest

from moderation.adapters.kafka.topic_reader import LogRecord
from moderation.adapters.lake.file_boundaries import FileLimits
from moderation.adapters.lake.files import LakeFile, NamedFile, is_temporary, parse_path, temporary_path
from moderation.adapters.lake.reader import Lake
from moderation.adapters.lake.schema import columns_of
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.lake.verification import Check, check_file
from moderation.adapters.lake.writer import write_file
from moderation.contracts import Action, ActionKind, Comment, parse_action, parse_record, to_json
from moderation.errors import ConfigurationError, InvalidRecord, LakeDamaged
from moderation.offsets import TopicPartition

SOURCE = TopicPartition("comments", uuid.UUID("3087eee9-3500-42ac-b839-2b8979ac38ff"), 2)
DAY = date(2026, 11, 1)
APPEND_US = 1_793_491_200_000_000
EVENT_US = APPEND_US - 60_000_000
SMALL = FileLimits(group_rows=3)
ODD_VALUES = [b"", None, b"\xff\x00not json", b"{}", "\u2028 ünïcode".encode(), b"[1]"]


def record(offset: int, value: bytes | None, *headers: tuple[str, bytes | None]) -> LogRecord:
    return LogRecord(offset, APPEND_US + offset * 1_000, None if offset % 5 == 4 else b"key", value, list(headers))


def records() -> list[LogRecord]:
    made = [
        record(
            10 + n,
            to_json(Comment(f"c{n}", "science", f"body {n} 😀", EVENT_US + n)),
            ("replay_of", b"a/1/2"),
            ("other", None),
        )
        for n in range(4)
    ]
    made += [record(14 + n, value) for n, value in enumerate(ODD_VALUES)]
    made.append(record(20, to_json(Comment("future", "science", "", APPEND_US * 2))))
    return made


def write(
    store: LakeStore, made: list[LogRecord], topic_partition: TopicPartition = SOURCE, name: str = "comments"
) -> LakeFile:
    temporary = temporary_path(topic_partition, made[0].offset, "token")
    file = write_file(store, temporary, topic_partition, columns_of(name), DAY, iter(made), SMALL)
    store.publish(temporary, file.path)
    return file


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> LakeStore:
    if request.param == "folder":
        return LakeStore(str(tmp_path / "lake"))
    return LakeStore(f"memory://{uuid.uuid4().hex}/lake")


def test_every_record_is_read_back_with_all_its_bytes(store: LakeStore) -> None:
    made = records()
    file = write(store, made)
    with store.open(file.path) as opened:
        rows = pq.read_table(opened).to_pylist()
    back = [
        LogRecord(
            row["offset"],
            row["append_us"],
            row["key"],
            row["value"],
            [(header["name"], header["value"]) for header in row["headers"]],
        )
        for row in rows
    ]
    assert back == made
    assert {row["partition"] for row in rows} == {2}
    for row in rows:
        try:
            parsed = parse_record(row["value"] or b"", row["append_us"])
        except InvalidRecord:
            assert (row["comment_id"], row["community"], row["event_time_us"], row["record_id"]) == (None,) * 4
        else:
            assert row["record_id"] == parsed.record_id()
            assert (row["comment_id"], row["event_time_us"]) == (parsed.comment_id, parsed.event_time_us)


def test_the_manifest_row_describes_the_file(store: LakeStore) -> None:
    file = write(store, records())
    with store.open(file.path) as opened:
        content = opened.read()
    assert file.sha256 == hashlib.sha256(content).hexdigest() == store.sha256(file.path)
    assert (file.bytes, file.rows, file.first_offset, file.next_offset) == (len(content), 11, 10, 21)
    assert (file.min_append_us, file.max_append_us) == (APPEND_US + 10_000, APPEND_US + 20_000)
    assert (file.min_event_time_us, file.max_event_time_us) == (
        EVENT_US,
        EVENT_US + 3,
    )  # the future-dated record is not a comment
    assert file.path == f"comments/dt=2026-11-01/comments-2-10-20-3087eee9-{file.sha256[:16]}.parquet"
    assert store.sizes("comments") == {file.path: file.bytes}
    check_file(store, file)


def test_a_file_is_compressed_sorted_and_cut_into_row_groups_with_statistics(store: LakeStore) -> None:
    file = write(store, records())
    with store.open(file.path) as opened:
        footer = pq.read_metadata(opened)
    groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
    assert [group.num_rows for group in groups] == [3, 3, 3, 2]
    columns = {groups[0].column(n).path_in_schema: groups[0].column(n) for n in range(footer.num_columns)}
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    assert (columns["offset"].statistics.min, columns["offset"].statistics.max) == (10, 12)
    assert columns["event_time_us"].statistics.max == EVENT_US + 2
    assert columns["value"].statistics is None
    assert [pq.SortingColumn.to_ordering(footer.schema.to_arrow_schema(), g.sorting_columns)[0] for g in groups] == [
        (("offset", "ascending"),)
    ] * 4
    assert footer.metadata[b"topic_id"] == str(SOURCE.topic_id).encode()


def test_equal_records_give_equal_bytes_and_other_topics_do_not(tmp_path: Path) -> None:
    one, other = LakeStore(str(tmp_path / "one")), LakeStore(str(tmp_path / "other"))
    first, second = write(one, records()), write(other, records())
    assert first == second
    recreated = write(one, records(), TopicPartition("comments", uuid.UUID(int=1), 2))
    assert recreated.path != first.path
    assert recreated.sha256 != first.sha256


def test_an_error_while_writing_leaves_no_file(store: LakeStore) -> None:
    def broken() -> object:
        yield from records()[:5]
        raise RuntimeError("the broker went away")

    with pytest.raises(RuntimeError, match="went away"):
        write_file(store, temporary_path(SOURCE, 10, "t"), SOURCE, columns_of("comments"), DAY, broken(), SMALL)  # type: ignore[arg-type]
    assert store.sizes("comments") == {}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file, where a folder should be")
    with pytest.raises(ConfigurationError, match=r"lake file .*/lake/comments/.*: it cannot be written"):
        write(LakeStore(str(tmp_path / "lake")), records())


def test_a_missing_temporary_file_is_named(tmp_path: Path) -> None:
    store = LakeStore(str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"comments/a.parquet: it cannot be written: No such file"):
        store.publish("comments/_temporary/gone.parquet", "comments/a.parquet")


def test_actions_have_columns_of_their_own(store: LakeStore) -> None:
    action = Action("c1", ActionKind.REMOVE, "mod", "spam", 77, 0.25)
    topic_partition = TopicPartition("p-actions", SOURCE.topic_id, 0)
    file = write(store, [record(0, to_json(action)), record(1, b"junk")], topic_partition, "actions")
    with store.open(file.path) as opened:
        rows = pq.read_table(opened).to_pylist()
    assert parse_action(rows[0]["value"]) == action
    assert [rows[0][name] for name in ("kind", "reason", "action_time_us", "inclusion_probability")] == [
        "remove",
        "spam",
        77,
        0.25,
    ]
    assert rows[1]["kind"] is None
    assert (file.min_event_time_us, file.max_event_time_us) == (77, 77)
    nothing_parses = write(store, [record(2, b"junk")], topic_partition, "actions")
    assert nothing_parses.min_event_time_us is None


def flip(content: bytes) -> bytes:
    return content[:200] + bytes([content[200] ^ 1]) + content[201:]


@pytest.mark.parametrize(
    ("damage", "check", "cause"),
    [
        (flip, "digest", "its SHA-256 is"),
        (lambda content: content[:-9], "digest", "bytes, the manifest says"),
        (lambda content: content[:-9], "size", "bytes, the manifest says"),
        (lambda content: b"x" * len(content), "size", "it cannot be read as Parquet"),
        (None, "digest", "it is missing"),
        (None, "size", "it is missing"),
    ],
)
def test_damage_is_found_and_the_file_is_named(
    store: LakeStore, damage: Callable[[bytes], bytes] | None, check: Check, cause: str
) -> None:
    file = write(store, records())
    if damage is None:
        store.remove(file.path)
    else:
        with store.open(file.path) as opened:
            content = opened.read()
        with fsspec.open(store.fs.unstrip_protocol(store.full(file.path)), "wb") as altered:
            altered.write(damage(content))
    with pytest.raises(LakeDamaged, match=cause) as raised:
        check_file(store, file, check)
    assert raised.value.thing == f"lake file {store.url_of(file.path)}"
    assert "lake verify" in raised.value.remedy


def test_the_size_check_misses_a_flipped_bit(tmp_path: Path) -> None:
    store = LakeStore(str(tmp_path))
    file = write(store, records())
    path = Path(store.url_of(file.path))
    path.write_bytes(flip(path.read_bytes()))
    check_file(store, file, "size")


def test_duckdb_reads_files_of_a_folder_and_of_any_other_file_system(store: LakeStore) -> None:
    lake = Lake(store, connection=None)  # type: ignore[arg-type]  # the manifest is not asked here
    found = [write(store, records()), write(store, [record(30, b"{}")])]
    with duckdb.connect() as duck:
        relation = lake.relation(duck, "comments", found)
        assert relation.aggregate('count(*), count(comment_id), min("offset"), max("offset")').fetchall() == [
            (12, 4, 10, 30)
        ]
        nothing = lake.relation(duck, "comments", [])
        assert nothing.columns == relation.columns
        assert nothing.fetchall() == []


def test_file_names_contain_topic_partition_and_offsets() -> None:
    path = "my-comments/dt=2026-11-01/my-comments-2-10-20-3087eee9-0123456789abcdef.parquet"
    assert parse_path("my-comments", path) == NamedFile("3087eee9", 2, 10, 21)
    assert parse_path("comments", path) is None
    assert parse_path("my-comments", "my-comments/dt=2026-11-01/readme.txt") is None
    temporary = temporary_path(SOURCE, 10, "token")
    assert is_temporary(temporary)
    assert not is_temporary(path)
    assert parse_path("comments", temporary) is None


def test_an_address_of_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="lake nosuch://bucket/lake"):
        LakeStore("nosuch://bucket/lake")


def test_a_topic_that_is_not_archived_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"topic decisions: it is not archived\. The archived topics are"):
        columns_of("decisions")
