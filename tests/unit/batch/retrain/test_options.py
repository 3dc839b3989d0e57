from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from batch.retrain.options import HOUR_US, parse_options
from batch.retrain.params import PARAMS
from batch.retrain.tasks import accept
from batch.run_interval import resolve_interval
from moderation.errors import ConfigurationError
from moderation.training.gate import GateLimits

NIGHT = datetime(2026, 11, 23, 3, 30, tzinfo=UTC)


def test_without_options_the_defaults_apply() -> None:
    options = parse_options({}, NIGHT)
    wanted = resolve_interval({"start": "2026-10-24T03:00", "end": "2026-11-21T03:00"})
    assert options.interval == wanted, "28 days up to the last full hour whose labels are two days old"
    assert options == parse_options({name: field["default"] for name, field in PARAMS.items()}, NIGHT)
    assert options.reason == "no reason was stated"
    assert (options.goals, options.family) == ((), None), "as production"
    assert (options.explore_removals, options.explore_allowed) == (None, None), "as production"
    assert options == parse_options({"goals": None, "family": "", "end": ""}, NIGHT), "an emptied field is the default"


def test_every_default_is_valid_by_its_schema() -> None:
    for name, field in PARAMS.items():
        jsonschema.validate(field["default"], {key: value for key, value in field.items() if key != "default"}, None)
        assert field["description"], name


def test_the_last_message_overrides_the_parameters() -> None:
    options = parse_options({"seed": 1, "days": 7}, NIGHT, [{"days": 2}, {"days": 3, "reason": "slurs of the week"}])
    assert (options.seed, options.reason) == (1, "slurs of the week")
    assert options.interval.end_us - options.interval.start_us == 3 * 24 * HOUR_US
    assert options.ignored == ()


@pytest.mark.parametrize("name", [*sorted(PARAMS.keys() - {"reason", "days", "end"}), "windows"])
def test_a_message_cannot_state_anything_that_weakens_the_gate(name: str) -> None:
    weakened = {"auc_margin": 1.0, "newest_share": 0.05, "goals": ["recall>=0.1"], "seed": 7, "maturity_hours": 0}
    request = {name: weakened.get(name, "left out"), "reason": "a raid", "days": 3}
    options = parse_options({}, NIGHT, [request])
    assert replace(options, ignored=()) == parse_options({"reason": "a raid", "days": 3}, NIGHT)
    assert options.ignored == (f"a message states '{name}': it may state reason, days, end only",)


@pytest.mark.parametrize(
    ("request_", "cause"),
    [
        ({"days": "7"}, "a message states days '7': it must be of type number"),
        ({"days": 1e300}, "a message states days 1e+300: it is out of range"),
        ({"end": "2026-11-23"}, "labels of its last comments are not mature"),
        ({"end": "yesterday"}, "a message states end 'yesterday'"),
        ({"reason": "long " * 1_000}, "it is longer than 1,000 characters"),
        ({"x" * 1_000: 1}, "it may state"),
    ],
)
def test_a_malformed_message_fails_no_run_and_is_named(request_: dict[str, Any], cause: str) -> None:
    options = parse_options({}, NIGHT, [request_, {"reason": "drift"}])
    assert replace(options, ignored=()) == parse_options({"reason": "drift"}, NIGHT)
    assert len(options.ignored) == 1
    assert cause in options.ignored[0]
    assert len(options.ignored[0]) < 300


def test_the_margin_of_the_gate_can_be_narrowed_only() -> None:
    assert parse_options({"auc_margin": 0.005}, NIGHT).auc_margin == 0.005
    assert PARAMS["auc_margin"]["maximum"] == PARAMS["auc_margin"]["default"] == GateLimits().auc_margin
    with pytest.raises(ConfigurationError, match=r"auc_margin 0.02.*at most 0.01"):
        parse_options({"auc_margin": 0.02}, NIGHT)


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
        ({"days": 1e300}, "days"),
        ({"seed": 1.5}, "seed"),
        ({"seed": -1}, "seed"),
        ({"newest_share": 0.7}, "newest_share"),
        ({"family": "forest"}, "family"),
        ({"no_action": "removed"}, "no_action"),
        ({"goals": "review_share<=0.2"}, "goals"),
        ({"goals": [1]}, "goals"),
        ({"explore_removals": 0.0005}, r"explore_removals 0.0005: a share below 0.001 is too small"),
        ({"explore_removals": 1.5}, "explore_removals"),
        ({"explore_allowed": -0.1}, "explore_allowed"),
        ({"explore_allowed": "0.01"}, "explore_allowed"),
        ({"goals": ["accuracy>=1"]}, "accuracy"),
        ({"end": "yesterday"}, "end"),
        ({"end": "2026-11-23"}, "labels of its last comments are not mature"),
    ],
)
def test_invalid_options_are_refused_by_name(stated: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        parse_options(stated, NIGHT)


class Message:
    def __init__(self, value: bytes | None) -> None:
        self._value = value

    def value(self) -> bytes | None:
        return self._value

    def offset(self) -> int:
        return 7


def test_a_message_is_a_request_only_if_it_is_a_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert accept(Message(b'{"days": 4}')) == {"days": 4}
    for value in (None, b"", b"[1]", b"now!", b'"seed"'):
        assert accept(Message(value)) is None
    assert capsys.readouterr().out.count("offset 7 is not a JSON object") == 5


def test_an_empty_message_starts_a_retraining_with_the_defaults() -> None:
    request = accept(Message(b"{}"))
    assert request, "Airflow's trigger passes over what is false"
    form = {"seed": 3, "reason": "by hand"}
    assert parse_options(form, NIGHT, [request]) == parse_options(form, NIGHT)
