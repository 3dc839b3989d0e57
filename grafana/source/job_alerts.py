"""Alert rules on jobs of the batch layer that do nothing for too long: locked out, failing, or not started."""

from __future__ import annotations

from grafana.source import pipeline_health
from grafana.source.model import Alert, Sql

ARCHIVE_HOURS, RECONCILE_HOURS, RETRAIN_HOURS, VERIFY_HOURS = 3, 50, 7 * 24, 50
"""How long a job may do nothing: three runs, two nights and the time of a run, seven nights, again two nights."""

_PANEL = (pipeline_health.UID, "Batch jobs")


def idle(jobs: str, hours: int, last: str) -> Sql:
    """Return the query of jobs that did nothing for too long.

    Args:
        jobs: SQL pattern of their names.
        hours: limit.
        last: SQL expression of the last time the job did its work, microseconds since the epoch; null for never.

    Returns:
        A row for each job: its name, the kind of its newest outcome, and the hours beyond the limit, else 0.
    """
    return Sql(f"""\
SELECT job, CASE WHEN done_us >= greatest(skipped_us, failed_us, 0) THEN 'done'
                 WHEN coalesce(failed_us, 0) > coalesce(skipped_us, 0) THEN 'failed' ELSE 'skipped' END AS outcome,
       greatest(extract(epoch FROM now()) / 3600 - coalesce({last}, first_us) / 3.6e9 - {hours}, 0)::float8 AS late
  FROM serving.jobs WHERE job LIKE '{jobs}'""")


IDLE_ARCHIVE = idle("archive %", ARCHIVE_HOURS, "done_us")
# A day without records is nothing to reconcile, and no failure.
IDLE_RECONCILE = idle("reconcile", RECONCILE_HOURS, "greatest(done_us, skipped_us)")
IDLE_RETRAIN = idle("retrain", RETRAIN_HOURS, "done_us")
# Damage must not wait for two nights: a failed run counts at once.
UNVERIFIED = Sql(f"""\
SELECT CASE WHEN done_us >= coalesce(failed_us, 0) THEN 'done' ELSE 'failed' END AS outcome,
       greatest(extract(epoch FROM now()) / 3600 - coalesce(done_us, first_us) / 3.6e9 - {VERIFY_HOURS},
                (coalesce(failed_us, 0) > coalesce(done_us, 0))::int, 0)::float8 AS late
  FROM serving.jobs WHERE job = 'verify lake'""")

JOB_ALERTS = (
    Alert(
        uid="moderation-idle-archive",
        title="Nothing was archived for hours",
        query=IDLE_ARCHIVE,
        above=0,
        for_duration="0s",
        every="5m",
        no_data_state="OK",
        severity="critical",
        summary=f"{{{{ .Labels.job }}}}: not complete for more than {ARCHIVE_HOURS} hours; the last outcome is "
        "{{ .Labels.outcome }}",
        runbook="Panel Batch jobs shows the reason. Skipped: another session holds the lock of a partition; the "
        "reason names it. End that session if no archiver runs there. Failed: the reason is the error of the last "
        "attempt. Done: nobody starts the archive; check Airflow's scheduler and that DAG archive_topics is not "
        "paused, or run `moderation archive`. No record is lost while the topic keeps it.",
        panel=_PANEL,
    ),
    Alert(
        uid="moderation-idle-reconcile",
        title="No day was reconciled for two nights",
        query=IDLE_RECONCILE,
        above=0,
        for_duration="0s",
        every="5m",
        no_data_state="OK",
        severity="critical",
        summary=f"no reconciliation succeeded for more than {RECONCILE_HOURS} hours; the last outcome is "
        "{{ .Labels.outcome }}",
        runbook="Panel Batch jobs shows the error of the last attempt; a defect has an alert of its own. Check the "
        "runs of DAG reconcile_windows in Airflow. After the correction clear the failed task, or run `moderation "
        "reconcile --date DAY`; the next night also does every earlier day that needs it.",
        panel=_PANEL,
    ),
    Alert(
        uid="moderation-idle-retrain",
        title="No model was trained for a week",
        query=IDLE_RETRAIN,
        above=0,
        for_duration="0s",
        every="5m",
        no_data_state="OK",
        severity="warning",
        summary=f"no retraining trained a model for more than {RETRAIN_HOURS // 24} days; the last outcome is "
        "{{ .Labels.outcome }}",
        runbook="Panel Batch jobs shows the reason. Skipped: no labelled comment is newer than production's training; "
        "check that the archive and the moderators' tool deliver comments and actions. Failed: the reason is the "
        "error. Done: nobody starts DAG retrain_model. If you train by hand only, silence the alert.",
        panel=_PANEL,
    ),
    Alert(
        uid="moderation-unverified-lake",
        title="The lake is damaged or was not verified",
        query=UNVERIFIED,
        above=0,
        for_duration="0s",
        every="5m",
        no_data_state="OK",
        severity="critical",
        summary=f"last verification of the lake: {{{{ .Labels.outcome }}}}, or more than {VERIFY_HOURS} hours ago",
        runbook="Panel Batch jobs shows the error. LakeDamaged names files that are missing or altered, or offsets in "
        "no file: restore the files from a backup of the lake, then run `moderation lake verify` and clear the task. "
        "LakeRefused: the lake belongs to another database; `moderation lake claim` shows both. Done: nobody starts "
        "DAG verify_lake. Until then retraining and reconciliation refuse the damaged files.",
        panel=_PANEL,
    ),
)
