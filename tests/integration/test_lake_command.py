"""``moderation archive``, ``lake status``, ``lake verify`` and ``accept-gap --lake`` on real servers."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from local.worker import settings_environment
from moderation.errors import SourceRefused
from tests.support.lakes import LakeUnderTest, plain
from tests.support.workers import comments


@pytest.fixture
def commanded_lake(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> LakeUnderTest:
    """A lake that the environment leads commands to."""
    for key, value in settings_environment(lake.settings).items():
        monkeypatch.setenv(key, value)
    return lake


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def answer(*arguments: str, exit_code: int = 0) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == exit_code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_archive_says_what_it_did_and_status_what_the_lake_holds(commanded_lake: LakeUnderTest) -> None:
    lake = commanded_lake
    assert "nothing is archived" in run("lake", "status").stdout
    lake.produce(plain(comments(200)))
    done = answer("archive", "--topic", "comments")
    assert done.keys() == {"topics", "files", "rows", "bytes", "seconds"}
    assert (done["rows"], done["files"]) == (200, 4)
    (topic,) = done["topics"]
    assert (topic["topic"], topic["topic_id"]) == (lake.topic, str(lake.topic_id))
    assert {part["partition"]: part["next_offset"] for part in topic["partitions"]} == lake.ends()
    assert topic["partitions"][0].keys() == {
        *("partition", "outcome", "first_offset", "next_offset", "files", "rows", "bytes", "note", "unparsed")
    }
    assert run("archive").stdout.count("nothing new") == 8

    held = answer("lake", "status")
    assert held.keys() == {"lake_url", "sources", "files", "rows", "bytes", "orphans", "missing"}
    assert (held["files"], held["rows"], held["bytes"]) == (4, 200, done["bytes"])
    assert (held["orphans"], held["missing"]) == ([], [])
    assert {each["partition"]: (each["first_offset"], each["next_offset"]) for each in held["sources"]} == {
        partition: (0, end) for partition, end in lake.ends().items()
    }
    checked = answer("lake", "verify")
    assert {name: checked[name] for name in held} == held
    assert (checked["check"], checked["defects"]) == ("digest", [])
    assert "the lake is whole: 4 files checked" in run("lake", "verify").stdout


def test_verify_names_every_damaged_or_missing_file_and_ends_with_3(commanded_lake: LakeUnderTest) -> None:
    lake = commanded_lake
    lake.produce(plain(comments(200)))
    answer("archive")
    flipped, truncated, missing, _ = sorted(lake.files())
    content = (lake.folder / flipped).read_bytes()
    (lake.folder / flipped).write_bytes(content[:99] + bytes([content[99] ^ 1]) + content[100:])
    (lake.folder / truncated).write_bytes((lake.folder / truncated).read_bytes()[:-50])
    (lake.folder / missing).unlink()
    found = answer("lake", "verify", exit_code=3)
    causes = {each["path"]: each["cause"] for each in found["defects"]}
    assert causes.keys() == {flipped, truncated, missing}
    assert causes[flipped].startswith("its SHA-256 is")
    assert "bytes, the manifest says" in causes[truncated]
    assert causes[missing] == "it is missing"
    quick = answer("lake", "verify", "--quick", exit_code=3)
    assert {each["path"] for each in quick["defects"]} == {truncated, missing}
    shown = run("lake", "verify")
    assert shown.exit_code == 3
    assert f"{missing}: it is missing" in shown.stdout
    assert "is whole" not in shown.stdout


def test_orphans_are_shown_and_are_no_defect(commanded_lake: LakeUnderTest) -> None:
    lake = commanded_lake
    lake.produce(plain(comments(20)))
    answer("archive")
    folder = lake.folder / lake.topic
    (folder / "_temporary").mkdir(exist_ok=True)
    (folder / "_temporary" / "left.parquet").write_bytes(b"half")
    (folder / "dt=2026-11-01").mkdir()
    (folder / "dt=2026-11-01" / "left.parquet").write_bytes(b"whole")
    assert answer("lake", "verify")["orphans"] == [
        {"path": f"{lake.topic}/_temporary/left.parquet", "bytes": 4, "temporary": True},
        {"path": f"{lake.topic}/dt=2026-11-01/left.parquet", "bytes": 5, "temporary": False},
    ]
    assert "no reader sees it" in run("lake", "status").stdout


def test_a_hole_that_nobody_accepted_is_a_defect(commanded_lake: LakeUnderTest) -> None:
    lake = commanded_lake
    lake.produce(plain(comments(600)))
    lake.archive()
    middle = next(file for file in lake.inspect().manifest if file.source.partition == 0 and file.first_offset)
    following = [file for file in lake.inspect().manifest if file.first_offset == middle.next_offset]
    assert following
    with psycopg.connect(lake.database_url) as connection:
        connection.execute("DELETE FROM batch.files WHERE path = %s", (middle.path,))
    (hole,) = answer("lake", "verify", exit_code=3)["missing"]
    assert (hole["first_offset"], hole["next_offset"]) == (middle.first_offset, middle.next_offset)
    assert not hole["explained"]
    assert "nobody accepted" in run("lake", "status").stdout


def test_what_retention_took_is_shown_then_accepted_and_the_archive_goes_on(commanded_lake: LakeUnderTest) -> None:
    lake = commanded_lake
    nothing = {"gaps": [], "accepted": False}
    assert answer("accept-gap", "--lake") == nothing
    lake.produce(plain(comments(100)))
    answer("archive")
    ends = lake.ends()
    lake.produce([("k", b"one", [])] * 3, name="actions")
    answer("archive")
    lake.produce(plain(comments(100, start=100)))
    lake.produce([("k", b"two", [])] * 4, name="actions")
    held = {each["partition"]: each for each in answer("lake", "status")["sources"] if "actions" in each["topic"]}
    (partition,) = held
    lake.delete_records({0: ends[0] + 2})
    lake.delete_records({partition: 5}, name="actions")
    expected = [
        {"topic": lake.topic, "partition": 0, "first_offset": ends[0], "next_offset": ends[0] + 2},
        {"topic": f"{lake.prefix}actions", "partition": partition, "first_offset": 3, "next_offset": 5},
    ]
    with pytest.raises(SourceRefused, match="2 partitions"):
        run("archive")
    assert answer("accept-gap", "--lake", exit_code=1) == {"gaps": expected, "accepted": False}
    shown = run("accept-gap", "--lake")
    assert shown.exit_code == 1
    assert f"offsets [{ends[0]}, {ends[0] + 2}) are gone and not in the lake, 2 records" in shown.stdout
    with pytest.raises(SourceRefused, match="2 partitions"):
        run("archive")

    assert answer("accept-gap", "--lake", "--yes", "--reason", "a long holiday") == {
        "gaps": expected,
        "accepted": True,
    }
    assert answer("accept-gap", "--lake") == nothing
    answer("archive")
    holes = answer("lake", "verify")["missing"]
    assert [(hole["first_offset"], hole["next_offset"], hole["explained"]) for hole in holes] == [
        (ends[0], ends[0] + 2, True),
        (3, 5, True),
    ]
    assert "accepted as lost" in run("lake", "status").stdout
