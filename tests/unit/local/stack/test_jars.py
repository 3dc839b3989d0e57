from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from local.stack.jars import Jar, provide, read_lock, verify, write_lock
from moderation.errors import ConfigurationError

_CONTENT = b"a jar"
_JAR = Jar("org.example:thing:1.0", hashlib.sha256(_CONTENT).hexdigest(), len(_CONTENT))


def test_the_committed_lock_names_the_broker_and_each_jar_once() -> None:
    coordinates = [jar.coordinate for jar in read_lock()]
    assert "org.apache.kafka:kafka_2.13:4.4.0" in coordinates
    assert "org.apache.kafka:kafka-clients:4.4.0" in coordinates
    assert len({coordinate.rsplit(":", 1)[0] for coordinate in coordinates}) == len(coordinates)


def test_a_lock_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write_lock([_JAR], tmp_path / "jars.lock")
    assert read_lock(tmp_path / "jars.lock") == [_JAR]


@pytest.mark.parametrize("line", ["org.example:thing:1.0", "org.example:thing:1.0 abc 5", f"a:b:1 {'0' * 64} many"])
def test_a_malformed_lock_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "jars.lock").write_text(f"# header\n{line}\n")
    with pytest.raises(ConfigurationError, match="line 2"):
        read_lock(tmp_path / "jars.lock")


@pytest.mark.parametrize("content", [b"b jar", b"a jar and more", b""])
def test_an_altered_jar_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / _JAR.file_name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"jar org\.example:thing:1\.0"):
        verify(_JAR, tmp_path / _JAR.file_name)


def test_a_missing_jar_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"jar org\.example:thing:1\.0: .* is missing"):
        verify(_JAR, tmp_path / "nowhere.jar")


def test_jars_come_from_the_cache_and_other_jars_are_removed(tmp_path: Path) -> None:
    cache, folder = tmp_path / "cache", tmp_path / "jars"
    for made in (cache, folder):
        made.mkdir()
    (cache / _JAR.file_name).write_bytes(_CONTENT)
    (folder / "stranger.jar").write_bytes(b"?")
    assert provide(folder, jars=[_JAR], cache=cache) == [folder / _JAR.file_name]
    assert [path.name for path in folder.iterdir()] == [_JAR.file_name]


@pytest.mark.parametrize("altered", ["cache", "jars"])
def test_an_altered_jar_is_refused_in_any_folder(tmp_path: Path, altered: str) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "jars").mkdir()
    (tmp_path / altered / _JAR.file_name).write_bytes(b"b jar")
    with pytest.raises(ConfigurationError, match=r"jar org\.example:thing:1\.0"):
        provide(tmp_path / "jars", jars=[_JAR], cache=tmp_path / "cache")
