"""supervisord: its configuration, its start as a daemon, and its calls over XML-RPC.

Every program runs under a parent process (:mod:`local.stack.run_with_backoff`) that restarts it with growing delays.
supervisord restarts a parent that died, unless it ended with a code on which its program must not be restarted.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from xmlrpc.client import Fault, ServerProxy, Transport

from local.stack import run_with_backoff
from local.stack.credentials import write_private
from local.stack.environment import MARKER, inherited_environment
from local.stack.layout import StackLayout
from local.stack.ports import HOST
from local.stack.program import Program
from local.stack.run_with_backoff import UNREADABLE_SPECIFICATION, ProgramState, Specification
from local.stack.wait import wait_until
from moderation.errors import StackError

RUNNING = ("STARTING", "RUNNING")
ACTIVE = (*RUNNING, "BACKOFF", "STOPPING")
ENDED = ("EXITED", "FATAL", "UNKNOWN")
USER = "stack"

_NOT_RUNNING = 70
_ALREADY_STARTED = 60
_BAD_NAME = 10
_SHUTTING_DOWN = 6
_START_SECONDS = 20.0
_STOP_SECONDS = 60.0
_ANSWER_SECONDS = 10.0
_STOP_MARGIN_SECONDS = 5
_OPEN_FILES = 4096

_SUPERVISOR = """\
[supervisord]
logfile={log}
logfile_maxbytes=5MB
logfile_backups=1
loglevel=info
pidfile={pid_file}
childlogdir={log_folder}
identifier=comment-moderation
minfds={open_files}
umask=022
{user}
[inet_http_server]
port={host}:{port}
username={username}
password={password}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[include]
files=programs/*.conf
"""

_PROGRAM = """\
[program:{name}]
command={command}
directory={directory}
autostart=false
autorestart=unexpected
startsecs=0
exitcodes={exit_codes}
stopsignal=TERM
stopwaitsecs={stop_seconds}
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=2
"""


class Supervisor:
    """The supervisord of one stack."""

    def __init__(self, layout: StackLayout, *, port: int, password: str) -> None:
        """Describe the supervisor of ``layout`` on ``port`` with ``password``; does not start or call it."""
        self._layout = layout
        self._port = port
        self._password = password

    def is_running(self) -> bool:
        """Whether it answers to this stack's password."""
        try:
            self._call("getState")
        except (OSError, StackError, http.client.HTTPException):
            return False
        return True

    def start(self) -> None:
        """Start it as a daemon, with no program started yet.

        Raises:
            StackError: it does not start, or does not answer.
        """
        layout = self._layout
        write_private(
            layout.run / "supervisord.conf",
            _SUPERVISOR.format(
                log=layout.log_file("supervisor"),
                pid_file=layout.run / "supervisord.pid",
                log_folder=layout.log,
                open_files=_OPEN_FILES,
                user="user=root\n" if os.geteuid() == 0 else "",
                host=HOST,
                port=self._port,
                username=USER,
                password=self._password,
            ),
        )
        done = subprocess.run(
            [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(layout.run / "supervisord.conf")],
            cwd=layout.run,
            env=inherited_environment() | {MARKER: str(layout.root)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_START_SECONDS,
            check=False,
        )
        log = layout.log_file("supervisor")
        if done.returncode:
            raise StackError("supervisord", f"it does not start: {done.stderr.strip()[-300:]}", f"See {log}.")
        wait_until(self.is_running, seconds=_START_SECONDS, description="supervisord", remedy=f"See {log}.")

    def add(self, program: Program) -> None:
        """Register a program; a registered program that changed is stopped and registered again. Starts nothing."""
        section = _write_program(self._layout, program)
        path = self._layout.programs / f"{program.name}.conf"
        is_registered = program.name in self.states()
        if is_registered and path.exists() and path.read_text(encoding="utf-8") == section:
            return
        write_private(path, section)
        self._call("reloadConfig")
        if is_registered:
            self.stop([program.name])
            self._call("removeProcessGroup", program.name)
        self._call("addProcessGroup", program.name)

    def run(self, name: str) -> bool:
        """Start a program unless it runs; returns False if it ran already."""
        try:
            self._call("startProcess", name, False)
        except Fault as fault:
            if fault.faultCode != _ALREADY_STARTED:
                raise StackError(f"program {name}", str(fault.faultString)) from fault
            return False
        return True

    def stop(self, names: Iterable[str], *, seconds: float = _STOP_SECONDS) -> None:
        """Stop programs in parallel and wait for their end; ignores those that do not run or are unknown.

        Raises:
            StackError: one of them still runs after ``seconds``.
        """
        stopping = set(names)
        for name in stopping:
            try:
                self._call("stopProcess", name, False)
            except Fault as fault:
                if fault.faultCode not in (_NOT_RUNNING, _BAD_NAME):
                    raise StackError(f"program {name}", str(fault.faultString)) from fault

        def stopped() -> bool:
            return not any(state in ACTIVE for name, state in self.states().items() if name in stopping)

        wait_until(stopped, seconds=seconds, description=f"the end of {', '.join(sorted(stopping))}")

    def states(self) -> dict[str, str]:
        """Return supervisord's state of each program's parent process, by program."""
        entries = self._call("getAllProcessInfo")
        return {str(entry["name"]): str(entry["statename"]) for entry in entries}  # type: ignore[attr-defined]

    def shut_down(self) -> None:
        """Tell it to stop every program and itself; returns at once."""
        try:
            self._call("shutdown")
        except Fault as fault:
            if fault.faultCode != _SHUTTING_DOWN:
                raise StackError("supervisord", str(fault.faultString)) from fault

    def _call(self, method: str, *arguments: object) -> object:
        """Send one request on a connection of its own, so that several threads can call."""
        address = f"http://{USER}:{self._password}@{HOST}:{self._port}/RPC2"
        with ServerProxy(address, allow_none=True, transport=_TimeoutTransport()) as server:
            try:
                return getattr(server.supervisor, method)(*arguments)
            except Fault:
                raise
            except Exception as error:
                if isinstance(error, OSError | http.client.HTTPException):
                    raise
                raise StackError("supervisord", f"it does not answer {method}: {type(error).__name__}") from error


class _TimeoutTransport(Transport):
    """Connections with a timeout, because another program may have the port by now."""

    def make_connection(self, host: tuple[str, dict[str, str]] | str) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = _ANSWER_SECONDS
        return connection


def read_program_state(layout: StackLayout, name: str) -> ProgramState:
    """Read the state that a program's parent process wrote last; a state of zeros if it never ran."""
    try:
        return ProgramState(**json.loads(_state_file(layout, name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return ProgramState(state="stopped")


def _write_program(layout: StackLayout, program: Program) -> str:
    """Write the specification for the parent process; return the section for supervisord.

    The section contains a digest of the specification, so that a changed program has a changed section.
    """
    specification = json.dumps(
        asdict(
            Specification(
                name=program.name,
                argv=list(program.argv),
                cwd=str(program.cwd),
                state_file=str(_state_file(layout, program.name)),
                env=dict(sorted(program.env.items())),
                user_id=program.account.user_id if program.account else None,
                group_id=program.account.group_id if program.account else None,
                stop_signal=int(signal.Signals[f"SIG{program.stop_signal}"]),
                stop_seconds=program.stop_seconds,
                no_restart_codes=sorted(program.no_restart_codes),
                first_seconds=program.first_delay_seconds,
                cap_seconds=program.delay_cap_seconds,
                healthy_seconds=program.healthy_seconds,
            )
        )
    )
    path = layout.programs / f"{program.name}.json"
    write_private(path, specification)
    digest = hashlib.sha256(specification.encode()).hexdigest()[:16]
    parent_script = Path(run_with_backoff.__file__)
    command = [sys.executable, "-I", "-S", str(parent_script), str(path), digest]
    return _PROGRAM.format(
        name=program.name,
        command=shlex.join(command).replace("%", "%%"),
        directory=layout.run,
        exit_codes=",".join(map(str, sorted(program.no_restart_codes | {0, UNREADABLE_SPECIFICATION}))),
        stop_seconds=int(program.stop_seconds) + _STOP_MARGIN_SECONDS,
        log=layout.log_file(program.name),
    )


def _state_file(layout: StackLayout, name: str) -> Path:
    return layout.programs / f"{name}.state.json"
