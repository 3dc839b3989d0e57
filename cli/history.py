"""``moderation history``: which model version served when, who promoted it, why, and what its gate said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, printable, utc

if TYPE_CHECKING:
    from moderation.adapters.sql.promotions import ServingPeriod


def history(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of periods.")] = 100,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """List which model version served when, newest first: who promoted it, why, and what its gate said.

    A version that serves without a record of its promotion is listed as moved by hand in MLflow; one that served before
    the first record, or without any record, as not recorded.

    Example: `moderation history`

    --json prints {"model_name", "topic", "periods": [{"version", "since_us", "until_us", "first_decision_us",
    "from_offsets": {partition: offset}, "replaced", "kind": first, promote, rollback, by hand or not recorded,
    "promoted_by", "reason", "gate", "gate_reasons", "model_digest", "requested_from", "is_confirmed"}]}. Unknown values
    are null.
    """
    from batch.promotion.history import period_fields, read_history
    from moderation.adapters.kafka.topics import COMMENTS

    settings = connected_settings(data_folder)
    periods = read_history(settings, limit)
    if as_json:
        print_json(
            {
                "model_name": settings.model_name,
                "topic": settings.topic_prefix + COMMENTS.name,
                "periods": [period_fields(period) for period in periods],
            }
        )
    elif not periods:
        console.print(f"no version of {settings.model_name} has served", markup=False, highlight=False)
    else:
        console.print(_table(periods), soft_wrap=False)


def _table(periods: list[ServingPeriod]) -> Table:
    table = Table()
    for column in ("since", "until", "version", "replaced", "kind", "by", "why", "gate"):
        table.add_column(column, overflow="fold")
    for period in periods:
        gate = "–" if period.gate is None else period.gate
        if period.gate_reasons:
            gate += f": {period.gate_reasons}"
        cells = (
            _time(period.since_us, "not known"),
            _time(period.until_us, "now"),
            period.version,
            period.replaced or "–",
            period.kind if period.is_confirmed or period.reason is None else f"{period.kind}, not confirmed",
            period.promoted_by,
            period.reason or "–",
            gate,
        )
        table.add_row(*(escape(printable(cell)) for cell in cells))
    return table


def _time(time_us: int | None, absent: str) -> str:
    return absent if time_us is None else utc(time_us)
