"""Expansion of Grafana's variables and macros, and the limits of its rules."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from grafana.source.macros import expand

START = datetime(2023, 11, 15, tzinfo=UTC)
END = datetime(2023, 11, 16, 12, 30, tzinfo=UTC)


def expanded(query: str, **values: str | list[str]) -> str:
    return expand(query, values, START, END)


def test_values_are_quoted_one_by_one() -> None:
    assert expanded("x = ${a:sqlstring}", a="it's") == "x = 'it''s'"
    assert expanded("ARRAY[${a:sqlstring}]", a=["one", "t'wo"]) == "ARRAY['one','t''wo']"
    assert expanded("ARRAY[${a:sqlstring}]::text[]", a=[]) == "ARRAY[]::text[]"


def test_times_become_literals_and_nanoseconds() -> None:
    assert expanded("$__timeFilter(day)") == "day BETWEEN '2023-11-15T00:00:00Z' AND '2023-11-16T12:30:00Z'"
    assert expanded("$__timeFrom() $__timeTo()") == "'2023-11-15T00:00:00Z' '2023-11-16T12:30:00Z'"
    assert expanded("$__unixEpochNanoFrom()") == "1700006400000000000"
    assert expanded("$__unixEpochNanoTo()") == "1700137800000000000"


def test_a_macro_s_argument_ends_at_the_first_parenthesis_as_in_grafana() -> None:
    assert expanded("$__timeFilter(to_timestamp(x))").startswith("to_timestamp(x BETWEEN")


@pytest.mark.parametrize("query", ["$__interval()", "$__timeFilter()", "${a}", "${a:csv}"])
def test_unknown_macros_and_unquoted_variables_are_refused(query: str) -> None:
    with pytest.raises(ValueError, match=r"\$"):
        expanded(query, a="1")


def test_a_variable_without_a_value_is_refused() -> None:
    with pytest.raises(KeyError):
        expanded("${a:sqlstring}")
