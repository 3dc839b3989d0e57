"""What ``moderation demo`` prints at its end."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from cli.output import console, print_line

if TYPE_CHECKING:
    from local.demo.model_loop import LoopReport
    from local.demo.run import DemoSummary

_RATES = {"reviews_a_day": "reviews a day", "removals_a_day": "removals a day"}


def print_summary(summary: DemoSummary) -> None:
    """Print the figures of the comparison."""
    from local.oracle import FAULTS

    comparison = asdict(summary.comparison)
    table = Table(show_header=False, title="results for every record")
    for name in ("records", "decisions", "dead_letters"):
        table.add_row(name.replace("_", " "), f"{comparison[name]:,}")
    for name in FAULTS:
        table.add_row(name, str(comparison[name]), style="red" if comparison[name] else "green")
    table.add_row(
        "archived by Airflow", f"{summary.archived['records']:,} records in {summary.archived['files']} files"
    )
    colour = "red" if summary.archived["defects"] else "green"
    table.add_row("defects of the lake", str(summary.archived["defects"]), style=colour)
    reconciled = summary.reconciled
    table.add_row("days reconciled", f"{reconciled.days}, {reconciled.final} of them final")
    counts = f"batch {reconciled.batch_comments:,}, speed {reconciled.speed_comments:,}"
    table.add_row("comments in their panes", counts)
    causes = [f"{rows:,} {cause}" for cause, rows in reconciled.causes.items() if rows]
    table.add_row("explained by", ", ".join(causes) or "nothing to explain")
    defects = sum(reconciled.defects.values())
    table.add_row("defects between batch and speed", str(defects), style="red" if defects else "green")
    table.add_row("live comments", f"{summary.live_comments:,} at {summary.live_per_s:.0f}/s")
    table.add_row(
        "append to published decision", f"p50 {summary.latency_p50_ms:.0f} ms, p99 {summary.latency_p99_ms:.0f} ms"
    )
    table.add_row("AUC on the live part", f"{summary.live_auc:.3f}")
    table.add_row("duration", f"{sum(summary.seconds.values()) / 60:.1f} minutes")
    console.print(table)


def print_loop(loop: LoopReport) -> None:
    """Print what the retraining changed, or why the new version does not serve."""
    from local.demo.model_loop import LoopState

    if loop.state is LoopState.BY_HAND:
        return
    table = Table("", "before", "after", title=f"retraining in Airflow: {loop.state.value}")
    table.add_row("version", loop.production or "none", loop.version or "none")
    table.add_row(f"AUC on the newest {loop.comments:,} comments", _figure(loop.production_auc), _figure(loop.auc))
    for name, label in _RATES.items():
        before, after = loop.rates.get(f"production_{name}"), loop.rates.get(name)
        if before is not None and after is not None:
            table.add_row(f"{label}, on these comments", f"{before:,.1f}", f"{after:,.1f}")
    if loop.goals:
        table.add_row("goals", "", f"{', '.join(loop.goals)} (from: {loop.goals_from})")
    for lowered in loop.goals_lowered:
        table.add_row("lowered", "", lowered)
    if loop.served_from:
        offsets = ", ".join(f"{partition}: {offset:,}" for partition, offset in loop.served_from.items())
        table.add_row("serves from partition: offset", "", offsets)
        table.add_row("comments decided", "", f"{loop.decided:,}")
    console.print(table)
    for reason in loop.reasons:
        print_line(f"the gate: {reason}")


def print_next_steps(loop: LoopReport, mlflow_url: str, airflow_url: str, data_folder: Path) -> None:
    """Print what to look at, how to repeat the loop by hand, and how to stop the stack."""
    for line in next_steps(loop, mlflow_url, airflow_url, data_folder):
        print_line(line)


def next_steps(loop: LoopReport, mlflow_url: str, airflow_url: str, data_folder: Path) -> list[str]:
    """Return the lines of :func:`print_next_steps`."""
    from local.demo.model_loop import LoopState

    option = f"--data-folder {shlex.quote(str(data_folder))}"
    model = f"{mlflow_url}/#/models/comment-moderation"
    lines = []
    match loop.state:
        case LoopState.SERVED:
            lines.append(f"version {loop.version} serves; `moderation rollback {option}` gives production back")
        case LoopState.STOPPED:
            lines.append(
                f"the gate stopped version {loop.version}, so version {loop.production} still serves. Read gate.md of "
                f"the version's run, or trigger retrain_model with more days."
            )
        case LoopState.TOO_FEW:
            lines.append(
                f"{loop.comments:,} comments are newer than the training of version {loop.production}, and "
                f"{loop.needed_comments or 0:,} are needed to judge version {loop.version}. Send "
                f"more traffic, or trigger retrain_model with a larger newest_share."
            )
        case LoopState.BY_HAND:
            lines.append("retraining and approval are left to you, in this order:")
    lines += [
        f"1. Airflow, {airflow_url}/dags/retrain_model: Trigger, leave the form as it is, Trigger",
        f"2. its task gate: the log lists the reasons; MLflow, {model}: alias challenger if it passed",
        f"3. Airflow, {airflow_url}/dags/promote_model: Trigger with a reason, unless a run waits already; "
        "Required Actions: Approve",
        f"4. MLflow, {model}: alias production has moved; the worker follows within seconds. To send it comments: "
        f"moderation replay --generate --shift-to now --fast --limit 500 {option}",
        f"stop it: moderation down {option}; delete its data: moderation down --purge {option}",
    ]
    return lines


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
