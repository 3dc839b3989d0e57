from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from moderation.datasets.importer import plain_import
from moderation.datasets.importer.authors import parse_author_key
from moderation.errors import ConfigurationError
from tests.support.imports import read

KEY = b"a key of at least thirty-two bytes"


def keys(path: Path, key: bytes) -> list[str | None]:
    rows = plain_import(path, accepted=("times", "left-out"), author_key=key).comments()
    return [row.comment.author_key for row in rows]


def test_names_of_authors_become_pseudonyms_by_key(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("id,author,body,removed\na,ann,x,0\nb,bob,x,1\nc,ann,y,0\nd,[deleted],y,0\ne,é 🤔,y,0\n")
    ann, bob, again, gone, other = keys(path, KEY)
    assert ann == again == "u" + hmac.new(KEY, b"ann", hashlib.sha256).hexdigest()[:16]
    assert gone is None
    assert len({ann, bob, other}) == 3
    assert {ann, bob, other}.isdisjoint(keys(path, b"")), "another key, other pseudonyms"


def test_keys_of_this_project_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "comments.csv"
    path.write_text("comment_id,author_key,body,event_time_us,community,removed\na,u5f1c,x,1682935200000000,s,0\n")
    assert keys(path, KEY) == ["u5f1c"]
    _, (row,) = read(path, columns="author=#2", author_key=KEY)
    assert row.comment.author_key == "u5f1c", "the column is stated by its number"


def test_a_key_has_at_least_32_bytes_or_is_not_set() -> None:
    assert (parse_author_key(None), parse_author_key(""), parse_author_key(KEY.decode())) == (b"", b"", KEY)
    with pytest.raises(ConfigurationError, match="MODERATION_AUTHOR_KEY: it has 5 bytes"):
        parse_author_key("short")
