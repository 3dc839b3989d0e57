"""Notifications by mail and webhook through the Airflow connections `moderation_smtp` and `moderation_webhook`.

Without such a connection nothing is sent. A message that cannot be sent is logged and never changes a run. This file
defines no DAG; ``.airflowignore`` names it.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any, Literal

from airflow.sdk import BaseNotifier
from airflow.sdk.bases.hook import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

NOTICES, SMTP, WEBHOOK = "batch.notices", "moderation_smtp", "moderation_webhook"
_SECONDS = 15
_log = logging.getLogger(__name__)
Event = Literal["failure", "timeout", "gate", "drift", "approval"]


class Announce(BaseNotifier):
    """Sends the message about an event, if there is one; see ``batch.notices``.

    Args:
        event: which function of ``batch.notices`` writes the message.
    """

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event

    def __call__(self, *args: Any) -> None:
        """Send the message; log every error.

        Nothing is rendered as a template, because the reasons are text that users wrote.
        """
        try:
            self.notify(args[0])
        except Exception:
            _log.exception("the notification about %s was not sent", self.event)

    def notify(self, context: Any) -> None:
        """Send the message to every connection that is configured."""
        connections = {name: found for name in (SMTP, WEBHOOK) if (found := _connection(name)) is not None}
        if connections and (notice := self._notice(context)) is not None:
            for name, connection in connections.items():
                try:
                    (_mail if name == SMTP else _post)(connection, notice)
                    _log.info("notification sent by %s: %s", name, notice.subject)
                except Exception:
                    _log.exception("the notification was not sent by connection %s: %s", name, notice.subject)

    def _notice(self, context: Any) -> Any:
        notices = import_module(NOTICES)
        ti = context.get("ti")
        run_id = context.get("run_id") or getattr(ti, "run_id", "")
        dag_id, task_id = context["dag"].dag_id, getattr(ti, "task_id", "")
        url = getattr(ti, "log_url", "") or f"/dags/{dag_id}/runs/{run_id}"
        if self.event == "timeout":
            return notices.of_timeout(notices.RunFacts(dag_id, run_id, url), context.get("reason"))
        if self.event == "approval":
            task = context["task"]
            url = task.generate_link_to_ui_from_context(context=context)
            run = notices.RunFacts(dag_id, run_id, url, task_id)
            return notices.of_approval(run, ti.xcom_pull(task.shown_by))
        run = notices.RunFacts(dag_id, run_id, url, task_id)
        if self.event == "failure":
            return notices.of_failure(run, context.get("exception"))
        return getattr(notices, f"of_{self.event}")(run, ti.xcom_pull(task_ids=task_id))


def _connection(name: str) -> Any | None:
    try:
        return BaseHook.get_connection(name)
    except AirflowNotFoundException:
        return None


def _mail(connection: Any, notice: Any) -> None:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    to = str(connection.extra_dejson.get("to") or "")
    if not to:
        raise ValueError(f'connection {SMTP} has no recipients: add {{"to": "moderators@example.org"}} to its extra')
    # `notify` renders no templates, unlike a call of the notifier.
    SmtpNotifier(to=to, subject=notice.subject, html_content=notice.html(), smtp_conn_id=SMTP).notify({})


def _post(connection: Any, notice: Any) -> None:
    from airflow.providers.http.notifications.http import HttpNotifier

    HttpNotifier(
        http_conn_id=WEBHOOK,
        json=notice.fields(),
        extra_options={"timeout": connection.extra_dejson.get("timeout", _SECONDS)},
    ).notify({})
