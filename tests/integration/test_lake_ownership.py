"""A lake belongs to one database: a restored copy beside production is refused and removes nothing."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from typer.testing import CliRunner

from batch.archive.run import archive_topics
from batch.archive.verify import verify_lake
from batch.reconcile.run import reconcile_day
from batch.rescore.run import rescore_comments
from batch.run_interval import Interval
from cli.main import app
from local.stack.commands import StackInfo
from local.stack.worker import settings_environment
from moderation.adapters.lake.ownership import OWNER_FILE
from moderation.adapters.sql.migrate import migrate_database
from moderation.errors import LakeDamaged, LakeRefused
from moderation.settings import Settings
from moderation.timestamps import DAY_US, day_bounds_us, day_of, now_us
from tests.support.database_urls import altered_url
from tests.support.lakes import LakeUnderTest, plain
from tests.support.workers import comments

COPIED = ("manifest_identity", "files", "archive_reads", "written_paths")


@pytest.fixture
def copy(lake: LakeUnderTest, stack: StackInfo) -> Iterator[Callable[[], LakeUnderTest]]:
    """Function that restores the lake's database into another one, as from a dump; the lake stays the same."""
    name = f"restored_{uuid.uuid4().hex[:8]}"
    url = altered_url(stack.database_url(), database=name)

    def restore() -> LakeUnderTest:
        with psycopg.connect(stack.database_url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        migrate_database(url)
        with psycopg.connect(lake.database_url) as source, psycopg.connect(url) as target:
            target.execute("DELETE FROM batch.manifest_identity")
            for table in COPIED:
                query = sql.SQL("COPY batch.{} {} STDOUT (FORMAT binary)").format(sql.Identifier(table), sql.SQL("TO"))
                into = sql.SQL("COPY batch.{} FROM STDIN (FORMAT binary)").format(sql.Identifier(table))
                with source.cursor().copy(query) as rows, target.cursor().copy(into) as stored:
                    for row in rows:
                        stored.write(row)
            # Lakes of other tests are elsewhere, and their files would be missing.
            target.execute("DELETE FROM batch.files WHERE NOT starts_with(topic, %s)", (lake.prefix,))
        return LakeUnderTest(lake.settings.model_copy(update={"database_url": SecretStr(url)}))

    yield restore
    with psycopg.connect(stack.database_url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def contents(lake: LakeUnderTest) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in lake.folder.rglob("*") if path.is_file()}


WRITERS: dict[str, Callable[[Settings], object]] = {
    "archive": archive_topics,
    "reconcile": lambda settings: reconcile_day(settings, day_of(now_us() - DAY_US)),
    "rescore": lambda settings: rescore_comments(settings, Interval(*day_bounds_us(day_of(now_us()))), "1"),
}


@pytest.mark.budget(25)
def test_a_restored_database_is_refused_by_every_writing_command_until_it_claims_its_own_copy(
    lake: LakeUnderTest, copy: Callable[[], LakeUnderTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.produce(plain(comments(80)))
    assert lake.archive_and_die("before_manifest", 2) < 0  # an orphan, and one partition in the manifest
    drill = copy()
    lake.produce(plain(comments(80, start=80)))
    lake.archive()
    before = contents(lake)
    for writer in WRITERS.values():
        with pytest.raises(LakeRefused, match=r"belongs to database .*, not to .*`moderation lake claim`"):
            writer(drill.settings)
    with pytest.raises(LakeRefused):
        verify_lake(drill.settings)
    assert contents(lake) == before

    own = LakeUnderTest(drill.settings.model_copy(update={"lake_url": str(tmp_path / "copied")}))
    shutil.copytree(lake.folder, own.folder)
    with pytest.raises(LakeRefused):
        archive_topics(own.settings)
    for name, value in settings_environment(own.settings).items():
        monkeypatch.setenv(name, value)
    shown = CliRunner().invoke(app, ["lake", "claim", "--json"], catch_exceptions=False)
    fields = json.loads(shown.stdout)
    assert (shown.exit_code, fields["claimed"], fields["missing"]) == (1, False, 0)
    assert fields["unlisted"] > 0
    assert fields["owner"]["identity"] != fields["this_database"]["identity"]
    claimed = CliRunner().invoke(app, ["lake", "claim", "--yes", "--reason", "a drill"], catch_exceptions=False)
    assert (claimed.exit_code, "from now on every other database is refused" in claimed.stdout) == (0, True)
    with psycopg.connect(own.database_url) as connection:
        [(reason, previous)] = connection.execute(
            "SELECT reason, previous_owner::text FROM batch.lake_claims"
        ).fetchall()
    assert (reason, previous) == ("a drill", fields["owner"]["identity"])

    own.archive()
    assert own.content().keys() == lake.content().keys()
    assert contents(lake) == before
    assert lake.archive().total("files") == 0  # production is not refused
    with pytest.raises(LakeRefused):  # nor may production write into the copy
        archive_topics(lake.settings.model_copy(update={"lake_url": own.settings.lake_url}))


def test_a_lake_with_unlisted_files_and_no_owner_needs_a_claim(lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(20)))
    stray = lake.folder / lake.topic / "dt=2026-11-01" / "left.parquet"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"of somebody")
    with pytest.raises(LakeRefused, match=r"names no owner, and 1 of its files .*left.parquet"):
        lake.archive()
    stray.unlink()
    assert lake.archive().total("rows") == 20
    # As before this release: no owner, and every file is in the manifest.
    (lake.folder / OWNER_FILE).unlink()
    assert lake.archive().total("files") == 0
    (lake.folder / OWNER_FILE).write_text("{}")
    with pytest.raises(LakeDamaged, match="does not name the owner"):
        lake.archive()


def test_an_archiver_removes_only_files_that_its_database_wrote(lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(200)))
    lake.archive()
    [file, *_] = [each for each in lake.inspect().manifest if each.topic_partition.partition == 0]
    covered = lake.folder / file.path.replace(file.sha256[:16], "0" * 16)
    temporary = lake.folder / lake.topic / "_temporary" / f"{lake.topic_id.hex}-0-0-of-another.parquet"
    temporary.parent.mkdir(exist_ok=True)
    for path in (covered, temporary):
        path.write_bytes(b"of another database")
    lake.produce(plain(comments(50, start=200)))
    lake.archive()
    assert covered.exists()
    assert temporary.exists()
    with psycopg.connect(lake.database_url) as connection:
        for path in (covered, temporary):
            name = str(path.relative_to(lake.folder))
            connection.execute("INSERT INTO batch.written_paths VALUES (%s, 1)", (name,))
    lake.produce(plain(comments(50, start=250)))
    lake.archive()
    assert not covered.exists()
    assert not temporary.exists()
    with psycopg.connect(lake.database_url) as connection:
        left = connection.execute("SELECT path FROM batch.written_paths WHERE starts_with(path, %s)", (lake.topic,))
        assert left.fetchall() == []


def test_a_night_reads_a_bounded_part_of_the_lake_and_names_damage(lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(200)))
    lake.archive()
    sizes = {file.path: file.bytes for file in lake.inspect().manifest}
    checks = []
    while True:
        check = verify_lake(lake.settings, most_bytes=max(sizes.values()) * 2)
        assert 0 < check.read_bytes <= max(sizes.values()) * 2
        checks.append(check)
        if check.oldest_check_us is not None:
            break
    assert sum(each.read for each in checks) >= len(sizes)
    assert len(checks) > 1
    flipped, missing, *_ = sorted(sizes)
    content = (lake.folder / flipped).read_bytes()
    (lake.folder / flipped).write_bytes(content[:99] + bytes([content[99] ^ 1]) + content[100:])
    (lake.folder / missing).unlink()
    found = {each.path: each.cause for each in verify_lake(lake.settings).defects}
    assert found.keys() == {flipped, missing}
    assert found[flipped].startswith("its SHA-256 is")
    assert found[missing] == "it is missing"
