"""The speed layer's worker as a program of the stack, and settings with the addresses of the stack."""

from __future__ import annotations

import json
import logging
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from local.stack import mlflow_accounts
from local.stack.commands import StackInfo
from local.stack.credentials import write_private
from local.stack.health import WorkerStatus
from local.stack.layout import StackLayout
from local.stack.ports import HOST
from local.stack.program import Program
from moderation.adapters.registry.keys import SigningKey, encode
from moderation.adapters.sql.migrate import migrate_database
from moderation.bootstrap import registry
from moderation.settings import PREFIX, Settings
from stream.exit_codes import REFUSED

WORKER = "worker"
METRICS = "worker-metrics"
_ANSWER_SECONDS = 2.0
_log = logging.getLogger(__name__)
WORKER_PORTS = {WORKER: 6066, METRICS: 6067}


def signing_key(layout: StackLayout) -> SigningKey:
    """Return the key that signs this stack's model certificates; created the first time, readable only by its owner."""
    path = layout.run / "signing.key"
    if not path.exists():
        write_private(path, SigningKey.generate().seed())
    return SigningKey.parse(path.read_text())


def certificate_key(layout: StackLayout) -> SecretStr | None:
    """Return the key of certificates of format 1; None for a stack that was created with format 2."""
    path = layout.run / "certificate.key"
    return SecretStr(path.read_text()) if path.exists() else None


def exploration_key(layout: StackLayout) -> str:
    """Return the key of this stack's exploration draws; created the first time, readable only by its owner."""
    path = layout.run / "exploration.key"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(48))
    return path.read_text()


def stack_settings(layout: StackLayout, info: StackInfo, *, topic_prefix: str = "", login: str = "batch") -> Settings:
    """Return settings with the addresses of the stack's servers, with the rights of the batch layer in MLflow.

    Args:
        layout: of the stack.
        info: its addresses.
        topic_prefix: put before every topic's name.
        login: role that logs in to the database, see :data:`local.stack.postgres.LOGINS`.
    """
    return Settings(
        kafka_bootstrap=info.kafka_bootstrap,
        database_url=SecretStr(info.database_url(login)),
        database_ca_file=None,
        database_durability="server",
        mlflow_url=info.mlflow_url,
        mlflow_username=mlflow_accounts.BATCH,
        mlflow_password=SecretStr(mlflow_accounts.passwords(layout)[mlflow_accounts.BATCH]),
        signing_key=SecretStr(signing_key(layout).seed()),
        verify_keys=encode(signing_key(layout).public),
        certificate_key=certificate_key(layout),
        exploration_key=SecretStr(exploration_key(layout)),
        state_folder=layout.state,
        lake_url=str(layout.lake),
        topic_prefix=topic_prefix,
        consumer_group=topic_prefix + "moderation-speed",
        worker_web_port=info.ports.get(WORKER, WORKER_PORTS[WORKER]),
        metrics_port=info.ports.get(METRICS, WORKER_PORTS[METRICS]),
    )


def settings_environment(settings: Settings) -> Mapping[str, str]:
    """Return settings as environment variables for a child process."""
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    texts = {
        k: v.get_secret_value() if isinstance(v, SecretStr) else str(v) for k, v in values.items() if v is not None
    }
    return {PREFIX + name.upper(): value for name, value in texts.items()}


def speed_layer(layout: StackLayout) -> Callable[[StackInfo], list[Program]]:
    """Return the program that ``up`` starts beside the servers: the worker; its tables are migrated before."""
    return lambda info: [worker_program(layout, info, stack_settings(layout, info))]


def worker_program(
    layout: StackLayout, info: StackInfo, settings: Settings, name: str = WORKER, *, web: bool = True
) -> Program:
    """Return the worker: Faust's command line on uvloop. It waits for a model with the alias ``production``.

    Args:
        layout: of the stack.
        info: its addresses. The worker logs in to the database as ``worker``; its owner migrates it before.
        settings: of the worker; their login is not used.
        name: of the program.
        web: whether it serves the web views; each worker needs its own port.
    """

    options = ("--loop", "uvloop", "worker", *(() if web else ("--without-web",)))
    return Program(
        name=name,
        argv=(sys.executable, "-P", "-m", "stream", *options),
        cwd=_folder(layout.state),
        env=settings_environment(worker_settings(layout, info, settings)),
        address=f"http://{HOST}:{settings.worker_web_port}" if web else "",
        depends_on=("kafka", "postgres", "mlflow"),
        prepare=lambda: _prepare(info, settings),
        stop_seconds=30.0,
        no_restart_codes=frozenset({REFUSED}),
    )


def worker_status(address: str) -> WorkerStatus | None:
    """Read the worker's views ``/lag`` and ``/ready``; None if it does not answer."""
    try:
        lag, ready = _get_json(f"{address}/lag"), _get_json(f"{address}/ready")
    except (OSError, ValueError):
        return None
    registry_state, override = ready.get("registry", "followed"), ready.get("override")
    return WorkerStatus(ready["missing"], lag["lag"], lag["per_second"], registry_state, override)


def _get_json(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - loopback
            body = answer.read()
    except urllib.error.HTTPError as error:  # not ready is an answer
        with error:
            body = error.read()
    fields: dict[str, Any] = json.loads(body)
    return fields


def without_private_keys(settings: Settings) -> Settings:
    """Return the settings of a program that verifies certificates and does not sign them."""
    return settings.model_copy(update={"signing_key": None, "certificate_key": None})


def worker_settings(layout: StackLayout, info: StackInfo, settings: Settings) -> Settings:
    """Return the settings of a worker: it cannot sign certificates, and its accounts have the rights of a worker."""
    changes = {
        "database_url": SecretStr(info.database_url("worker")),
        "mlflow_username": mlflow_accounts.WORKER,
        "mlflow_password": SecretStr(mlflow_accounts.passwords(layout)[mlflow_accounts.WORKER]),
    }
    return without_private_keys(settings).model_copy(update=changes)


def _prepare(info: StackInfo, settings: Settings) -> None:
    """Migrate the tables; sign certificates of format 1 again, which only a stack of a former release has."""
    migrate_database(info.database_url())
    if settings.certificate_key is not None:
        refused = [each for each in registry(settings).certify_all() if each.state == "refused"]
        for each in refused:
            _log.warning("version %s keeps its former certificate, so no worker opens it: %s", each.version, each.cause)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
