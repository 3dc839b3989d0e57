"""Which columns contain text, label, time, community, id and author: stated, or guessed from their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from moderation.datasets.importer.labels import NOT_APPROVED, AnyLabel, LabelRule, parse_label
from moderation.datasets.importer.times import ORDERS, UNITS, checked_form
from moderation.errors import ConfigurationError

ROLES = ("body", "label", "time", "community", "id", "author", "parent")
_EXAMPLE = (
    "Write for example --columns 'body=comment_text,label=toxic>=0.5,time=created_utc:s'. Double quotes protect "
    "commas: 'label=state=\"spam, ads\"'."
)
_COLUMN_PARTS = re.compile(r'(?:[^,"]|"[^"]*")+')

ALIASES: dict[str, tuple[str, ...]] = {
    "body": ("body", "comment_text", "comment_body", "text", "comment", "content", "message", "tweet"),
    "label": (
        *("removed", "is_removed", "was_removed", "label", "target", "toxic", "is_toxic", "toxicity", "spam"),
        *("is_spam", "class", "status", "rating", "moderation_status", "approved", "is_approved", "kept"),
    ),
    "time": (
        *("event_time_us", "created_utc", "created_date", "created_at", "created", "event_time", "timestamp"),
        *("time", "datetime", "date", "published_at", "posted_at", "comment_time"),
    ),
    "community": ("community", "subreddit", "forum", "channel"),
    "id": ("comment_id", "id", "commentid"),
    "author": ("author_key", "author", "username", "user", "user_id", "author_id", "user_name"),
    "parent": ("parent_id", "parent"),
}
"""Names of columns by role, the preferred first; compared in lower case, with ``_`` for spaces and hyphens."""


@dataclass(frozen=True, slots=True)
class TimeRule:
    """Column of times, and how to read it.

    Attributes:
        column: name of the column, or ``#`` and its number from 1.
        rule: see :func:`moderation.datasets.importer.times.time_us`.
    """

    column: str
    rule: str | None = None

    def __str__(self) -> str:
        """Return the rule as ``--columns time=…`` accepts it."""
        return self.column if self.rule is None else f"{self.column}:{self.rule}"


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Columns by role; None where a file has no such column. A column is a name, or ``#`` and its number from 1.

    Attributes:
        body: text of the comment.
        label: whether a moderator removed it.
        time: event time.
        community: community, e.g. the subreddit.
        id: id of the comment.
        author: author, used as ``author_key``.
        parent: id of the parent.
    """

    body: str | None = None
    label: LabelRule | AnyLabel | None = None
    time: TimeRule | None = None
    community: str | None = None
    id: str | None = None
    author: str | None = None
    parent: str | None = None

    def columns(self) -> dict[str, str]:
        """Return the columns that the mapping uses, by role; those of a label after the first by :func:`label_role`."""
        columns: dict[str, str] = {}
        for role in ROLES:
            if isinstance(each := getattr(self, role), LabelRule | AnyLabel):
                columns |= {label_role(number): rule.column for number, rule in enumerate(each.rules)}
            elif each is not None:
                columns[role] = each.column if isinstance(each, TimeRule) else each
        return columns

    def stated(self) -> str:
        """Return the mapping as ``--columns`` accepts it."""
        return ",".join(f"{role}={quoted(str(getattr(self, role)))}" for role in ROLES if getattr(self, role))


def label_role(number: int) -> str:
    """Return the role of the column of a label's rule: ``label``, then ``label 2`` and so on."""
    return "label" if number == 0 else f"label {number + 1}"


def parse_columns(texts: Sequence[str]) -> dict[str, Any]:
    """Parse values of ``--columns`` into roles with their columns; a role without a column has None.

    Args:
        texts: e.g. ``body=comment_text,label=toxic>=0.5,time=created_utc:s``. Double quotes protect commas.

    Raises:
        ConfigurationError: a role is unknown, is given twice, or its value is malformed.
    """
    stated: dict[str, Any] = {}
    for part in column_parts(texts, "--columns"):
        role, separator, value = (piece.strip() for piece in part.partition("="))
        if len(value) > 1 and value.startswith('"') and value.endswith('"') and '"' not in value[1:-1]:
            value = value[1:-1]
        if not separator or role not in ROLES:
            cause = f"{part!r} does not begin with one of {', '.join(f'{role}=' for role in ROLES)}"
            raise ConfigurationError("--columns", cause, _EXAMPLE)
        if role in stated:
            raise ConfigurationError("--columns", f"{role} is given twice", _EXAMPLE)
        try:
            stated[role] = _value(role, value) if value else None
        except ValueError as error:
            raise ConfigurationError("--columns", f"{part!r}: {error}", _EXAMPLE) from error
    return stated


