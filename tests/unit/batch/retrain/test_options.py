from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from batch.retrain.options import HOUR_US, parse_options
from batch.retrain.params import PARAMS
from batch.retrain.tasks import accept
from batch.run_interval import resolve_interval
from moderation.errors import ConfigurationError

NIGHT = datetime(2026, 11, 23, 3, 30, tzinfo=UTC)


def test_without_options_the_defaults_apply() -> None:
    options = parse_options({}, NIGHT)
    wanted = resolve_interval({"start": "2026-10-24T03:00", "end": "2026-11-21T03:00"})
    assert options.interval == wanted, "28 days up to the last full hour whose labels are two days old"
    assert options == parse_options({name: field["default"] for name, field in PARAMS.items()}, NIGHT)
    assert options.reason == "no reason was stated"
    assert [str(goal) for goal in options.goals] == ["review_share<=0.2"]


def test_every_default_is_valid_by_its_schema() -> None:
    for name, field in PARAMS.items():
        jsonschema.validate(field["default"], {key: value for key, value in field.items() if key != "default"}, None)
        assert field["description"], name


def test_the_last_message_overrides_the_parameters() -> None:
    options = parse_options({"seed": 1, "days": 7}, NIGHT, [{"seed": 2}, {"seed": 3, "reason": "slurs of the week"}])
    assert (options.seed, options.reason) == (3, "slurs of the week")
    assert options.interval.end_us - options.interval.start_us == 7 * 24 * HOUR_US


def test_a_resolved_end_gives_the_same_interval_again() -> None:
    first = parse_options({"days": 3, "end": "2026-11-20"}, NIGHT)
    again = parse_options({"days": 3, "end": "2026-11-20T00:00:00+00:00"}, datetime(2027, 1, 1, tzinfo=UTC))
    assert first.interval == again.interval == resolve_interval({"start": "2026-11-17", "end": "2026-11-20"})


@pytest.mark.parametrize(
    ("stated", "named"),
    [
        ({"windows": 3}, "windows"),
        ({"days": 0}, "days"),
        ({"days": "7"}, "days"),
        ({"days": True}, "days"),
        ({"seed": 1.5}, "seed"),
        ({"seed": -1}, "seed"),
        ({"newest_share": 0.7}, "newest_share"),
        ({"family": "forest"}, "family"),
        ({"no_action": "removed"}, "no_action"),
        ({"goals": "review_share<=0.2"}, "goals"),
        ({"goals": [1]}, "goals"),
        ({"goals": ["accuracy>=1"]}, "accuracy"),
        ({"end": "yesterday"}, "end"),
        ({"end": "2026-11-23"}, "labels of its last comments are not mature"),
    ],
)
def test_invalid_options_are_refused_by_name(stated: dict[str, Any], named: str) -> None:
    for params, requests in ((stated, []), ({}, [stated])):
        with pytest.raises(ConfigurationError, match=named):
            parse_options(params, NIGHT, requests)


class Message:
    def __init__(self, value: bytes | None) -> None:
        self._value = value

    def value(self) -> bytes | None:
        return self._value

    def offset(self) -> int:
        return 7


def test_a_message_is_a_request_only_if_it_is_a_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert accept(Message(b'{"seed": 4}')) == {"seed": 4}
    for value in (None, b"", b"[1]", b"now!", b'"seed"'):
        assert accept(Message(value)) is None
    assert capsys.readouterr().out.count("offset 7 is not a JSON object") == 5


def test_an_empty_message_starts_a_retraining_with_the_defaults() -> None:
    request = accept(Message(b"{}"))
    assert request, "Airflow's trigger passes over what is false"
    form = {"seed": 3, "reason": "by hand"}
    assert parse_options(form, NIGHT, [request]) == parse_options(form, NIGHT)
