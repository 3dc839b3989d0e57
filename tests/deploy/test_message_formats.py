"""docs/message-formats.md follows from the contracts, and its examples are valid messages."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import jsonschema
import pytest

from local.docs.message_formats import MEANINGS, PAGE, fields_table, updated_page
from moderation.contracts import parse_action
from moderation.contracts.json_schemas import json_schema
from moderation.contracts.parse import read_record
from tests.support.message_examples import LANGUAGES, NOW_US, messages

EACH = pytest.mark.parametrize("language", LANGUAGES)


def test_the_tables_follow_from_the_contracts() -> None:
    assert updated_page(PAGE.read_text()) == PAGE.read_text(), "generate it again: python -m local.docs.message_formats"


@pytest.mark.parametrize("name", MEANINGS)
def test_a_table_has_every_field_and_no_other(name: str) -> None:
    assert MEANINGS[name].keys() == json_schema(name)["properties"].keys()
    lines = fields_table(name).splitlines()[2:]
    required = [line.split("`")[1] for line in lines if line.split("|")[2].strip() == "yes"]
    assert sorted(required) == sorted(json_schema(name)["required"])


def test_a_table_that_is_missing_or_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match="comments"):
        updated_page(PAGE.read_text().replace("fields: comment -->", "fields: comments -->"))


@EACH
def test_examples_are_read_without_repairs_and_fit_the_schema(language: str) -> None:
    sent = messages(language)
    read = read_record(encoded(sent["comment"]), NOW_US)
    assert (read.repairs, read.ignored) == ((), 0)
    assert asdict(read.comment) == sent["comment"]
    assert asdict(parse_action(encoded(sent["action"]))) == sent["action"]
    for name, fields in sent.items():
        jsonschema.Draft202012Validator(json_schema(name)).validate(fields)
    assert sent["comment"].keys() == json_schema("comment")["properties"].keys()
    assert sent["action"]["comment_id"] == sent["comment"]["comment_id"]


def test_all_languages_send_the_same() -> None:
    assert [messages(language) for language in LANGUAGES] == [messages("python")] * len(LANGUAGES)


def encoded(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()
