"""Commands of docs/deploy.md as they stand there, if no other check runs them."""

from __future__ import annotations

import base64
import json
import secrets
import shlex
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from local.containers.checks.system import System, require
from local.containers.documented import command_with
from local.containers.engine import inside
from local.containers.processes import run

_COMMENTS = 40
_USER = "ann"
_SHELL = """
docker() {{
    if [ "$1" = compose ]; then shift; {compose} "$@"; else {docker} "$@"; fi
}}
{command}
"""


def documented_commands(system: System) -> dict[str, Any]:
    """Each command does what the page says: status, lag, users of Airflow, keys, a password, health, a file."""
    project = system.project
    listed = _run(system, "docker compose ps")
    require("worker" in listed and "unhealthy" not in listed, f"`docker compose ps` printed {listed}")
    lag = json.loads(_run(system, "docker compose exec worker python -P -c"))
    require("lag" in lag, f"the worker's lag is {lag}")
    name = str(project.containers("worker")[0]["Name"]).removeprefix("/")
    health = json.loads(_run(system, "docker inspect --format", CONTAINER=name))
    require(health["Status"] == "healthy", f"the worker's health is {health}")
    roles = _roles_of_a_new_user(system)
    require(roles == ["Approver", "User"], f"the new user has the roles {roles}")
    _change_password_of_grafana(system)
    _make_keys(system)
    decided = _decide_file(system)
    _run(system, "docker compose restart worker")
    project.wait_healthy("worker", len(project.containers("worker")))
    return {"lag": lag["records"], "roles_of_the_new_user": roles, "comments_of_the_file": decided}


def _run(system: System, beginning: str, given: bytes = b"", folder: Path | None = None, **replaced: str) -> str:
    """Run the command of the page with this beginning by a shell; return what it printed.

    Args:
        system: where it runs.
        beginning: of the command.
        given: its input, instead of a terminal's.
        folder: where it runs.
        **replaced: word in capitals of the command, and what a reader puts in its place.
    """
    command = command_with(beginning)
    for word, value in replaced.items():
        command = command.replace(word, value)
    for name in ("exec", "run"):  # there is no terminal
        command = command.replace(f"docker compose {name} ", f"docker compose {name} -T ").replace(" -T -T ", " -T ")
    script = _SHELL.format(
        compose=shlex.join(system.project.prefix()),
        docker=shlex.join(inside(system.folders, "docker")),
        command=command,
    )
    place = folder or system.folders.compose_project
    return run(["sh", "-euc", f"cd {shlex.quote(str(place))}\n{script}"], given=given, seconds=300)


def _roles_of_a_new_user(system: System) -> list[str]:
    password = f"{secrets.token_urlsafe(16)}\n".encode()
    _run(system, "docker compose exec airflow-api-server airflow users create", given=password * 2)
    _run(system, "docker compose exec airflow-api-server airflow users add-role")
    users = system.project.compose(
        "exec", "-T", "airflow-api-server", "airflow", "users", "list", "--output", "json", seconds=120
    )
    listed = json.loads(users[users.index("[{") :])
    (roles,) = (each["roles"] for each in listed if each["username"] == _USER)
    return sorted(roles if isinstance(roles, list) else json.loads(roles.replace("'", '"')))


def _change_password_of_grafana(system: System) -> None:
    """Give Grafana's login a password; then the one of ``.env`` again, which its containers have."""
    known = system.project.value("POSTGRES_GRAFANA_PASSWORD")
    for password in (secrets.token_urlsafe(16), known):
        before = _stored_password(system)
        _run(system, "docker compose exec postgres psql --username postgres --command", f"{password}\n".encode() * 2)
        require(_stored_password(system) != before, "the password of Grafana's login did not change")


def _stored_password(system: System) -> list[list[str]]:
    return system.project.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'grafana'")


def _make_keys(system: System) -> None:
    """Make a pair of certificate keys by OpenSSL; the public one must belong to the private one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _run(system, "openssl genpkey", folder=folder)
        private, public = (
            base64.b64decode(_run(system, f"openssl pkey -in signing.pem {option}", folder=folder))
            for option in ("-outform", "-pubout")
        )
    derived = Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    require(derived == public, "OpenSSL's public key does not belong to its private key")


def _decide_file(system: System) -> int:
    """Send the comments of a file in ``data/``; return how many were decided."""
    project = system.project
    path = Path(project.value("MODERATION_DATA_FOLDER")) / "export.csv"
    # Times of today would make all later comments of the source late.
    begun = datetime.fromisoformat(project.value("SOURCE_FIRST_DAY")).replace(tzinfo=UTC)
    rows = [
        f"file-{number},science,A study of number {number}.,{(begun + timedelta(seconds=number)).isoformat()}"
        for number in range(_COMMENTS)
    ]
    path.write_text("\n".join(["comment_id,community,body,created_at", *rows, ""]))
    path.chmod(0o644)
    _run(system, "docker compose run --rm --no-deps source --csv")
    statement = "SELECT count(*) FROM speed.decisions WHERE comment_id LIKE 'file-%'"
    system.wait_for_count(statement, _COMMENTS)
    return project.count(statement)
