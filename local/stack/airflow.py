"""Airflow as programs of the stack: api-server, scheduler, DAG processor and triggerer.

Metadata are stored in the stack's PostgreSQL, everything else under the data folder. Environment variables of the
programs configure Airflow. Tasks inherit them, including the connection ``kafka_default`` and the project's settings.
"""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.stack.airflow_health import answers, beats_since
from local.stack.commands import StackInfo
from local.stack.credentials import ensure_secrets, load, new_secret, write_private
from local.stack.environment import MARKER, inherited_environment
from local.stack.layout import StackLayout
from local.stack.ports import HOST
from local.stack.program import Program
from local.stack.required_packages import check_packages
from local.stack.supervisor import read_program_state
from local.stack.worker import settings_environment, stack_settings
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.errors import ConfigurationError, StackError

API_SERVER = "airflow-api-server"
COMPONENTS = ("scheduler", "dag-processor", "triggerer")
USER = "admin"
PASSWORD = "airflow-admin"  # noqa: S105 - the name of the password among the credentials
ROLES = {USER: "admin", "approver": "op", "user": "user", "viewer": "viewer"}
"""Accounts and their roles. `user` triggers runs, `approver` also decides on promotions and changes settings."""
AIRFLOW_PORTS = {API_SERVER: 8080}
KAFKA_CONNECTION = "AIRFLOW_CONN_KAFKA_DEFAULT"
DAGS = Path(__file__).parents[2] / "dags"

_MIGRATE_SECONDS = 180.0
_READY_SECONDS = 180.0
_STOP_SECONDS = 10.0  # for running tasks; each is safe to repeat


@dataclass(frozen=True, slots=True)
class Keys:
    """Secrets that the parts of one Airflow share."""

    passwords: Mapping[str, str] = field(repr=False)
    fernet: str = field(repr=False)
    jwt: str = field(repr=False)
    api: str = field(repr=False)


def admin_password(layout: StackLayout) -> str | None:
    """Return the password of the user ``admin`` of Airflow's UI; None until it is created."""
    return password_of(layout, USER)


def password_of(layout: StackLayout, user: str) -> str | None:
    """Return the password of an account of Airflow; None until it is created."""
    credentials = load(layout.credentials_file)
    return credentials.secrets.get(f"airflow-{user}") if credentials else None


def url(info: StackInfo) -> str:
    """Return the address of Airflow's UI and API."""
    return f"http://{HOST}:{info.ports[API_SERVER]}"


def airflow(layout: StackLayout, dags: Path = DAGS) -> Callable[[StackInfo], list[Program]]:
    """Return the programs that ``up`` starts for Airflow, as a function of the stack's addresses.

    Args:
        layout: of the stack.
        dags: folder of the DAG files.

    Raises:
        ConfigurationError: Airflow is not installed, or there is no folder of DAGs.
    """
    check_packages(("airflow",), extras="`airflow`, `local` and `batch`")
    if not dags.is_dir():
        raise ConfigurationError(
            f"folder of DAGs {dags}",
            "it does not exist: a checkout contains it, the installed package does not",
            "Work from a checkout, or leave Airflow out: moderation up --core.",
        )
    return lambda info: _programs(layout, info, dags)


def _programs(layout: StackLayout, info: StackInfo, dags: Path) -> list[Program]:
    keys = _keys(layout)
    environment = _environment(layout, info, dags, keys)
    port = info.ports[API_SERVER]

    def prepare() -> None:
        layout.airflow.mkdir(mode=0o700, exist_ok=True)
        write_private(_passwords_file(layout), json.dumps(dict(keys.passwords)))
        _migrate(layout, environment)

    server = Program(
        name=API_SERVER,
        argv=_command("api-server"),
        cwd=layout.run,
        env=environment,
        address=url(info),
        depends_on=("postgres",),
        prepare=prepare,
        ready=lambda: answers(port),
        ready_seconds=_READY_SECONDS,
    )
    # The scheduler's executor runs the tasks and the triggerer runs their triggers: both need the environment of tasks.
    inherited = _task_environment(layout, info)
    options = {"scheduler": ("--skip-serve-logs",), "triggerer": ("--skip-serve-logs",)}

    def component(name: str) -> Program:
        program = f"airflow-{name}"
        return Program(
            name=program,
            argv=_command(name, *options.get(name, ())),
            cwd=layout.run,
            env={**environment, **(inherited if name in options else {})},
            depends_on=(API_SERVER, "kafka") if name in options else (API_SERVER,),
            ready=lambda: beats_since(port, name, read_program_state(layout, program).started_us),
            ready_seconds=_READY_SECONDS,
            stop_seconds=_STOP_SECONDS,
        )

    return [server, *(component(name) for name in COMPONENTS)]


