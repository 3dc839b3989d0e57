"""``moderation demo``: run the whole system from an empty data folder and verify every record."""

from __future__ import annotations

import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.table import Table

from cli.options import DEFAULT_FOLDER, FolderOption
from cli.output import console, print_json, progress
from cli.stack import start
from stream.exit_codes import DEFECT

if TYPE_CHECKING:
    from local.demo.run import Demo, DemoSummary, LiveView
    from stream.source import SendResult

_GLANCE_SECONDS = 1.0


def demo(
    csv: Annotated[Path | None, typer.Option(help="An r/science export. Default: generated traffic.")] = None,
    rate: Annotated[float, typer.Option(min=1, help="Records a second in the live part.")] = 100.0,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Start the stack, send a history, train a model, replay the rest live, archive, reconcile and verify every record.

    The data folder must be empty; `moderation down --purge` empties it. The exit code is 3 if a defect count is not 0.
    The stack keeps running until `moderation down`.

    Example: `moderation demo --rate 200`
    """
    info = start(data_folder, out=progress if as_json else console)

    from local.demo.run import Demo
    from local.stack.layout import StackLayout
    from moderation.policy import parse_goal

    shown = Demo(StackLayout(data_folder.resolve()), info, csv)
    shown.refuse_unless_fresh()
    with progress.status("writing the traffic") as status:
        shown.prepare()
        status.update("sending the history")
        history = shown.send_history()
        goals = ("review_share<=0.2",) if csv else ("precision>=0.9", "review_share<=0.1")
        report, version = shown.train([parse_goal(goal) for goal in goals], status.update)
    progress.print(f"history: {history.comments:,} comments and {history.actions:,} actions through Kafka")
    progress.print(f"model: version {version}, AUC {report.metrics.auc_mean:.3f} in cross-validation, in production")
    with progress.status("the worker decides the history"):
        shown.wait_for_worker()
    _watch_live(shown, rate)
    with progress.status("waiting for the last decisions") as status:
        shown.wait_for_worker()
        status.update("sending the newest comments again, to other partitions")
        shown.send_copies()
        shown.wait_for_worker()
        status.update("Airflow archives every record into the lake")
        batch = shown.batch()
        archived = batch.archive()
        reconciled = batch.reconcile(status.update)
        status.update("comparing topics, ledger, lake and reconciliation")
        summary = shown.summary(archived, reconciled)
    if as_json:
        print_json(asdict(summary))
    else:
        _print_summary(summary, info.mlflow_url)
    if not summary.is_exact:
        raise typer.Exit(DEFECT)


def _watch_live(shown: Demo, rate: float) -> None:
    newest: list[SendResult] = []
    failures: list[BaseException] = []

    def send() -> None:
        try:
            shown.send_live(rate, newest.append)
        except BaseException as error:
            failures.append(error)

    sender = threading.Thread(target=send, name="source")
    sender.start()
    with Live(console=progress, auto_refresh=False, transient=True) as live:
        while sender.is_alive():
            live.update(_table(shown.live_view(), newest[-1] if newest else None), refresh=True)
            sender.join(_GLANCE_SECONDS)
    if failures:
        raise failures[0]


def _table(live_view: LiveView, sent: SendResult | None) -> Table:
    counts = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(live_view.verdicts.items())) or "none yet"
    rate = f"{sent.comments / max(sent.seconds, 0.1):.0f} comments/s" if sent else "starting"
    table = Table("community", "comment", "score", "verdict", "because of", title=f"live: {rate} · decided: {counts}")
    for alert in live_view.alerts:
        table.add_row(
            alert.community, alert.comment_id, f"{alert.score_ppm:,}", alert.verdict, " · ".join(alert.reasons)
        )
    return table


def _print_summary(summary: DemoSummary, mlflow_url: str) -> None:
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
    console.print(table)
    console.print(f"MLflow {mlflow_url} and Airflow keep running until `make down`")
