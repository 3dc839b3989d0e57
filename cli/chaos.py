"""``moderation chaos``: faults on a real stack while records flow, then the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.output import console, print_json, progress

if TYPE_CHECKING:
    from local.chaos.run import ChaosReport

_DEFECT = 3
_FOLDER = Path("var/chaos")


def chaos(
    minutes: Annotated[float, typer.Option(min=0.5, help="Length of the part with faults.")] = 25.0,
    seed: Annotated[int, typer.Option(help="Of the faults' order and of the traffic.")] = 0,
    rate: Annotated[float, typer.Option(min=1, help="Records a second.")] = 400.0,
    sabotage: Annotated[
        str | None, typer.Option(help="Make the workers wrong: drop, double, pane, unpublished or late.")
    ] = None,
    spark: Annotated[bool, typer.Option("--spark", help="Reconcile with Spark as well; both must agree.")] = False,
    data_folder: Annotated[Path, typer.Option(help="Of the stack that suffers; emptied first.")] = _FOLDER,
    keep: Annotated[bool, typer.Option(help="Leave the stack up, to look at it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Kill, freeze and restart workers, broker, database and registry of a stack of its own, and check every record.

    Exit code 3 when a number is not 0 that must be, a worker ended for good, or a fault could not be carried out. With
    --sabotage that is the expected end: it shows that the oracle sees.
    """
    from local.stack.required_packages import check_packages

    check_packages()
    from local.chaos.run import SABOTAGES, ChaosPlan, run
    from local.stack import commands as stack
    from local.stack.layout import StackLayout

    if sabotage is not None and sabotage not in SABOTAGES:
        raise typer.BadParameter(f"one of {', '.join(SABOTAGES)}", param_hint="--sabotage")
    layout = StackLayout(data_folder.resolve())
    try:
        with progress.status("starting") as status:
            outcome = run(layout, ChaosPlan(minutes, seed, rate, sabotage, spark), status.update)
    except BaseException:
        if not keep:
            stack.down(layout)  # its logs stay
        raise
    if not keep:
        stack.down(layout, purge=True)
    if as_json:
        print_json({**outcome.summary(), "minutes": minutes, "seed": seed, "rate": rate, "sabotage": sabotage})
    else:
        _print(outcome)
    if not outcome.is_clean:
        raise typer.Exit(_DEFECT)


def _print(outcome: ChaosReport) -> None:
    from local.oracle import FAULTS

    figures = outcome.summary()
    table = Table(show_header=False, title="after chaos")
    for name, count in outcome.faults.items():
        table.add_row(name.replace("_", " "), str(count))
    for name in ("records", "decisions", "dead_letters"):
        table.add_row(name.replace("_", " "), f"{figures[name]:,}")
    for name in (*FAULTS, "never_recovered"):
        table.add_row(name.replace("_", " "), str(figures[name]), style="red" if figures[name] else "green")
    for name in ("recover_seconds", "swap_seconds"):
        table.add_row(name.replace("_", " "), str(figures[name]))
    console.print(table)
    for name, examples in outcome.comparison.examples.items():
        progress.print(f"{name}: {'; '.join(examples)}", markup=False)