def _keys(layout: StackLayout) -> Keys:
    """Return this stack's keys; they are created the first time."""

    def fernet_key() -> str:
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()

    keys = {"airflow-fernet": fernet_key, "airflow-jwt": new_secret, "airflow-api": new_secret}
    accounts = {f"airflow-{user}": new_secret for user in ROLES}
    stored = ensure_secrets(layout.credentials_file, {**accounts, **keys})
    return Keys({user: stored[f"airflow-{user}"] for user in ROLES}, *(stored[name] for name in keys))


def _environment(layout: StackLayout, info: StackInfo, dags: Path, keys: Keys) -> Mapping[str, str]:
    """Return the environment that configures every part of Airflow; it contains secrets."""
    sections: Mapping[str, Mapping[str, object]] = {
        "core": {
            "dags_folder": dags,
            "load_examples": False,
            "executor": "LocalExecutor",
            "parallelism": 4,
            "fernet_key": keys.fernet,
            "auth_manager": "local.access.simple_accounts.ApprovingSimpleAuthManager",
            "simple_auth_manager_users": ",".join(f"{user}:{role}" for user, role in ROLES.items()),
            "simple_auth_manager_passwords_file": _passwords_file(layout),
            "execution_api_server_url": f"{url(info)}/execution/",
            "hostname_callable": "socket.gethostname",  # the default asks a name server
        },
        "database": {"sql_alchemy_conn": info.database_url("airflow", driver="psycopg2")},
        "api": {
            "host": HOST,
            "port": info.ports[API_SERVER],
            "workers": 1,
            "base_url": url(info),
            "secret_key": keys.api,
        },
        "api_auth": {"jwt_secret": keys.jwt},
        "dag_processor": {"parsing_processes": 1},
        "logging": {"base_log_folder": layout.airflow / "logs", "colored_console_log": False},
    }
    return {
        "AIRFLOW_HOME": str(layout.airflow),
        "PYTHONSAFEPATH": "1",
        "SPT_NOENV": "1",  # process titles must not overwrite the marker by which `down` finds the processes
        **{
            f"AIRFLOW__{section.upper()}__{key.upper()}": str(value)
            for section, options in sections.items()
            for key, value in options.items()
        },
    }


def _task_environment(layout: StackLayout, info: StackInfo) -> Mapping[str, str]:
    """Return the environment of tasks: the Kafka provider's connection and the project's settings."""
    return {
        KAFKA_CONNECTION: kafka_connection(info.kafka),
        **settings_environment(stack_settings(layout, info)),
    }


def kafka_connection(kafka: KafkaConnection) -> str:
    """Return Airflow's connection ``kafka_default`` as JSON, which configures the DAGs' Kafka clients.

    Args:
        kafka: the connection.
    """
    return json.dumps({"conn_type": "kafka", "extra": kafka.airflow_extra()})


def _migrate(layout: StackLayout, environment: Mapping[str, str]) -> None:
    """Migrate Airflow's tables to the installed version.

    Raises:
        StackError: the migration fails.
    """
    log = layout.log_file("airflow-migrate")
    with log.open("wb") as output:
        try:
            subprocess.run(
                _command("db", "migrate"),
                cwd=layout.run,
                env=inherited_environment() | {MARKER: str(layout.root)} | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_MIGRATE_SECONDS,
                check=True,
            )
        except subprocess.SubprocessError as error:
            raise StackError("Airflow's tables", f"they cannot be migrated: {error}", f"See {log}.") from error


def _command(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", "airflow", *arguments)


def _passwords_file(layout: StackLayout) -> Path:
    return layout.run / "airflow-passwords.json"
