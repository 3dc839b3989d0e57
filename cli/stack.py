"""``moderation up | down | status``: start, stop and inspect the local stack."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption
from cli.output import console, print_json, progress
from cli.purge import YesOption, confirm_purge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.stack.commands import PartStatus, StackInfo
    from local.stack.layout import StackLayout

_SECOND_LOOK_SECONDS = 3.0


def up(
    data_folder: FolderOption = DEFAULT_FOLDER,
    core: Annotated[bool, typer.Option("--core", help="Do not start Airflow.")] = False,
) -> None:
    """Start the parts of the stack that are not running, and wait until they answer.

    The parts are Kafka, PostgreSQL, MLflow, the worker and Airflow.

    Example: `moderation up --core`
    """
    info = start(data_folder, core=core)
    console.print(f"Kafka       {info.kafka_bootstrap}")
    console.print(f"PostgreSQL  127.0.0.1:{info.ports['postgres']}")
    console.print("`moderation status` shows every part and its log; `moderation down` stops all of them")


def down(
    data_folder: FolderOption = DEFAULT_FOLDER,
    purge: Annotated[bool, typer.Option(help="Also delete the data folder.")] = False,
    yes: YesOption = False,
) -> None:
    """Stop every part of the stack. Data stays unless --purge is given, which asks first.

    Without a terminal --purge needs --yes.

    Example: `moderation down --purge`
    """
    from local.stack.required_packages import check_packages

    check_packages()
    from local.stack import commands as stack
    from local.stack.folder_kind import kind_of, require_stack

    layout = _layout(data_folder)
    if purge:
        require_stack(layout)
        if kind_of(layout) is not None:
            confirm_purge(layout.root, "moderation down --purge --yes", data_folder, yes=yes)
    stack.down(layout, purge=purge, on_progress=_print_progress)
    console.print("no part of the stack is running")


def status(
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Show whether comments are decided, the state of every part, and the speed and lag of the worker.

    Exit code 0: everything works. 1: comments are decided, but something needs attention. 2: no comment is decided.

    Example: `moderation status --json`
    """
    from local.stack.required_packages import check_packages

    check_packages()
    from local.stack import commands as stack
    from local.stack.health import health_of
    from local.stack.worker import WORKER, worker_status

    parts = stack.status(_layout(data_folder))
    worker = next((part for part in parts if part.name == WORKER and part.state == "running"), None)
    answers = worker_status(worker.address) if worker is not None else None
    if worker is not None and answers is not None and any(answers.waiting.values()) and not answers.per_second:
        time.sleep(_SECOND_LOOK_SECONDS)  # the first comment of an idle stream also waits for a moment
        answers = worker_status(worker.address)
    waits_for_model = worker is not None and (answers is None or "model" in answers.missing)
    health = health_of(parts, WORKER, answers, _attention(data_folder, parts, waits_for_model))
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


def _attention(data_folder: Path, parts: Sequence[PartStatus], waits_for_model: bool) -> list[str]:
    from local.stack import commands as stack
    from local.stack.attention import attention, missing_model
    from local.stack.worker import stack_settings

    running = {part.name for part in parts if part.state == "running"}
    if not {"kafka", "postgres"} <= running:
        return []
    layout = _layout(data_folder)
    settings = stack_settings(layout, stack.info(layout))
    return [*(missing_model(settings) if waits_for_model else []), *attention(settings)]


def start(data_folder: Path, *, core: bool = False, out: Console = console) -> StackInfo:
    """Start the stack with its worker and, unless ``core``, Airflow; print what it waits for.

    The call that creates the password of Airflow's user prints it on ``out``; no later call prints it.
    """
    from local.stack.required_packages import check_packages

    check_packages()
    from local.stack import commands as stack
    from local.stack.airflow import AIRFLOW_PORTS, PASSWORD, USER, admin_password, airflow, url
    from local.stack.mlflow_accounts import ADMIN, name_of
    from local.stack.worker import WORKER_PORTS, speed_layer

    layout = _layout(data_folder)
    if core:
        info = stack.up(
            layout, extra_programs=speed_layer(layout), extra_ports=WORKER_PORTS, on_progress=_print_progress
        )
        _print_account(out, "MLflow", info.mlflow_url, ADMIN, layout, name_of(ADMIN))
        return info
    worker, batch_layer = speed_layer(layout), airflow(layout)
    is_new = admin_password(layout) is None
    try:
        info = stack.up(
            layout,
            extra_programs=lambda info: [*worker(info), *batch_layer(info)],
            extra_ports=WORKER_PORTS | AIRFLOW_PORTS,
            on_progress=_print_progress,
        )
    finally:  # otherwise a call that fails would never show a password that it created
        if is_new and (password := admin_password(layout)):
            shown = f"Airflow's user {USER} has the password {password} (shown this once)"
            out.print(shown, markup=False, highlight=False, soft_wrap=True)
    _print_account(out, "Airflow", url(info), USER, layout, PASSWORD)
    _print_account(out, "MLflow", info.mlflow_url, ADMIN, layout, name_of(ADMIN))
    return info


def _print_account(out: Console, server: str, address: str, user: str, layout: StackLayout, secret: str) -> None:
    out.print(f"{server:<12}{address}")
    out.print(f"            user {user}, password in {_short(layout.credentials_file)}: {secret}", soft_wrap=True)


def _layout(data_folder: Path) -> StackLayout:
    from local.stack.layout import StackLayout

    return StackLayout(data_folder.resolve())


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _print_progress(part: str, event: str) -> None:
    progress.print(f"{part}: {event}", markup=False, highlight=False)
