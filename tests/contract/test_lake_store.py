"""Contract of the lake store, for a folder, for memory and for a real S3 server."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from moderation.adapters.lake.store import LakeStore


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LakeStore]:
    if request.param == "folder":
        yield LakeStore(str(tmp_path / "lake"))
    elif request.param == "memory":
        yield LakeStore(f"memory://lake-{uuid.uuid4().hex}")
    else:
        yield from on_s3(request)


def on_s3(request: pytest.FixtureRequest) -> Iterator[LakeStore]:
    import s3fs

    from tests.support.object_store import BUCKET, ObjectStore

    server: ObjectStore = request.getfixturevalue("s3_server")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in server.environment.items():
            environment.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        yield LakeStore(f"s3://{BUCKET}/{uuid.uuid4().hex}")
        s3fs.S3FileSystem.clear_instance_cache()


def write(store: LakeStore, path: str, content: bytes) -> None:
    with store.creating(path) as file:
        file.write(content)


def test_a_file_has_its_name_once_it_is_published(store: LakeStore) -> None:
    assert store.sizes() == {}
    write(store, "tmp/1", b"some ")
    store.publish("tmp/1", "comments/dt=2026-01-01/a.parquet")
    assert store.sizes("comments") == {"comments/dt=2026-01-01/a.parquet": 5}
    assert store.sizes("tmp") == {}
    with store.open("comments/dt=2026-01-01/a.parquet") as file:
        assert file.read() == b"some "


def test_digest_and_size_are_known_when_it_is_written_and_when_it_is_read(store: LakeStore) -> None:
    content = bytes(range(256)) * 1_000
    with store.creating("a") as file:
        for start in range(0, len(content), 1_000):
            file.write(content[start : start + 1_000])
    digest = hashlib.sha256(content).hexdigest()
    assert (file.sha256, file.size_bytes) == (digest, len(content))
    assert (store.sha256("a"), store.size("a")) == (digest, len(content))


def test_a_write_that_fails_leaves_no_file(store: LakeStore) -> None:
    def fail() -> None:
        with store.creating("tmp/1") as file:
            file.write(b"half")
            raise KeyError("the writer failed")

    with pytest.raises(KeyError, match="the writer failed"):
        fail()
    assert store.sizes() == {}


def test_publishing_replaces_a_file_of_that_name(store: LakeStore) -> None:
    for content in (b"first", b"second!"):
        write(store, "tmp/1", content)
        store.publish("tmp/1", "a/b")
    assert store.sizes() == {"a/b": 7}
    assert store.sha256("a/b") == hashlib.sha256(b"second!").hexdigest()


def test_a_missing_file_has_no_size_and_no_content_and_removing_it_is_no_error(store: LakeStore) -> None:
    write(store, "a", b"x")
    for _ in range(2):
        store.remove("a")
    assert store.size("a") is None
    assert store.sizes("nowhere") == {}
    with pytest.raises(FileNotFoundError), store.open("a"):
        pass
