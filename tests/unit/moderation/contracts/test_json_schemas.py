"""The committed schemas equal the generated ones, and agree with the parser."""

from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.contracts import Rules, parse_action, parse_record
from moderation.contracts.json_schemas import CONTRACTS, SCHEMAS_DIR, rendered
from moderation.contracts.records import MAX_TIME_US
from moderation.contracts.strict import read_strictly
from moderation.errors import InvalidRecord


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_committed_schema_is_the_generated_one(name: str) -> None:
    committed = (SCHEMAS_DIR / f"{name}.json").read_text()
    assert committed == rendered(name), "run: python -m moderation.contracts.json_schemas"


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_schema_is_a_valid_closed_schema(name: str) -> None:
    schema = json.loads(rendered(name))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert "schema_version" in schema["required"]


odd_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, MAX_TIME_US + 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=3),
    st.sampled_from(["remove", "approve", "x" * 257, "x" * 1_001, "a\0"]),
    st.lists(st.integers(), max_size=1),
)
good_comment = {"schema_version": 1, "comment_id": "c", "community": "x", "body": "b", "event_time_us": 5}
good_action = {
    "schema_version": 1,
    "comment_id": "c",
    "kind": "remove",
    "moderator_key": "m",
    "reason": "",
    "action_time_us": 5,
    "inclusion_probability": 1.0,
}


def changed(good: dict[str, object]) -> st.SearchStrategy[dict[str, object]]:
    names = st.sampled_from([*good, "author_key", "parent_id", "other"])
    drop = st.lists(st.sampled_from(list(good)), max_size=1)
    return st.builds(
        lambda changes, dropped: {k: v for k, v in {**good, **changes}.items() if k not in dropped},
        st.dictionaries(names, odd_values, max_size=2),
        drop,
    )


@given(changed(dict(good_comment)))
def test_the_schema_equals_the_first_rules_and_the_newest_rules_read_all_of_it(fields: dict[str, object]) -> None:
    """The schema is for producers; the parser also reads other records and repairs them."""
    valid = jsonschema.Draft202012Validator(json.loads(rendered("comment"))).is_valid(_strict(fields))
    raw = json.dumps(fields).encode()
    try:
        comment = read_strictly(raw, MAX_TIME_US)
    except InvalidRecord as refused:
        assert not valid, refused.reason
    else:
        assert valid
        assert parse_record(raw, MAX_TIME_US, Rules(earliest_event_us=0)) == comment


@given(changed(dict(good_action)))
def test_every_action_that_the_schema_allows_is_read(fields: dict[str, object]) -> None:
    valid = jsonschema.Draft202012Validator(json.loads(rendered("action"))).is_valid(_strict(fields))
    try:
        parse_action(json.dumps(fields).encode())
    except InvalidRecord as refused:
        assert not valid, refused.reason


def _strict(fields: dict[str, object]) -> dict[str, object]:
    """JSON Schema takes 5.0 for an integer; the parser does not. Mark such floats so that both refuse them."""
    times = ("event_time_us", "action_time_us", "schema_version")
    return {k: str(v) if k in times and isinstance(v, float) else v for k, v in fields.items()}
