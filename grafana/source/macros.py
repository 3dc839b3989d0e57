"""Replace variables and macros in a query as Grafana does before it sends the query to PostgreSQL.

The rules are Grafana's, with the same limits: a macro's argument ends at the first closing parenthesis, so
``$__timeFilter(to_timestamp(x))`` fails here as it does in Grafana.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

Values = Mapping[str, str | Sequence[str]]

_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}")
_MACRO = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")


def expand(query: str, values: Values, start: datetime, end: datetime) -> str:
    """Return the SQL that Grafana would send.

    Args:
        query: SQL with variables and macros.
        values: values of the variables; several values as a list.
        start: start of the time range, timezone-aware.
        end: its end, timezone-aware.

    Raises:
        KeyError: a variable has no value.
        ValueError: a macro or a format is unknown.
    """

    def variable(matched: re.Match[str]) -> str:
        name, form = matched[1], matched[2]
        if form != "sqlstring":
            raise ValueError(f"{matched[0]}: a variable in SQL is written ${{{name}:sqlstring}}")
        value = values[name]
        several = [value] if isinstance(value, str) else value
        return ",".join("'" + each.replace("'", "''") + "'" for each in several)

    def macro(matched: re.Match[str]) -> str:
        name, argument = matched[1], matched[2].strip()
        match name:
            case "__timeFilter" if argument:
                return f"{argument} BETWEEN '{_rfc3339(start)}' AND '{_rfc3339(end)}'"
            case "__timeFrom":
                return f"'{_rfc3339(start)}'"
            case "__timeTo":
                return f"'{_rfc3339(end)}'"
            case "__unixEpochNanoFrom":
                return str(_nanoseconds(start))
            case "__unixEpochNanoTo":
                return str(_nanoseconds(end))
            case _:
                raise ValueError(f"unknown macro {matched[0]}")

    return _MACRO.sub(macro, _VARIABLE.sub(variable, query))


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _nanoseconds(instant: datetime) -> int:
    since = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
