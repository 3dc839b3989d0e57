"""Messages to people about runs: pure functions of what a task knows. No message contains the text of a comment."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from moderation.errors import DefectsFound, ModerationError

Kind = Literal["approval", "stopped", "failure", "defect", "drift"]
_MOST_LINES = 20
_MOST_CHARACTERS = 1_000
_MOST_SUBJECT_CHARACTERS = 150


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The run that a message is about.

    Attributes:
        dag_id: id of the DAG.
        run_id: id of the run.
        url: page of the task or run in the Airflow UI.
        task_id: id of the task; empty for the whole run.
    """

    dag_id: str
    run_id: str
    url: str
    task_id: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message.

    Attributes:
        kind: what happened.
        subject: one line.
        reasons: one line each.
        run: the run it is about.
    """

    kind: Kind
    subject: str
    reasons: tuple[str, ...]
    run: RunFacts

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields of a webhook request; chat systems show ``text``."""
        return {
            "text": "\n".join((self.subject, *self.reasons, self._run(), self.run.url)),
            "kind": self.kind,
            "subject": self.subject,
            "reasons": list(self.reasons),
            "dag_id": self.run.dag_id,
            "run_id": self.run.run_id,
            "task_id": self.run.task_id,
            "url": self.run.url,
        }

    def html(self) -> str:
        """Return the body of a mail."""
        reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in self.reasons)
        url = html.escape(self.run.url)
        return (
            f"<p>{html.escape(self.subject)}</p><ul>{reasons}</ul><p>{html.escape(self._run())}</p>"
            f'<p><a href="{url}">{url}</a></p>'
        )

    def _run(self) -> str:
        task = f", task {self.run.task_id}" if self.run.task_id else ""
        return f"DAG {self.run.dag_id}, run {self.run.run_id}{task}"


def of_failure(run: RunFacts, error: BaseException | str | None) -> Notice:
    """Return the message about a task that failed for good; a broken guarantee is a message of its own kind.

    Args:
        run: the run.
        error: that ended the task. The message of an error of another library may contain anything, so only its name
            is shown.
    """
    if isinstance(error, DefectsFound):
        return _notice("defect", f"Defects: {error.thing}: {error.cause}", [str(error)], run)
    if isinstance(error, ModerationError):
        reason = f"{type(error).__name__}: {error}"
    elif isinstance(error, BaseException):
        reason = f"{type(error).__name__}; the task's log has the message"
    else:
        reason = "the process of the task ended without an error, or the scheduler gave it up; see the task's log"
    return _notice("failure", f"{run.dag_id} failed in task {run.task_id}", [reason], run)


def of_timeout(run: RunFacts, reason: str | None) -> Notice | None:
    """Return the message about a run that exceeded its time limit; None if a task failed, which has its own message.

    Args:
        run: the run.
        reason: Airflow's reason of the failure.
    """
    if reason != "timed_out":
        return None
    return _notice(
        "failure", f"{run.dag_id} exceeded its time limit", ["the tasks that had not ended were stopped"], run
    )


def of_gate(run: RunFacts, judged: Mapping[str, Any]) -> Notice | None:
    """Return the message about a version that did not pass the gate; None if it passed.

    Args:
        run: the run.
        judged: fields of :class:`batch.retrain.gate.GateReport`.
    """
    if judged["is_passed"]:
        return None
    state = str(judged.get("state") or "stopped by the gate").replace("_", " ")
    return _notice("stopped", f"Version {judged['version']}: {state}", judged["reasons"], run)


def of_drift(run: RunFacts, report: Mapping[str, Any]) -> Notice | None:
    """Return the message about drift; None if nothing drifted.

    Args:
        run: the run.
        report: fields of :class:`batch.drift.report.DriftReport`.
    """
    if not report["drifted"]:
        return None
    follows = (
        f"no retraining is requested: {report['held_back']}" if report["held_back"] else "a retraining is requested"
    )
    return _notice("drift", f"Drift on {report['day']}", [report["reason"], follows, f"evidence: {report['url']}"], run)


def of_approval(run: RunFacts, shown: Mapping[str, Any]) -> Notice:
    """Return the message about an approval that waits.

    Args:
        run: the run; its URL is the page where the approver answers.
        shown: what the approver is shown; only version and reason are used, because the page contains comments.
    """
    replaces = f"it would replace version {shown['replaces']}" if shown["replaces"] else "no version serves now"
    return _notice("approval", f"Version {shown['version']} waits for approval", [shown["reason"], replaces], run)


def _notice(kind: Kind, subject: str, reasons: Sequence[str], run: RunFacts) -> Notice:
    lines = [_line(reason, _MOST_CHARACTERS) for reason in reasons[:_MOST_LINES]]
    if len(reasons) > _MOST_LINES:
        lines.append(f"{len(reasons) - _MOST_LINES} more")
    return Notice(kind, _line(f"comment-moderation: {subject}", _MOST_SUBJECT_CHARACTERS), tuple(lines), run)


def _line(text: str, most: int) -> str:
    """Return text as one line without control characters."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
