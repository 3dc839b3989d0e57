"""Commands of the local stack: :func:`up`, :func:`down`, :func:`status`.

Each data folder has one stack. Commands on the same folder run one after another. :func:`up` and :func:`down` are
idempotent.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from local.stack import kafka, mlflow_server, postgres, prerequisites, processes
from local.stack.credentials import Credentials, load, load_or_create
from local.stack.folder_kind import FolderKind, claim, require_stack
from local.stack.jars import provide
from local.stack.layout import StackLayout
from local.stack.ports import DEFAULT_PORTS, HOST, PortClaims, any_free_port, choose_ports
from local.stack.program import Program, in_start_order, levels
from local.stack.shutdown import end_leftovers, read_pid, responding_supervisor, stop_everything
from local.stack.startup import OnPartProgress, bring_up, no_part_progress
from local.stack.state_file import StackState, load_stack_state, save_stack_state
from local.stack.supervisor import ENDED, Supervisor, read_program_state
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.topics import ensure_topics
from moderation.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class StackInfo:
    """Addresses of a stack that is up.

    Attributes:
        root: its data folder.
        kafka_bootstrap: ``host:port`` of the broker.
        mlflow_url: address of the MLflow server and its UI.
        postgres_url: SQLAlchemy URL (psycopg) of the project's database; it contains a password.
        ports: every port by name, extra ones included.
    """

    root: Path
    kafka_bootstrap: str
    mlflow_url: str
    postgres_url: str = field(repr=False)
    ports: Mapping[str, int]
    _passwords: Mapping[str, str] = field(repr=False)

    @property
    def kafka(self) -> KafkaConnection:
        """The connection to the broker."""
        return KafkaConnection.plaintext(self.kafka_bootstrap)

    def database_url(self, role: str = postgres.ADMIN_ROLE, *, driver: str = "") -> str:
        """Return the URL of a role's database; it contains a password.

        Args:
            role: an owner (``moderation``, ``mlflow``, ``airflow``), or a login of the project's database (``worker``,
                ``batch``, ``reader``, ``console``, ``retention``).
            driver: of SQLAlchemy.
        """
        if role in postgres.LOGINS and role not in self._passwords:
            role = postgres.ADMIN_ROLE  # a former release started this stack, without logins of its own
        return postgres.database_url(role, self._passwords[role], self.ports["postgres"], driver=driver)


@dataclass(frozen=True, slots=True)
class PartStatus:
    """Status of one part of the stack.

    Attributes:
        name: the program.
        state: ``running``, ``waiting`` (to be started again), ``ended`` (for good), ``stopped`` or ``orphaned``
            (it runs, but nothing supervises it).
        pid: process id of the program; 0 if it does not run.
        address: for users.
        log: its log.
        uptime_seconds: how long it has run; 0 if it does not run.
        restarts: number of restarts since the stack came up.
        last_exit: how it last ended by itself, e.g. ``signal 9``; empty if it never did.
    """

    name: str
    state: str
    pid: int
    address: str
    log: Path
    uptime_seconds: float
    restarts: int
    last_exit: str


ExtraPrograms = Iterable[Program] | Callable[[StackInfo], Iterable[Program]]


def up(
    layout: StackLayout,
    *,
    extra_programs: ExtraPrograms = (),
    extra_ports: Mapping[str, int] | None = None,
    on_progress: OnPartProgress = no_part_progress,
) -> StackInfo:
    """Start all parts of the stack that do not run; returns when every part is ready.

    Args:
        layout: the stack.
        extra_programs: programs beside Kafka, PostgreSQL and MLflow, or a function that creates them from the
            addresses; they may depend on ``kafka``, ``postgres``, ``mlflow`` and each other. Programs of an earlier
            call that are not given now continue.
        extra_ports: preferred ports for them, by name; ``StackInfo.ports`` contains the chosen ones.
        on_progress: receives the name of a part and what happens to it.

    Returns:
        Addresses of the stack.

    Raises:
        ConfigurationError: a prerequisite is missing, or the folder contains files that no stack created (nothing was
            started); or existing topics have other settings.
        StackError: a part does not start or does not become ready. The other parts continue, so that logs can be
            read; :func:`down` stops them.
    """
    claim(layout, FolderKind.STACK)
    layout.make_folders()
    with _locked(layout), PortClaims() as claims:
        stack_state = load_stack_state(layout.state_file) or StackState()
        credentials = load_or_create(layout.credentials_file, postgres.ROLES)
        supervisor = responding_supervisor(layout, stack_state, credentials)
        if supervisor is None:
            prerequisites.check(layout, on_progress=lambda message: on_progress("stack", message))
            end_leftovers(layout, on_progress)
        jars = provide(layout.jars, on_progress=lambda message: on_progress("jars", message))
        ports = _ports(stack_state, extra_ports or {}, claims, keep=supervisor is not None)
        stack_state = replace(stack_state, ports=ports)
        info = _info(layout, stack_state, credentials)
        extras = extra_programs(info) if callable(extra_programs) else extra_programs
        programs = in_start_order([*_core_programs(layout, info, credentials, jars), *extras])
        addresses = {program.name: program.address for program in programs}
        save_stack_state(
            layout.state_file,
            StackState(ports, {**stack_state.addresses, **addresses}, {**stack_state.levels, **levels(programs)}),
        )
        if supervisor is None:
            supervisor = Supervisor(layout, port=ports["supervisor"], password=credentials.supervisor)
            supervisor.start()
        bring_up(programs, supervisor, layout, on_progress)
        return info


def info(layout: StackLayout) -> StackInfo:
    """Return the addresses of a stack that is up.

    Raises:
        ConfigurationError: no stack is up in this folder.
    """
    stack_state, credentials = load_stack_state(layout.state_file), load(layout.credentials_file)
    if stack_state is None or not stack_state.is_up or credentials is None:
        raise ConfigurationError(
            f"stack {layout.root}", "it is not up", f"Start it: moderation up.{_demo_hint(layout)}"
        )
    return _info(layout, stack_state, credentials)


def _demo_hint(layout: StackLayout) -> str:
    """Return how to name the demonstration that is up beside this folder; an empty text without one."""
    demo = StackLayout.demonstration()
    stack_state = load_stack_state(demo.state_file)
    if demo == layout or stack_state is None or not stack_state.is_up:
        return ""
    return f" A demonstration is up: --data-folder {demo.root.name}."


def empty(layout: StackLayout, kind: FolderKind) -> None:
    """Create an empty data folder for a command that deletes what its earlier runs left; nothing is running afterwards.

    Args:
        layout: the stack.
        kind: of the command.

    Raises:
        ConfigurationError: the folder belongs to a stack of another kind, contains files that no stack created, or its
            stack is up.
    """
    claim(layout, kind)
    stack_state = load_stack_state(layout.state_file)
    if stack_state is not None and stack_state.is_up:
        raise ConfigurationError(
            f"data folder {layout.root}",
            "its stack is up",
            f"Stop it first: moderation down --data-folder {layout.root}, or name another --data-folder.",
        )
    down(layout, purge=True)
    claim(layout, kind)


def down(layout: StackLayout, *, purge: bool = False, on_progress: OnPartProgress = no_part_progress) -> None:
    """Stop every process of the stack and check that none is left.

    Args:
        layout: the stack; nothing happens if it is not up.
        purge: also delete its data, logs, jars and credentials.
        on_progress: receives the name of a part and what happens to it.

    Raises:
        ConfigurationError: data are to be deleted, and the folder is not that of a stack.
        StackError: a process cannot be ended.
    """
    if purge:
        require_stack(layout)
    if not layout.run.exists():
        if purge:
            _delete(layout)
        return
    with _locked(layout):
        stop_everything(layout, on_progress)
        for name in ("supervisord.conf", "supervisord.pid"):
            (layout.run / name).unlink(missing_ok=True)
        if stack_state := load_stack_state(layout.state_file):
            save_stack_state(layout.state_file, StackState(stack_state.ports))
        shutil.rmtree(layout.programs, ignore_errors=True)
        if purge:
            on_progress("stack", "deleting its data")
            _delete(layout)


def _delete(layout: StackLayout) -> None:
    """Delete the files of a stack, and the data folder if it contains nothing else."""
    for folder in layout.folders:
        shutil.rmtree(folder, ignore_errors=True)
    layout.kind_file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        layout.root.rmdir()


def start_program(layout: StackLayout, name: str) -> None:
    """Start one program that ``up`` registered; nothing happens if it runs.

    Raises:
        ConfigurationError: no stack is up in this folder.
        StackError: it cannot be started.
    """
    _running_supervisor(layout).run(name)


def stop_program(layout: StackLayout, name: str) -> None:
    """Stop one program and wait for its end; programs that depend on it continue.

    Raises:
        ConfigurationError: no stack is up in this folder.
        StackError: it does not end.
    """
    _running_supervisor(layout).stop([name])


def status(layout: StackLayout) -> list[PartStatus]:
    """Return the status of every part, the supervisor first; empty if the stack is not up.

    Raises:
        ConfigurationError: the state file is damaged.
    """
    stack_state = load_stack_state(layout.state_file)
    if stack_state is None or not stack_state.is_up:
        return []
    supervisor = responding_supervisor(layout, stack_state, load(layout.credentials_file))
    processes_by_pid = {process.pid: process for process in processes.stack_processes(layout.root)}
    runner_states = supervisor.states() if supervisor else {}
    daemon = read_pid(layout.run / "supervisord.pid")
    parts = [
        PartStatus(
            name="supervisor",
            state="running" if supervisor else "stopped",
            pid=daemon if supervisor else 0,
            address=f"{HOST}:{stack_state.ports['supervisor']}",
            log=layout.log_file("supervisor"),
            uptime_seconds=time.time() - processes_by_pid[daemon].create_time()
            if supervisor and daemon in processes_by_pid
            else 0.0,
            restarts=0,
            last_exit="",
        )
    ]
    for name, address in stack_state.addresses.items():
        program_state = read_program_state(layout, name)
        state, alive = program_state.state, program_state.pid in processes_by_pid
        if supervisor is None:
            state = "orphaned" if alive else "stopped"
        elif runner_states.get(name) in ENDED:
            state = "ended"
        elif runner_states.get(name) == "STOPPED":
            state = "stopped"
        parts.append(
            PartStatus(
                name=name,
                state=state,
                pid=program_state.pid if alive else 0,
                address=address,
                log=layout.log_file(name),
                uptime_seconds=max(0.0, time.time() - program_state.started_us / 1e6) if alive else 0.0,
                restarts=program_state.restarts,
                last_exit=program_state.last_exit,
            )
        )
    return parts


def _core_programs(layout: StackLayout, info: StackInfo, credentials: Credentials, jars: list[Path]) -> list[Program]:
    return [
        kafka.program(
            layout,
            jars,
            port=info.ports["kafka"],
            controller_port=info.ports["kafka-controller"],
            after_ready=lambda: _make_topics(info.kafka),
        ),
        postgres.program(layout, credentials.databases, port=info.ports["postgres"]),
        mlflow_server.program(
            layout, port=info.ports["mlflow"], database_url=info.database_url("mlflow", driver="psycopg")
        ),
    ]


def _make_topics(kafka: KafkaConnection) -> None:
    ensure_topics(kafka)


def _info(layout: StackLayout, stack_state: StackState, credentials: Credentials) -> StackInfo:
    ports, passwords = stack_state.ports, credentials.databases
    return StackInfo(
        root=layout.root,
        kafka_bootstrap=f"{HOST}:{ports['kafka']}",
        mlflow_url=f"http://{HOST}:{ports['mlflow']}",
        postgres_url=postgres.database_url(
            postgres.ADMIN_ROLE, passwords[postgres.ADMIN_ROLE], ports["postgres"], driver="psycopg"
        ),
        ports=ports,
        _passwords=passwords,
    )


def _ports(stack_state: StackState, extra: Mapping[str, int], claims: PortClaims, *, keep: bool) -> dict[str, int]:
    """Return the ports: those of a running stack are kept, the others are chosen and claimed."""
    kept_ports = stack_state.ports if keep else {}
    wanted = {name: port for name, port in {**DEFAULT_PORTS, **extra}.items() if name not in kept_ports}
    taken = set(kept_ports.values())

    def any_free() -> int:
        return next(port for port in iter(any_free_port, None) if claims.take(port))

    chosen = choose_ports(
        wanted,
        recorded=stack_state.ports,
        free=lambda port: port not in taken and claims.take(port),
        any_free=any_free,
    )
    return {**kept_ports, **chosen}


def _running_supervisor(layout: StackLayout) -> Supervisor:
    stack_state = load_stack_state(layout.state_file)
    supervisor = responding_supervisor(layout, stack_state, load(layout.credentials_file)) if stack_state else None
    if supervisor is None:
        raise ConfigurationError(f"stack {layout.root}", "it is not up", "Start it: moderation up.")
    return supervisor


@contextlib.contextmanager
def _locked(layout: StackLayout) -> Iterator[None]:
    """Lock the data folder, so that commands on it run one after another."""
    with layout.lock_file.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
