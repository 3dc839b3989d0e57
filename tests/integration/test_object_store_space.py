"""The object store of the images on a small disk.

Adds to the tests of lake and registry on S3, which run on a disk with much space: there, any size of a volume works.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import s3fs

from tests.support.object_store import object_store

_FREE_MEGABYTES = 3_000  # as docs/deploy.md says
_BUCKETS = ("moderation-models", "moderation-lake", "another")


def test_three_buckets_can_be_written_with_the_documented_disk_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "objects"
    folder.mkdir()
    with object_store(folder, free_megabytes=_FREE_MEGABYTES) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        fs = s3fs.S3FileSystem()
        for bucket in _BUCKETS:
            fs.mkdir(bucket)
            fs.pipe_file(f"{bucket}/object", b"content")
        assert [fs.cat_file(f"{bucket}/object") for bucket in _BUCKETS] == [b"content"] * len(_BUCKETS)
    s3fs.S3FileSystem.clear_instance_cache()
