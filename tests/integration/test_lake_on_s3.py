"""Lake on an object store: archive, verify, read and reconcile over S3 against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import s3fs

from batch.archive.run import archive_topics
from moderation.adapters.lake.manifest import files
from moderation.adapters.lake.ownership import OWNER_FILE
from moderation.adapters.lake.reader import opened_lake
from moderation.adapters.sql.connection import connected
from moderation.errors import ConfigurationError, LakeDamaged, StoreUnavailable
from moderation.settings import Settings
from tests.support.lakes import LakeUnderTest, plain
from tests.support.object_store import BUCKET, ObjectStore
from tests.support.reconcile_day import DAY, DayUnderTest, comments
from tests.support.workers import SpeedLayerUnderTest
from tests.support.workers import comments as sent_comments


@pytest.fixture
def store(s3_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield s3_server
    s3fs.S3FileSystem.clear_instance_cache()


def on_s3(lake: LakeUnderTest, folder: str) -> LakeUnderTest:
    settings = lake.settings.model_copy(update={"lake_url": f"s3://{BUCKET}/{folder}"})
    return LakeUnderTest(settings)


def manifest(settings: Settings, topic: str) -> list[str]:
    assert settings.database_url is not None
    with connected(settings.database_url.get_secret_value()) as connection:
        return [file.path for file in files(connection, topic=topic)]


def test_every_record_is_archived_once_and_read_back_and_nothing_else_is_left(
    lake: LakeUnderTest, store: ObjectStore, topic_prefix: str
) -> None:
    remote = on_s3(lake, topic_prefix)
    remote.produce(plain(sent_comments(300)))
    assert remote.archive().total("rows") == 300
    assert remote.archive().total("files") == 0
    found = remote.inspect()
    assert found.is_whole
    assert not found.orphans

    fs = s3fs.S3FileSystem()
    there = {path.removeprefix(f"{BUCKET}/{topic_prefix}/") for path in fs.find(f"{BUCKET}/{topic_prefix}")}
    assert there == {OWNER_FILE, *manifest(remote.settings, remote.topic)}, "no temporary file and no orphan"
    with opened_lake(remote.settings) as opened, duckdb.connect() as duck:
        day = files(opened.connection, topic=remote.topic)[0].day
        relation = opened.relation(duck, "comments", opened.files_of_day("comments", day))
        rows = relation.project('partition, "offset", key, value').fetchall()
    assert {(part, offset): (key.decode(), value, []) for part, offset, key, value in rows} == remote.sent


def test_an_object_that_was_altered_or_is_gone_is_found_by_name(
    lake: LakeUnderTest, store: ObjectStore, topic_prefix: str
) -> None:
    remote = on_s3(lake, topic_prefix)
    remote.produce(plain(sent_comments(100)))
    remote.archive()
    altered, gone = manifest(remote.settings, remote.topic)[:2]
    fs = s3fs.S3FileSystem()
    content = bytearray(fs.cat_file(f"{BUCKET}/{topic_prefix}/{altered}"))
    content[len(content) // 2] ^= 1
    fs.pipe_file(f"{BUCKET}/{topic_prefix}/{altered}", bytes(content))
    fs.rm_file(f"{BUCKET}/{topic_prefix}/{gone}")
    assert {Path(defect.path).name for defect in remote.inspect().defects} == {Path(altered).name, Path(gone).name}
    with opened_lake(remote.settings) as opened, pytest.raises(LakeDamaged, match=Path(altered).name):
        opened.files_of_day("comments", files(opened.connection, topic=remote.topic)[0].day)


def test_an_unavailable_or_refusing_store_is_named_and_nothing_is_lost(
    lake: LakeUnderTest, store: ObjectStore, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = on_s3(lake, topic_prefix)
    remote.produce(plain(sent_comments(50)))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of somebody else")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(ConfigurationError, match=f"s3://{BUCKET}/{topic_prefix}.* cannot be opened"):
        archive_topics(remote.settings)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", store.secret_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreUnavailable, match="Could not connect"):
        archive_topics(remote.settings)
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
    s3fs.S3FileSystem.clear_instance_cache()
    assert remote.archive().total("rows") == 50


@pytest.mark.long
def test_a_day_on_s3_is_reconciled(layer: SpeedLayerUnderTest, store: ObjectStore, tmp_path: Path) -> None:
    layer.start_worker()
    day = DayUnderTest(layer, tmp_path)
    day.settings = day.settings.model_copy(update={"lake_url": f"s3://{BUCKET}/{layer.settings.topic_prefix}"})
    day.send(comments(range(200)))
    day.archive()
    report = day.reconcile(DAY)
    assert not any(report.fields()["defects"].values())
    assert report.fields()["state"] == "final"
