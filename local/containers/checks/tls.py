"""TLS between the services: ``docker-compose.tls.yaml`` over ``docker-compose.yaml``, and what the servers refuse."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from local.containers.checks.batch_layer import healthy_airflow, run_dag
from local.containers.checks.first_model import COMMENTS_SENT, send, serve_bootstrap_model
from local.containers.checks.system import System, require
from local.containers.folders import CHECKOUT
from local.containers.processes import attempt
from local.containers.project import Project, seconds_of
from local.containers.stand_ins import POSTGRES_WITH_TLS
from moderation.adapters.kafka.access import require_accepted
from moderation.adapters.kafka.connection import KafkaConnection, kafka_of
from moderation.errors import ConfigurationError
from moderation.settings import Settings

_CA = "/etc/tls/authority/ca.pem"
_MAKER = CHECKOUT / "docker" / "tls" / "certificates.py"
_CONNECT = """
import os, sys, psycopg
with open("/tmp/other.pem", "wb") as file: file.write(sys.stdin.buffer.read())
psycopg.connect(os.environ["MODERATION_DATABASE_URL"], {options})
"""


def tls(system: System) -> dict[str, Any]:
    """A system without TLS gets it; a model decides and Airflow archives; servers refuse what does not verify."""
    project, plain = system.project, list(system.project.files)
    project.compose("down", "--volumes", "--remove-orphans")
    project.write_env(MODERATION_WORKERS=1)
    image = system.folders.work / "postgres-with-tls.yaml"
    image.write_text(f'services: {{postgres: {{image: "{POSTGRES_WITH_TLS}"}}}}\n')
    try:
        project.files = [*plain, image]
        for job in ("migrate", "topics"):
            project.compose("run", "--rm", "-T", job)
        project.files = [*plain, CHECKOUT / "docker-compose.tls.yaml", image]
        seconds = seconds_of(project.up)
        project.wait_healthy("worker", seconds=180)
        require(
            "postgres" in project.compose("logs", "certificates"), "the job's log names no certificate of PostgreSQL"
        )
        project.compose("restart", "kafka", "postgres")
        version, _ = serve_bootstrap_model(system)
        refused = _decide_and_refuse(system)
        served = project.sql("SELECT DISTINCT model_version FROM speed.decisions")
        require(served == [[version]], f"versions {served} decided, {version} was registered")
        project.up(profiles=["batch"])
        run_dag(healthy_airflow(system), "archive_topics")
        return {"seconds_to_add_tls": seconds, "decisions": system.decisions(), "refused": refused}
    finally:
        project.compose("down", "--volumes", "--remove-orphans")
        project.files = plain


def _decide_and_refuse(system: System) -> dict[str, str]:
    """Send comments through the published port with an account; return the message of each refusal."""
    project = system.project
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ca, other = folder / "ca.pem", _another_authority(folder)
        ca.write_text(project.compose("exec", "-T", "worker", "cat", _CA))
        settings = {
            "kafka_bootstrap": f"127.0.0.1:{project.ports['KAFKA_PORT']}",
            "kafka_security_protocol": "sasl_ssl",
            "kafka_sasl_mechanism": "PLAIN",
            "kafka_username": "source",
            "kafka_password": project.value("KAFKA_SOURCE_PASSWORD"),
            "kafka_ca_file": str(ca),
        }
        send(kafka_of(Settings.model_validate(settings)), "tls")
        system.wait_for_decisions_in_all(COMMENTS_SENT)
        system.require_once()
        wrong = {
            "another authority": kafka_of(Settings.model_validate({**settings, "kafka_ca_file": str(other)})),
            "another password": kafka_of(Settings.model_validate({**settings, "kafka_password": "guessed"})),
            "no TLS": KafkaConnection.plaintext(settings["kafka_bootstrap"]),
        }
        refused = {f"Kafka: {name}": _refusal_of_kafka(kafka) for name, kafka in wrong.items()}
        trusts_other = "sslmode='verify-full', sslrootcert='/tmp/other.pem'"
        refused["PostgreSQL: another authority"] = _refusal_of_postgres(project, trusts_other, other.read_bytes())
        refused["PostgreSQL: no TLS"] = _refusal_of_postgres(project, "sslmode='disable'", b"")
    require("certificate verify failed" in refused["PostgreSQL: another authority"], f"PostgreSQL said {refused}")
    require("no encryption" in refused["PostgreSQL: no TLS"], f"PostgreSQL said {refused}")
    return refused


def _another_authority(folder: Path) -> Path:
    """Return the certificate of an authority that signed nothing here."""
    for name in ("signing", "authority"):
        (folder / name).mkdir()
    subprocess.run([sys.executable, "-P", _MAKER, folder], check=True, capture_output=True, timeout=60)
    return folder / "authority" / "ca.pem"


def _refusal_of_kafka(kafka: KafkaConnection) -> str:
    """Return the message of a connection that Kafka must refuse."""
    try:
        require_accepted(kafka)
    except ConfigurationError as error:
        return str(error)
    require(False, f"Kafka accepted {kafka.protocol} with {sorted(kafka.configuration)}")
    return ""


def _refusal_of_postgres(project: Project, options: str, given: bytes) -> str:
    """Connect from the worker's container, where PostgreSQL must refuse it; return the last line of the message."""
    program = _CONNECT.format(options=options)
    done = attempt(project.command("exec", "-T", "worker", "python", "-P", "-c", program), given=given, seconds=60)
    require(done.returncode != 0, f"PostgreSQL accepted {options}")
    lines = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()
    require(bool(lines), f"the worker's container printed nothing and ended with {done.returncode}, for {options}")
    return lines[-1]
