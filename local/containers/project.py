"""``docker-compose.yaml`` in the engine: its commands, containers, database and addresses."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from local.containers.engine import inside
from local.containers.folders import CHECKOUT, Folders
from local.containers.processes import attempt, run
from local.stack.wait import wait_until
from moderation.errors import StackError

NAME = "containers-test"
PROFILES = ("batch", "monitoring", "traffic", "tools")
_PORTS = ("MLFLOW_PORT", "AIRFLOW_PORT", "GRAFANA_PORT", "PROMETHEUS_PORT", "KAFKA_PORT")
_OPTIONS = {
    **{"KAFKA_HEAP": "512m", "POSTGRES_SHARED_BUFFERS": "256MB", "MODERATION_WORKERS": "1", "SOURCE_RATE": "50"},
    "SOURCE_FIRST_DAY": "2026-01-10",  # after the days of docker/demo.py, so that its comments are not late
}

_ERASE_LINE = "\x1b[2K"
"""Compose writes it before each line, even without colours and without a terminal."""


class Project:
    """One run of the compose file, with an ``.env`` of its own.

    Args:
        folders: of the engine.
        again: whether containers of an earlier run are used; they keep their ports.

    Attributes:
        ports: published port by variable; free ones.
        files: the compose files, later ones over earlier ones.
        directory: to which paths in the files are relative.
    """

    def __init__(self, folders: Folders, *, again: bool = False) -> None:
        self._folders = folders
        self._folder = folders.compose_project
        ports = [int(self.value(name)) for name in _PORTS] if again else _free_ports(len(_PORTS))
        self.ports = dict(zip(_PORTS, ports, strict=True))
        self.files: Sequence[Path] = [CHECKOUT / "docker-compose.yaml"]
        self.directory = CHECKOUT

    def write_env(self, **options: object) -> None:
        """Write ``.env`` with new secrets by ``make env``'s program, and options; keep the secrets the second time."""
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        path = self._folder / ".env"
        if not path.exists():
            shutil.copy(CHECKOUT / ".env.example", self._folder)
            run([sys.executable, CHECKOUT / "docker" / "write-env.py", self._folder])
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
        values = dict(line.split("=", 1) for line in lines)
        values = {**_OPTIONS, **values, **{name: str(port) for name, port in self.ports.items()}}
        values |= {"MODERATION_DATA_FOLDER": str(data)}
        # An earlier version may have written the file without the passwords of Kafka.
        of_kafka = re.findall(r"^(KAFKA_\w+_PASSWORD)=$", (CHECKOUT / ".env.example").read_text(), re.MULTILINE)
        for name in ("MODERATION_EXPLORATION_KEY", *of_kafka):
            values.setdefault(name, secrets.token_urlsafe(32))
        values |= {name: str(value) for name, value in options.items()}
        path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))

    def remove_env(self) -> None:
        """Remove ``.env``, whose secrets the volumes contain; there must be none."""
        (self._folder / ".env").unlink()

    def value(self, name: str) -> str:
        """A value of ``.env``."""
        values: dict[str, str] = dict(re.findall(r"^(\w+)=(.*)$", (self._folder / ".env").read_text(), re.MULTILINE))
        return values[name]

    def prefix(self) -> list[str]:
        """Return ``docker compose`` with this project's options, without a command."""
        options = ["--project-name", NAME, "--project-directory", str(self.directory)]
        options += [word for file in self.files for word in ("--file", str(file))]
        return inside(self._folders, "docker", "compose", *options, "--env-file", str(self._folder / ".env"))

    def command(self, *arguments: str) -> list[str]:
        """Return the command ``docker compose`` with this project's options."""
        profiles = [word for name in PROFILES for word in ("--profile", name)] if arguments[0] == "down" else []
        return [*self.prefix(), *profiles, *arguments]

    def compose(self, *arguments: str, given: bytes | None = None, seconds: float = 900) -> str:
        """Run ``docker compose`` and return what it printed.

        Raises:
            StackError: it failed.
        """
        return run(self.command(*arguments), given=given, seconds=seconds)

    def try_compose(self, *arguments: str) -> tuple[int, str]:
        """Run ``docker compose``; return its exit code and what it printed."""
        done = attempt(self.command(*arguments), seconds=900)
        return done.returncode, (done.stdout + done.stderr).decode(errors="replace")

    def up(self, *services: str, profiles: Sequence[str] = ()) -> None:
        """Start services, all of the given profiles and none if there are none."""
        options = [word for profile in profiles for word in ("--profile", profile)]
        self.compose(*options, "up", "--detach", "--no-build", "--pull", "never", *services)

    def moderation(self, *arguments: str, seconds: float = 1200) -> str:
        """Run ``moderation`` as docs/deploy.md does, and return what it printed."""
        return self.compose("run", "--rm", "--no-deps", "-T", "moderation", *arguments, seconds=seconds)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """What ``docker inspect`` shows of a service's containers, stopped ones too, in order of their names."""
        ids = self.compose("ps", "--all", "--quiet", service).split()
        shown: list[dict[str, Any]] = json.loads(run(inside(self._folders, "docker", "inspect", *ids))) if ids else []
        return sorted(shown, key=lambda each: str(each["Name"]))

    def health(self, service: str) -> list[str]:
        """Health of each container of a service."""
        return [each["State"].get("Health", {}).get("Status", "none") for each in self.containers(service)]

    def wait_healthy(self, service: str, count: int = 1, seconds: float = 300) -> float:
        """Wait until a service has this number of containers, all healthy; return the seconds."""
        return wait_until(
            lambda: self.health(service) == ["healthy"] * count,
            seconds=seconds,
            description=f"health of {service}",
            interval_seconds=1.0,
        )

    def ask_worker(self, container: str, path: str) -> dict[str, Any]:
        """GET a path of a worker's HTTP API from inside its container; empty if it does not respond."""
        program = (
            "import os, urllib.request as r; token = os.environ.get('MODERATION_HTTP_TOKEN', ''); "
            f"request = r.Request('http://127.0.0.1:6066{path}', headers={{'Authorization': 'Bearer ' + token}}); "
            "print(r.urlopen(request, timeout=5).read().decode())"
        )
        command = inside(self._folders, "docker", "exec", container, "python", "-P", "-c", program)
        done = attempt(command, seconds=30)
        answer: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        return answer

    def sql(self, statement: str, *, role: str = "postgres", password: str | None = None) -> list[list[str]]:
        """Execute a statement in database ``moderation``; return rows of texts.

        Args:
            statement: of SQL.
            role: logs in.
            password: variable of the container with its password, which no command line contains; None: the role
                needs none.
        """
        shell = [] if password is None else ["sh", "-c", f'PGPASSWORD="${password}" exec "$@"', "sh"]
        host = [] if password is None else ["--host", "127.0.0.1"]
        command = ["exec", "-T", "postgres", *shell, "psql", *host, "--username", role, "--dbname", "moderation"]
        printed = self.compose(*command, "-v", "ON_ERROR_STOP=1", "-tAF\t", given=statement.encode())
        return [line.split("\t") for line in printed.splitlines()]

    def log_of(self, service: str, lines: int = 200) -> str:
        """The last lines of the logs of a service's containers."""
        printed = self.compose("logs", "--no-color", "--no-log-prefix", "--tail", str(lines), service)
        return printed.replace(_ERASE_LINE, "")

    def restore_dump(self, dump: bytes) -> str:
        """Restore a dump of all databases; return what psql printed on its two streams."""
        done = attempt(
            self.command("exec", "-T", "postgres", "psql", "--username", "postgres", "--quiet"), given=dump, seconds=900
        )
        return (done.stdout + done.stderr).decode(errors="replace")

    def count(self, statement: str) -> int:
        """Execute a statement that returns one number.

        Raises:
            StackError: psql printed none.
        """
        rows = self.sql(statement)
        if not rows:
            raise StackError(f"`{statement}`", "psql printed no row", "See the log of the service postgres.")
        return int(rows[0][0] or 0)


def seconds_of(action: Any) -> float:
    """Call a function and return its duration in seconds."""
    begun = time.monotonic()
    action()
    return round(time.monotonic() - begun, 1)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
