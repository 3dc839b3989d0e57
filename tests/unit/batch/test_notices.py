"""Messages to people name run, reason and link, and contain no text of comments."""

from __future__ import annotations

import json

from batch.notices import RunFacts, of_approval, of_drift, of_failure, of_gate, of_timeout
from moderation.errors import DatabaseUnavailable, DefectsFound

RUN = RunFacts("retrain_model", "manual__1", "http://airflow.example/x?a=1&b=2", "gate")


def test_a_failure_names_dag_run_reason_and_link() -> None:
    notice = of_failure(RUN, DatabaseUnavailable("PostgreSQL", "connection refused", "Try again."))
    assert notice.kind == "failure"
    assert notice.subject == "comment-moderation: retrain_model failed in task gate"
    assert notice.reasons == ("DatabaseUnavailable: PostgreSQL: connection refused. Try again.",)
    fields = notice.fields()
    assert (fields["dag_id"], fields["run_id"], fields["url"]) == ("retrain_model", "manual__1", RUN.url)
    assert RUN.url in fields["text"]
    json.dumps(fields)


def test_the_message_of_an_error_of_another_library_is_not_sent() -> None:
    notice = of_failure(RUN, ValueError("the text of a comment"))
    assert "text of a comment" not in str(notice)
    assert notice.reasons == ("ValueError; the task's log has the message",)
    assert "scheduler gave it up" in of_failure(RUN, None).reasons[0]


def test_a_broken_guarantee_is_a_message_of_its_own_kind() -> None:
    notice = of_failure(RUN, DefectsFound("2026-11-23, revision 2", "3 lost", "See the dashboard."))
    assert (notice.kind, notice.subject) == ("defect", "comment-moderation: Defects: 2026-11-23, revision 2: 3 lost")


def test_a_stopped_version_is_reported_with_its_reasons_and_one_that_passed_is_not() -> None:
    judged = {"version": "4", "is_passed": False, "reasons": ["its AUC is lower", "reviews double"]}
    notice = of_gate(RUN, judged)
    assert notice is not None
    assert (notice.kind, notice.reasons) == ("stopped", ("its AUC is lower", "reviews double"))
    assert of_gate(RUN, judged | {"is_passed": True}) is None
    few = of_gate(RUN, judged | {"state": "too few comments: 300 of 2000"})
    assert few is not None
    assert few.subject == "comment-moderation: Version 4: too few comments: 300 of 2000"


def test_drift_is_reported_also_while_no_retraining_is_requested() -> None:
    report = {"day": "2026-11-23", "drifted": ["score"], "reason": "drift: score", "held_back": "cool-down", "url": "u"}
    notice = of_drift(RUN, report)
    assert notice is not None
    assert notice.reasons == ("drift: score", "no retraining is requested: cool-down", "evidence: u")
    assert of_drift(RUN, report | {"drifted": []}) is None


def test_the_message_about_an_approval_contains_no_comment() -> None:
    shown = {"version": "2", "replaces": "1", "reason": "version 2 passed the gate: nightly", "text": "an excerpt"}
    notice = of_approval(RUN, shown)
    assert notice.reasons == ("version 2 passed the gate: nightly", "it would replace version 1")
    assert "an excerpt" not in str(notice)


def test_a_run_that_timed_out_is_reported_and_one_whose_task_failed_only_once() -> None:
    assert of_timeout(RUN, "timed_out") is not None
    assert of_timeout(RUN, "task_failure") is None


def test_text_of_users_cannot_add_markup_lines_or_headers() -> None:
    judged = {"version": "4\r\nBcc: x@example.org", "is_passed": False, "reasons": ["<b>\n{{ conn }}</b>"] * 30}
    notice = of_gate(RUN, judged)
    assert notice is not None
    assert "\n" not in notice.subject + "".join(notice.reasons)
    assert "&lt;b&gt; {{ conn }}" in notice.html()
    assert "<b>" not in notice.html()
    assert (len(notice.reasons), notice.reasons[-1]) == (21, "10 more")
