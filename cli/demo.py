"""``moderation demo``: run the whole system from an empty data folder and verify every record."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.table import Table

from cli.demo_results import print_loop, print_next_steps, print_summary
from cli.options import DEMO_FOLDER, FolderOption
from cli.output import console, print_json, progress
from cli.purge import YesOption, confirm_purge
from cli.stack import start
from stream.exit_codes import DEFECT

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.status import Status

    from local.demo.airflow_runs import AirflowRuns
    from local.demo.model_loop import LoopReport
    from local.demo.run import Demo, LiveView
    from local.stack.commands import StackInfo
    from stream.source import SendResult

_GLANCE_SECONDS = 1.0
_GOALS = ("precision>=0.9", "review_share<=0.1")
_GOALS_OF_AN_EXPORT = ("review_share<=0.2",)
_RECONCILED_AGAIN_DAYS = 2  # the rest of the traffic is of the last day, with late comments of the day before


@dataclass(slots=True)
class _Steps:
    """Durations of the steps, in seconds."""

    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.monotonic)

    def end(self, name: str) -> None:
        """Note the end of a step."""
        now = time.monotonic()
        self.seconds[name] = round(now - self._last, 1)
        self._last = now


def demo(
    csv: Annotated[Path | None, typer.Option(help="An r/science export. Default: generated traffic.")] = None,
    rate: Annotated[float, typer.Option(min=1, help="Records a second in the live part.")] = 100.0,
    by_hand: Annotated[
        bool, typer.Option("--by-hand", help="Leave retraining and approval to you: print where to click.")
    ] = False,
    data_folder: FolderOption = DEMO_FOLDER,
    yes: YesOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Run the whole system: decide live, archive, reconcile, retrain, approve, swap the model, verify every record.

    The data folder is that of an earlier demonstration, whose data are deleted after a question, or a new one. The exit
    code is 3 if a defect count is not 0. The stack keeps running until `moderation down --data-folder var-demo`.

    Example: `moderation demo --rate 200`
    """
    steps = _Steps()
    shown, info = _started(data_folder, csv, yes=yes, as_json=as_json)
    steps.end("start")
    _learn_first_model(shown, is_export=csv is not None)
    steps.end("first model")
    _watch_live(shown, rate)
    with progress.status("waiting for the last decisions") as status:
        shown.wait_for_worker()
        status.update("sending the newest comments again, to other partitions")
        shown.send_copies()
        shown.wait_for_worker()
        steps.end("live")
        runs = shown.airflow()
        batch = shown.batch(runs)
        status.update("Airflow archives every record into the lake")
        batch.archive()
        steps.end("archive")
        batch.reconcile(status.update)
        steps.end("reconcile")
        loop = _close_loop(shown, runs, rate, status, by_hand=by_hand)
        steps.end("loop")
        status.update("Airflow archives the rest and reconciles its days")
        batch.reconcile_in_airflow(_RECONCILED_AGAIN_DAYS)
        steps.end("reconcile in Airflow")
        status.update("comparing topics, ledger, lake and reconciliation")
        archived = batch.inspect()
        steps.end("verify the lake")
        summary = shown.summary(archived, batch.reconciled(), loop, steps.seconds)
        steps.end("verify every record")
    if as_json:
        print_json(asdict(summary))
    else:
        print_summary(summary)
        print_loop(loop)
        print_next_steps(loop, info.mlflow_url, runs.url, data_folder)
    if not summary.is_exact:
        raise typer.Exit(DEFECT)


def _started(data_folder: Path, csv: Path | None, *, yes: bool, as_json: bool) -> tuple[Demo, StackInfo]:
    """Empty the data folder, start the stack and prepare the traffic."""
    from local.stack.required_packages import check_packages

    check_packages()
    from local.stack import commands as stack
    from local.stack.folder_kind import FolderKind, claim
    from local.stack.layout import StackLayout

    layout = StackLayout(data_folder.resolve())
    claim(layout, FolderKind.DEMO)
    if layout.run.exists():
        confirm_purge(layout.root, "moderation demo --yes", data_folder, yes=yes)
        stack.down(layout, purge=True)
        claim(layout, FolderKind.DEMO)
    info = start(data_folder, out=progress if as_json else console)
    from local.demo.run import Demo

    with progress.status("writing the traffic"):
        return Demo(layout, info, csv), info


def _learn_first_model(shown: Demo, *, is_export: bool) -> None:
    """Send the history and train on it."""
    from moderation.policy import parse_goal

    with progress.status("sending the history") as status:
        history = shown.send_history()
        goals = _GOALS_OF_AN_EXPORT if is_export else _GOALS
        report, version = shown.train([parse_goal(goal) for goal in goals], status.update)
        progress.print(f"history: {history.comments:,} comments and {history.actions:,} actions through Kafka")
        auc = report.metrics.auc_mean
        progress.print(f"model: version {version}, AUC {auc:.3f} in cross-validation, in production")
        status.update("the worker decides the history")
        shown.wait_for_worker()


def _close_loop(shown: Demo, runs: AirflowRuns, rate: float, status: Status, *, by_hand: bool) -> LoopReport:
    """Retrain, approve what passes the gate, send the rest of the traffic, and see the worker swap its model."""
    from local.demo.model_loop import LoopReport, LoopState

    loop = shown.loop(runs)
    if by_hand:
        report = LoopReport(LoopState.BY_HAND)
    else:
        status.update("Airflow archives, retrains on the lake, and compares the new version with production")
        report = loop.retrain(shown.retraining_form())
    if report.is_passed:
        status.update(f"version {report.version} passed the gate: approving it in Airflow")
        loop.approve()
    status.update("sending the rest of the traffic")
    failures: list[BaseException] = []
    sender = _sender(lambda: shown.send_rest(rate), failures)
    if report.is_passed:
        loop.wait_until_served(report, status.update)
    sender.join()
    if failures:
        raise failures[0]
    shown.wait_for_worker()
    return loop.served(report) if report.is_passed else report


def _watch_live(shown: Demo, rate: float) -> None:
    newest: list[SendResult] = []
    failures: list[BaseException] = []
    sender = _sender(lambda: shown.send_live(rate, newest.append), failures)
    with Live(console=progress, auto_refresh=False, transient=True) as live:
        while sender.is_alive():
            live.update(_table(shown.live_view(), newest[-1] if newest else None), refresh=True)
            sender.join(_GLANCE_SECONDS)
    if failures:
        raise failures[0]


def _sender(send: Callable[[], None], failures: list[BaseException]) -> threading.Thread:
    """Start a thread that sends; its error is appended to ``failures``."""

    def run() -> None:
        try:
            send()
        except BaseException as error:
            failures.append(error)

    sender = threading.Thread(target=run, name="source")
    sender.start()
    return sender


def _table(live_view: LiveView, sent: SendResult | None) -> Table:
    counts = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(live_view.verdicts.items())) or "none yet"
    rate = f"{sent.comments / max(sent.seconds, 0.1):.0f} comments/s" if sent else "starting"
    table = Table("community", "comment", "score", "verdict", "because of", title=f"live: {rate} · decided: {counts}")
    for alert in live_view.alerts:
        table.add_row(
            alert.community, alert.comment_id, f"{alert.score_ppm:,}", alert.verdict, " · ".join(alert.reasons)
        )
    return table
