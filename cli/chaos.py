"""``moderation chaos``: inject faults into a real stack under load, then verify every record with the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from cli.options import JsonOption
from cli.output import console, print_json, progress
from stream.exit_codes import DEFECT

if TYPE_CHECKING:
    from local.chaos.run import ChaosReport

Sabotage = Literal["drop", "double", "pane", "unpublished", "late"]
_FOLDER = Path("var/chaos")


def chaos(
    minutes: Annotated[float, typer.Option(min=0.5, help="How long to inject faults, in minutes.")] = 25.0,
    seed: Annotated[int, typer.Option(help="Seed of the order of faults and of the traffic.")] = 0,
    rate: Annotated[float, typer.Option(min=1, help="Records a second.")] = 400.0,
    sabotage: Annotated[Sabotage | None, typer.Option(help="Run workers with this defect, to test the oracle.")] = None,
    spark: Annotated[
        bool, typer.Option("--spark", help="Reconcile with Spark as well; both engines must agree.")
    ] = False,
    data_folder: Annotated[
        Path, typer.Option(help="Folder of the stack under test: new, or an earlier run's.")
    ] = _FOLDER,
    keep: Annotated[bool, typer.Option(help="Leave the stack running afterwards.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Kill, freeze and restart workers, broker, database and registry of a stack of its own; verify every record.

    The exit code is 3 if a defect count is not 0, a worker ended for good, or a fault could not be injected. With
    --sabotage this is the expected result: it proves that the oracle detects the defect.

    The data folder must be new, empty or left by an earlier chaos run; the run deletes it at its end.

    Example: `moderation chaos --minutes 2 --seed 7`
    """
    from local.stack.required_packages import check_packages

    check_packages()
    from local.stack import commands as stack
    from local.stack.folder_kind import FolderKind
    from local.stack.layout import StackLayout

    layout = StackLayout(data_folder.resolve())
    stack.empty(layout, FolderKind.CHAOS)
    from local.chaos.run import ChaosPlan, run

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
        raise typer.Exit(DEFECT)


def _print(outcome: ChaosReport) -> None:
    from local.oracle import FAULTS

    figures = outcome.summary()
    table = Table(show_header=False, title="results of the chaos run")
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
