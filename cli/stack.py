"""``moderation up | down | status``: the local stack."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.output import console, print_json, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.stack.commands import PartStatus, StackInfo
    from local.stack.layout import StackLayout

FolderOption = Annotated[Path, typer.Option("--data-folder", help="Everything the stack writes lies here.")]
DEFAULT_FOLDER = Path("var")
_SECOND_LOOK_SECONDS = 3.0


def up(
    data_folder: FolderOption = DEFAULT_FOLDER,
    core: Annotated[bool, typer.Option("--core", help="Leave Airflow out, or as it is if it runs.")] = False,
) -> None:
    """Start Kafka, PostgreSQL, MLflow, the worker and Airflow, or what of them is not running, and wait for answers."""
    info = start(data_folder, core=core)
    console.print(f"MLflow      {info.mlflow_url}")
    console.print(f"Kafka       {info.kafka_bootstrap}")
    console.print(f"PostgreSQL  127.0.0.1:{info.ports['postgres']}")
    console.print("`moderation status` shows every part and its log; `moderation down` stops them all")


def down(
    data_folder: FolderOption = DEFAULT_FOLDER,
    purge: Annotated[bool, typer.Option(help="Delete the data folder too.")] = False,
) -> None:
    """Stop every part of the stack; no process of it is left. Data stays unless --purge is given."""
    from local.stack.required_packages import check_packages

    check_packages()
    from local.stack import commands as stack

    layout = _layout(data_folder)
    stack.down(layout, purge=purge, progress=_print_progress)
    console.print("nothing of the stack is running")


def status(
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show whether the stack moderates, every part of it, how fast the worker is and how far behind.

    Exit code 0: all is well. 1: comments are decided, and something needs attention. 2: no comment is decided.
    """
    from local.stack.required_packages import check_packages

    check_packages()
    from local.stack import commands as stack
    from local.stack.health import health_of
    from local.stack.worker import WORKER, answers_of

    parts = stack.status(_layout(data_folder))
    worker = next((part for part in parts if part.name == WORKER and part.state == "running"), None)
    answers = answers_of(worker.address) if worker is not None else None
    if worker is not None and answers is not None and any(answers.waiting.values()) and not answers.per_second:
        time.sleep(_SECOND_LOOK_SECONDS)  # the first comment of an idle stream waits for a moment, too
        answers = answers_of(worker.address)
    health = health_of(parts, WORKER, answers, _attention(data_folder, parts))
    behind = None
    if answers is not None:
        behind = {
            "records": sum(answers.waiting.values()),
            "per_second": answers.per_second,
            "lag": dict(answers.waiting),
        }
    if as_json:
        shown = [
            {
                "name": part.name,
                "state": part.state,
                "pid": part.pid,
                "address": part.address,
                "log": str(part.log),
                "uptime_seconds": round(part.uptime_seconds, 1),
                "restarts": part.restarts,
                "last_exit": part.last_exit,
            }
            for part in parts
        ]
        health_fields = {"level": int(health.level), "reasons": list(health.reasons)}
        print_json({"health": health_fields, "parts": shown, "worker": behind})
        raise typer.Exit(health.level)
    if not parts:
        console.print(health.reasons[0])
        raise typer.Exit(health.level)
    table = Table("part", "state", "address", "up", "restarts")
    table.add_column("log", overflow="fold")
    for part in parts:
        colour = "green" if part.state == "running" else "red"
        state = f"[{colour}]{part.state}[/{colour}]"
        table.add_row(
            part.name, state, part.address, f"{part.uptime_seconds:.0f} s", str(part.restarts), _short(part.log)
        )
    console.print(table)
    if behind is not None:
        console.print(f"worker: {behind['per_second']:,.0f} records a second, {behind['records']:,} waiting")
    for reason in health.reasons:
        console.print(reason, markup=False, highlight=False, soft_wrap=True)
    console.print(health.level.name.lower().replace("_", " "))
    raise typer.Exit(health.level)


def _attention(data_folder: Path, parts: Sequence[PartStatus]) -> list[str]:
    from local.stack import commands as stack
    from local.stack.attention import attention
    from local.stack.worker import stack_settings

    running = {part.name for part in parts if part.state == "running"}
    if not {"kafka", "postgres"} <= running:
        return []
    layout = _layout(data_folder)
    return attention(stack_settings(layout, stack.info(layout)))


def start(data_folder: Path, *, core: bool = False, out: Console = console) -> StackInfo:
    """Bring the stack up with its worker and, unless ``core``, Airflow, telling what is waited for.

    The password of Airflow's user is printed on ``out`` by the call that makes it, and never again.
    """
    from local.stack.required_packages import check_packages

    check_packages()
    from local.stack import commands as stack
    from local.stack.airflow import AIRFLOW_PORTS, PASSWORD, USER, admin_password, airflow, url
    from local.stack.worker import WORKER_PORTS, speed_layer

    layout = _layout(data_folder)
    if core:
        return stack.up(layout, extra_programs=speed_layer(layout), extra_ports=WORKER_PORTS, progress=_print_progress)
    worker, batch_layer = speed_layer(layout), airflow(layout)
    is_new = admin_password(layout) is None
    try:
        info = stack.up(
            layout,
            extra_programs=lambda info: [*worker(info), *batch_layer(info)],
            extra_ports=WORKER_PORTS | AIRFLOW_PORTS,
            progress=_print_progress,
        )
    finally:  # a password made by a call that failed would never be shown
        if is_new and (password := admin_password(layout)):
            shown = f"Airflow's user {USER} has the password {password} (shown this once)"
            out.print(shown, markup=False, highlight=False, soft_wrap=True)
    out.print(f"Airflow     {url(info)}")
    out.print(f"            user {USER}, password in {_short(layout.credentials_file)}: {PASSWORD}", soft_wrap=True)
    return info


def _layout(data_folder: Path) -> StackLayout:
    from local.stack.layout import StackLayout

    return StackLayout(data_folder.resolve())


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _print_progress(part: str, event: str) -> None:
    progress.print(f"{part}: {event}", markup=False, highlight=False)