def column_parts(texts: Sequence[str], option: str, example: str = _EXAMPLE) -> list[str]:
    """Split values of an option between commas that are not quoted.

    Args:
        texts: values of the option.
        option: its name, for messages.
        example: how to write it.

    Raises:
        ConfigurationError: a quotation mark is not closed.
    """
    for text in texts:
        if text.count('"') % 2:
            raise ConfigurationError(option, f"{text!r}: a double quote is not closed", example)
    return [part for text in texts for part in _COLUMN_PARTS.findall(text)]


def guess_columns(names: Sequence[str]) -> tuple[ColumnMapping, dict[str, list[str]]]:
    """Guess the columns from their names.

    Returns:
        The mapping, and the roles body and label for which several columns qualify: the mapping has none for them.
    """
    by_alias: dict[str, list[str]] = {}
    for name in names:
        by_alias.setdefault(normal(name), []).append(name)
    inner = _prefix_of_text(names) if not any(alias in by_alias for alias in ALIASES["body"]) else None
    for name in names if inner is not None else ():
        if name.startswith(f"{inner}.") and (alias := normal(name.rpartition(".")[2])) not in by_alias:
            by_alias[alias] = [name]
    guessed: dict[str, Any] = {}
    ambiguous: dict[str, list[str]] = {}
    for role, aliases in ALIASES.items():
        candidates = [name for alias in aliases for name in by_alias.get(alias, ())]
        if len(candidates) > 1 and role in ("body", "label"):
            ambiguous[role] = candidates
        elif candidates:
            guessed[role] = _guessed(role, candidates[0])
    return ColumnMapping(**guessed), ambiguous


def _prefix_of_text(names: Sequence[str]) -> str | None:
    """Return the key of the inner object that contains the text, as in ``data.body``; None for none or several."""
    prefixes = {
        prefix
        for prefix, dot, last in (each.rpartition(".") for each in names)
        if dot and normal(last) in ALIASES["body"]
    }
    return prefixes.pop() if len(prefixes) == 1 else None


def normal(name: str) -> str:
    """Return the form of a column's name in which names are compared."""
    return re.sub(r"[\s\-]+", "_", name.strip().casefold())


def with_stated(mapping: ColumnMapping, stated: dict[str, Any]) -> ColumnMapping:
    """Replace the roles that are stated."""
    return replace(mapping, **stated)


def mapping_fields(mapping: ColumnMapping) -> dict[str, str | None]:
    """Return a mapping as JSON fields; :func:`mapping_from_fields` reads them."""
    return {
        each.name: None if (value := getattr(mapping, each.name)) is None else str(value) for each in fields(mapping)
    }


def mapping_from_fields(stored: dict[str, Any]) -> dict[str, Any]:
    """Return the stated roles of a stored mapping.

    Raises:
        ConfigurationError: a role is unknown or its value malformed.
    """
    stated: dict[str, Any] = {}
    for role, value in stored.items():
        if role not in ROLES:
            raise ConfigurationError("--mapping", f"columns: {role!r} is none of {', '.join(ROLES)}", _EXAMPLE)
        if not (value is None or isinstance(value, str)):
            raise ConfigurationError("--mapping", f"columns: {role}: {value!r} is not a column", _EXAMPLE)
        try:
            stated[role] = _value(role, value) if value else None
        except ValueError as error:
            raise ConfigurationError("--mapping", f"columns: {role}: {error}", _EXAMPLE) from error
    return stated


def _guessed(role: str, column: str) -> object:
    if role == "label":
        if normal(column) in ("approved", "is_approved", "kept"):
            return LabelRule(column, "=", values=NOT_APPROVED)
        return LabelRule(column)
    if role == "time":
        return TimeRule(column, "us" if normal(column) == "event_time_us" else None)
    return column


def _value(role: str, value: str) -> object:
    if role == "label":
        return parse_label(value)
    return time_rule(value) if role == "time" else value


def time_rule(value: str) -> TimeRule:
    """Parse ``column`` or ``column:rule``.

    Raises:
        ValueError: the rule is unknown or malformed.
    """
    for position in (index for index, character in enumerate(value) if character == ":"):
        column, rule = value[:position], value[position + 1 :]
        if rule in UNITS or rule in ORDERS:
            return TimeRule(column, rule)
        if "%" in rule:
            return TimeRule(column, checked_form(rule))
    head, _, unit = value.rpartition(":")
    if head and re.fullmatch(r"\w{1,12}", unit):
        known = ", ".join((*UNITS, *ORDERS))
        raise ValueError(f"the unit {unit!r} is none of {known}, and not a format such as %d.%m.%Y")
    return TimeRule(value)


def quoted(text: str) -> str:
    """Return a value of ``--columns`` with quotation marks if it has commas outside of them."""
    return text if _COLUMN_PARTS.fullmatch(text) else f'"{text}"'
