"""Runs of Airflow send mails and webhook requests to local servers; a server that is away changes no run."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from local.stack.airflow import DAGS
from local.stack.commands import StackInfo
from local.stack.ports import any_free_port
from moderation.adapters.sql.migrate import migrate_database
from moderation.settings import Settings
from tests.support.dag_runs import DagRuns
from tests.support.model_life import LENIENT, STRICT, ModelLife, Templates
from tests.support.workers import base_settings

pytestmark = pytest.mark.long
COMMENT = "the text of a comment"
PROBE = f'''
"""Tasks that end like those of the nightly DAGs, with the shared settings of all DAG files."""
from datetime import timedelta
from airflow.sdk import dag, task
from _defaults import DAG_OPTIONS, task_defaults
from _notifications import Announce

A_MINUTE = timedelta(minutes=1)

@dag(schedule=None, default_args=task_defaults(1, first_delay=A_MINUTE, longest_delay=A_MINUTE, time_limit=A_MINUTE),
     **DAG_OPTIONS)
def probe():
    @task(on_success_callback=[Announce("gate")])
    def gate():
        return {{"version": "4", "is_passed": False, "reasons": ["reviews double <b>"], "text": "{COMMENT}"}}

    @task(on_success_callback=[Announce("drift")])
    def watch():
        return {{"day": "2026-11-23", "drifted": ["score"], "reason": "drift: score", "held_back": None, "url": "u"}}

    @task
    def reconcile():
        from moderation.errors import DefectsFound
        raise DefectsFound("2026-11-23, revision 1", "3 lost", "See the dashboard.")

    gate(), watch(), reconcile()

probe()
'''


@dataclass
class Inbox:
    """What the two servers received.

    Attributes:
        mails: messages with their recipients.
        requests: JSON bodies of webhook requests.
        environment: Airflow's connections to the servers.
    """

    mails: list[tuple[list[str], Message]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Store a mail."""
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content)))
        return "250 OK"

    def kinds(self) -> list[str]:
        """Return the kinds of the messages, sorted."""
        return sorted(request["kind"] for request in self.requests)


def connections(smtp_port: int, http_port: int) -> dict[str, str]:
    """Return the connections of the documentation as Airflow reads them from the environment."""
    extra = {
        "to": "moderators@example.org",
        "from_email": "airflow@example.org",
        "disable_ssl": True,
        "disable_tls": True,
        "retry_limit": 1,
    }
    smtp = {"conn_type": "smtp", "host": "127.0.0.1", "port": smtp_port, "extra": extra}
    webhook = {"conn_type": "http", "host": f"http://127.0.0.1:{http_port}/hook"}
    return {
        "AIRFLOW_CONN_MODERATION_SMTP": json.dumps(smtp),
        "AIRFLOW_CONN_MODERATION_WEBHOOK": json.dumps(webhook),
    }


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            inbox.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *given: object) -> None:
            pass

    controller = Controller(inbox, hostname="127.0.0.1", port=any_free_port())
    controller.start()
    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        inbox.environment = connections(controller.port, server.server_address[1])
        yield inbox
        server.shutdown()
    controller.stop()


@pytest.fixture(scope="module")
def runs(stack: StackInfo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagRuns]:
    """The project's DAGs, and one of the test."""
    folder = tmp_path_factory.mktemp("dags") / "dags"
    shutil.copytree(DAGS, folder)
    (folder / "probe.py").write_text(PROBE)
    with contextlib.closing(DagRuns(stack, folder)) as runs:
        yield runs


@pytest.fixture
def settings(stack: StackInfo) -> Settings:
    migrate_database(stack.database_url())
    return base_settings(stack, "")


def test_a_stopped_gate_drift_and_defects_arrive_by_mail_and_webhook(
    runs: DagRuns, settings: Settings, inbox: Inbox
) -> None:
    run = runs.run("probe", settings, environment=inbox.environment)
    assert run.tasks == {"gate": "success", "watch": "success", "reconcile": "failed"}
    assert inbox.kinds() == ["defect", "drift", "stopped"], run.output[-3_000:]
    by_kind = {request["kind"]: request for request in inbox.requests}
    assert by_kind["stopped"]["reasons"] == ["reviews double <b>"]
    assert by_kind["defect"]["subject"] == "comment-moderation: Defects: 2026-11-23, revision 1: 3 lost"
    assert {request["dag_id"] for request in inbox.requests} == {"probe"}
    assert all(request["url"].startswith("http") and request["run_id"] for request in inbox.requests)
    subjects = sorted(str(mail["Subject"]) for _, mail in inbox.mails)
    assert subjects == sorted(str(request["subject"]) for request in inbox.requests)
    assert {tuple(to) for to, _ in inbox.mails} == {("moderators@example.org",)}
    assert COMMENT not in str([mail.as_string() for _, mail in inbox.mails]) + str(inbox.requests)


def test_a_server_that_is_away_changes_no_run_and_is_logged(runs: DagRuns, settings: Settings) -> None:
    run = runs.run("probe", settings, environment=connections(any_free_port(), any_free_port()))
    assert run.tasks == {"gate": "success", "watch": "success", "reconcile": "failed"}
    for name in ("moderation_smtp", "moderation_webhook"):
        assert f"the notification was not sent by connection {name}" in run.output


def test_without_a_connection_nothing_is_sent(runs: DagRuns, settings: Settings) -> None:
    run = runs.run("probe", settings)
    assert run.tasks == {"gate": "success", "watch": "success", "reconcile": "failed"}
    assert "notification sent" not in run.output


def test_a_failed_run_and_a_waiting_approval_are_announced(
    runs: DagRuns, stack: StackInfo, templates: Templates, topic_prefix: str, tmp_path: Path, inbox: Inbox
) -> None:
    # Without own topics, defects that another test left would close the gate.
    life = ModelLife(base_settings(stack, topic_prefix), tmp_path, templates)
    for alias, policy in (("production", LENIENT), ("challenger", STRICT)):
        life.registry.give_alias(alias, life.register(policy))
    run = runs.run("promote_model", life.settings, environment=inbox.environment)
    assert (run.state, run.tasks["show"]) == ("failed", "failed")
    (failure,) = inbox.requests
    assert (failure["kind"], failure["dag_id"], failure["task_id"]) == ("failure", "promote_model", "show")
    assert "ConfigurationError: reason of the promotion: it is empty." in failure["reasons"][0]
    why = {"reason": "it knows {{ 7 * 7 }} more"}
    run = runs.run("promote_model", life.settings, why, answer="Approve", environment=inbox.environment)
    assert run.state == "success", run.output[-3_000:]
    assert inbox.kinds() == ["approval", "failure"]
    approval = inbox.requests[-1]
    assert approval["subject"] == "comment-moderation: Version 2 waits for approval"
    assert approval["reasons"] == ["it knows {{ 7 * 7 }} more", "it would replace version 1"]
    assert approval["url"].endswith("/tasks/approve/required_actions?map_index=-1")
    assert len(inbox.mails) == 2
