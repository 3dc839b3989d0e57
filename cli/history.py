"""``moderation history``: which model version served when, who promoted it, why, and what its gate said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, printable, utc
from stream.exit_codes import REPORTED

if TYPE_CHECKING:
    from moderation.adapters.sql.promotions import ServingPeriod
    from moderation.settings import Settings


def history(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of periods.")] = 100,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Verify the signatures of all records; exit code 1 if one is wrong."),
    ] = False,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """List which model version served when, newest first: who promoted it, why, and what its gate said.

    A version that serves without a record of its promotion is listed as moved by hand in MLflow; one that served before
    the first record, or without any record, as not recorded.

    With --verify the command lists the records of promotions instead. An edited record, and one that is missing
    although another record or a tag in MLflow names it, gives exit code 1. Records of earlier releases are not signed.

    Example: `moderation history`

    Example: `moderation history --verify`

    --json prints {"model_name", "topic", "periods": [{"version", "since_us", "until_us", "first_decision_us",
    "from_offsets": {partition: offset}, "replaced", "kind": first, promote, rollback, by hand or not recorded,
    "promoted_by", "reason", "gate", "gate_reasons", "model_digest", "requested_from", "is_confirmed",
    "override"}]}. Unknown values are null. With --verify it prints {"records": [{"version", "request_id",
    "requested_us", "state": signed, not signed, edited or missing, "cause"}], "signed", "not_signed", "edited",
    "missing"}.
    """
    from batch.promotion.history import period_fields, read_history
    from moderation.adapters.kafka.topics import COMMENTS

    settings = connected_settings(data_folder)
    if verify:
        _verify(settings, as_json)
        return
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


def _verify(settings: Settings, as_json: bool) -> None:
    from batch.promotion.history import verify_records

    checks = verify_records(settings)
    states = ("signed", "not signed", "edited", "missing")
    counts = {state: sum(each.state == state for each in checks) for state in states}
    if as_json:
        numbers = {state.replace(" ", "_"): count for state, count in counts.items()}
        print_json({"records": [each.fields() for each in checks], **numbers})
    else:
        console.print(f"{settings.model_name}: {', '.join(f'{count} {state}' for state, count in counts.items())}")
        for each in checks:
            if each.state != "signed":
                when = "" if each.requested_us is None else f", requested {utc(each.requested_us)}"
                line = f"version {each.version or 'unknown'}{when}: {each.state}: {each.cause}"
                console.print(printable(line), markup=False, soft_wrap=True, highlight=False)
    if counts["edited"] or counts["missing"]:
        raise typer.Exit(REPORTED)


def _table(periods: list[ServingPeriod]) -> Table:
    table = Table()
    for column in ("since", "until", "version", "replaced", "kind", "by", "why", "gate"):
        table.add_column(column, overflow="fold")
    for period in periods:
        gate = "–" if period.gate is None else period.gate
        if period.gate_reasons:
            gate += f": {period.gate_reasons}"
        if period.override is not None:
            gate += f"; served by override: {period.override}"
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
