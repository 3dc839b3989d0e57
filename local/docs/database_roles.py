"""Write the tables of docs/database.md from the table of grants: ``python -m local.docs.database_roles``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from batch.markdown import table
from moderation.adapters.sql.grants import LIMITS, PURPOSES, RULES, Role, Rule

PAGE = Path(__file__).parents[2] / "docs" / "database.md"
_BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def grants_table() -> str:
    """Return the table of what each role may do, as Markdown."""
    rows = []
    for role in Role:
        rules = [rule for rule in RULES[role] if rule.privileges != ("USAGE",)]
        rows += [(f"`{role}`" if number == 0 else "", *_cells(rule)) for number, rule in enumerate(rules)]
    return _lines("| role | privileges | on |", rows)


def limits_table() -> str:
    """Return the table of purposes and time limits, as Markdown."""
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    rows = [(f"`{role}`", PURPOSES[role], *(LIMITS[role][name] for name in names)) for role in Role]
    return _lines("| role | for | `statement_timeout` | `lock_timeout` | idle in a transaction |", rows)


TABLES: Mapping[str, Callable[[], str]] = {"limits": limits_table, "grants": grants_table}
"""Function that returns each table, by name."""


def updated_page(text: str) -> str:
    """Return the page with all tables rendered again.

    Args:
        text: of the page; tables are between ``<!-- table: NAME -->`` and ``<!-- end -->``.

    Raises:
        ValueError: a table is missing or unknown.
    """
    names = [match[2] for match in _BLOCK.finditer(text)]
    if sorted(names) != sorted(TABLES):
        raise ValueError(f"the page has the tables {sorted(names)}, not {sorted(TABLES)}")
    return _BLOCK.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}{match[3]}", text)


def _cells(rule: Rule) -> tuple[str, str]:
    privileges = ", ".join(rule.privileges)
    columns = f" ({', '.join(f'`{column}`' for column in rule.columns)})" if rule.columns else ""
    return privileges + columns, ", ".join(f"`{thing}`" for thing in rule.things)


def _lines(header: str, rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(table(header, rows)) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(updated_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
