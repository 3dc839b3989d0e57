"""Every query of panels and alerts runs on a filled PostgreSQL with Grafana's role and fits its panel."""

from __future__ import annotations

import dataclasses
import re
import secrets
import uuid
from collections import Counter
from datetime import UTC, datetime

import psycopg
import pytest

from batch.reconcile.run import reconcile_day
from grafana.source import alerts, models, moderation_now, pipeline_health, reconciliation
from grafana.source.files import dashboards
from grafana.source.model import Alert, Dashboard, Panel, Sql
from grafana.source.variables import Addresses
from moderation.contracts import Cause, DeadLetterReason
from moderation.panes import MEASURES
from tests.conftest import ROOT
from tests.support.full_day import AIRFLOW_RUN, FilledDay, Result, due_day

DASHBOARDS = {dashboard.uid: dashboard for dashboard in dashboards(Addresses())}
PANELS = [
    (dashboard, panel)
    for dashboard in DASHBOARDS.values()
    for panel in dashboard.panels
    if isinstance(panel.queries[0], Sql)
]
SQL_ALERTS = [alert for alert in alerts.ALERTS if isinstance(alert.query, Sql)]


def check_shape(panel: Panel, result: Result) -> None:
    """Assert that the panel can show the result."""
    assert result.rows, "no rows"
    assert len(set(result.names)) == len(result.names)
    assert set(panel.columns) <= set(result.names), "a column that the query does not give"
    links = " ".join(column.link.url for column in panel.columns.values() if column.link is not None)
    assert set(re.findall(r"__data\.fields\.(\w+)", links)) <= set(result.names)
    columns = dict(zip(result.names, zip(*result.rows, strict=True), strict=True))
    for name, values in columns.items():
        kinds = {type(value) for value in values} - {type(None)}
        assert kinds <= {str} or kinds <= {int, float} or kinds <= {datetime}, f"{name}: {kinds}"
    if panel.kind == "stat":
        assert len(result.rows) == 1
        assert None not in result.rows[0]
    elif panel.kind == "timeseries":
        assert result.names == ["time", "metric", "value"]
        assert list(columns["time"]) == sorted(columns["time"])
        assert all(time.tzinfo is not None for time in columns["time"])
        assert {type(value) for value in columns["value"]} <= {int, float}
        assert len({(time, metric) for time, metric in zip(columns["time"], columns["metric"], strict=True)}) == len(
            result.rows
        )
    elif panel.kind == "barchart":
        first, *others = result.names
        assert {type(value) for value in columns[first]} == {str}
        assert all({type(value) for value in columns[name]} == {int} for name in others)


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=[f"{d.title}: {p.title}" for d, p in PANELS])
def test_the_panel_shows_rows_of_its_shape(filled: FilledDay, dashboard: Dashboard, panel: Panel) -> None:
    for query in panel.queries:
        assert isinstance(query, Sql)
        check_shape(panel, filled.ask(query, filled.values(dashboard)))


@pytest.mark.parametrize("alert", SQL_ALERTS, ids=[alert.title for alert in SQL_ALERTS])
def test_the_rule_gives_one_number_and_labels(filled: FilledDay, alert: Alert) -> None:
    assert isinstance(alert.query, Sql)
    result = filled.ask(alert.query, {})
    assert result.rows
    kinds = [{type(value) for value in values} for values in zip(*result.rows, strict=True)]
    assert [kind for kind in kinds if kind != {str}] in ([{int}], [{float}])
    labels = [tuple(value for value in row if isinstance(value, str)) for row in result.rows]
    assert len(set(labels)) == len(labels), "two rows of the same labels are an error to Grafana"
    named = set(re.findall(r"\.Labels\.(\w+)", alert.summary + alert.runbook))
    assert named <= set(result.names)


def test_a_column_that_does_not_exist_is_noticed(filled: FilledDay) -> None:
    dashboard = DASHBOARDS[models.UID]
    panel = dashboard.panels[0]
    query = panel.queries[0]
    assert isinstance(query, Sql)
    with pytest.raises(psycopg.errors.UndefinedColumn):
        filled.ask(Sql(query.text.replace("since_us", "sinse_us")), filled.values(dashboard))
    renamed = Sql(query.text.replace("AS first_decision", "AS first"))
    with pytest.raises(AssertionError, match="does not give"):
        check_shape(panel, filled.ask(renamed, filled.values(dashboard)))
    with pytest.raises(AssertionError, match="no rows"):
        check_shape(dataclasses.replace(panel, columns={}), Result(["a"], []))


def test_a_macro_around_a_call_fails_as_in_grafana(filled: FilledDay) -> None:
    query = Sql("SELECT 1 FROM serving.decision_minutes WHERE $__timeFilter(to_timestamp(minute_us / 1e6))")
    with pytest.raises(psycopg.Error):
        filled.ask(query, {})


def test_the_gap_adds_up_in_every_measure(filled: FilledDay) -> None:
    values = filled.values(DASHBOARDS[reconciliation.UID])
    result = filled.ask(reconciliation.GAP, values)
    terms = {row[0]: dict(zip(result.names, row, strict=True)) for row in result.rows}
    causes = [*map(str, Cause), "not_recomputed", "residual"]
    assert [*terms] == ["batch", "less speed", "is the gap", *causes, "left over"]
    for measure in MEASURES:
        assert terms["batch"][measure] + terms["less speed"][measure] == terms["is the gap"][measure]
        assert sum(terms[cause][measure] for cause in causes) == terms["is the gap"][measure]
        assert terms["left over"][measure] == 0
    seen = {cause: terms[cause]["rows"] for cause in causes if terms[cause]["rows"]}
    # The phantom is where the ledger has a dead letter.
    phantom = {"phantom": 1, "wrong_letter": 1}
    assert seen == {"lost": 1, **phantom, "late": 30, "unexplained": 1, "residual": seen["residual"]}
    assert {terms[cause]["kind"] for cause in ("lost", "phantom", "unexplained", "residual")} == {"defect"}
    [whole] = filled.ask(reconciliation.COMMENTS, values).rows
    assert whole == (terms["batch"]["comments"], -terms["less speed"]["comments"], terms["is the gap"]["comments"])
    windows = filled.ask(reconciliation.WINDOWS, values)
    assert sum(row[windows.names.index("gap")] for row in windows.rows) == terms["is the gap"]["comments"]


def test_one_community_s_gap_adds_up_too_and_rows_follow_the_cause(filled: FilledDay) -> None:
    values = filled.values(DASHBOARDS[reconciliation.UID]) | {"community": ["science"], "cause": ["late"]}
    result = filled.ask(reconciliation.GAP, values)
    terms = {row[0]: dict(zip(result.names, row, strict=True)) for row in result.rows}
    assert terms["late"]["rows"] == 15
    assert terms["left over"]["score_sum"] == 0
    rows = filled.ask(reconciliation.DIFFERENCES, values)
    assert {row[rows.names.index("cause")] for row in rows.rows} == {"late"}
    assert {row[rows.names.index("community")] for row in rows.rows} == {"science"}
    assert len(rows.rows) == 15


def test_the_newest_run_leads_to_airflow_and_the_one_from_the_command_line_does_not(filled: FilledDay) -> None:
    result = filled.ask(reconciliation.RUNS, filled.values(DASHBOARDS[reconciliation.UID]))
    place = result.names.index("airflow_run")
    assert [(row[0], row[place]) for row in result.rows] == [(2, AIRFLOW_RUN), (1, None)]


def test_an_empty_choice_gives_an_empty_result(filled: FilledDay) -> None:
    for dashboard, panel in PANELS:
        nothing: dict[str, str | list[str]] = {v.name: [] if v.is_many else "" for v in dashboard.variables}
        for query in panel.queries:
            assert isinstance(query, Sql)
            filled.ask(query, nothing)


def test_the_alert_on_defects_names_the_day(filled: FilledDay) -> None:
    rows = filled.ask(alerts.DEFECTS, {}).rows
    [(day, defects)] = [row[1:] for row in rows if row[0] == filled.day.layer.topic]
    assert day == "2023-11-15"
    assert defects >= 4


def test_the_alert_on_a_missing_run_ends_with_the_run(filled: FilledDay) -> None:
    def missing() -> tuple[str, int]:
        [found] = [r[1:] for r in filled.ask(alerts.MISSING_RUN, {}).rows if r[0] == filled.day.layer.topic]
        return found

    assert missing() == (due_day().isoformat(), 1)
    reconcile_day(filled.day.settings, due_day())
    assert missing() == (due_day().isoformat(), 0)


def test_the_alert_on_dead_letters_gives_their_share(filled: FilledDay) -> None:
    rows = {topic: (reason, share) for topic, reason, share in filled.ask(alerts.DEAD_LETTER_RATIO, {}).rows}
    reason, share = rows[filled.day.layer.topic]
    assert share == pytest.approx(40 / (40 + 1_200 + 30 + 20), abs=0.001)
    assert reason in list(DeadLetterReason)


def test_the_alert_on_quarantine_counts_its_records_and_no_other_dead_letters(filled: FilledDay) -> None:
    topic = filled.day.layer.topic
    assert dict(filled.ask(alerts.QUARANTINED, {}).rows)[topic] == 0
    change = "UPDATE speed.dead_letters SET reason = %s WHERE topic_id = %s AND reason = %s"
    letters = filled.day.execute("SELECT reason FROM speed.dead_letters WHERE topic_id = %s", filled.day.layer.topic_id)
    reason, count = Counter(reason for (reason,) in letters).most_common(1)[0]
    filled.day.execute(change, "processing_failed", filled.day.layer.topic_id, reason)
    try:
        assert dict(filled.ask(alerts.QUARANTINED, {}).rows)[topic] == count
    finally:
        filled.day.execute(change, reason, filled.day.layer.topic_id, "processing_failed")


def test_the_newest_alerts_have_reasons(filled: FilledDay) -> None:
    result = filled.ask(moderation_now.NEWEST, filled.values(DASHBOARDS[moderation_now.UID]))
    assert {row[result.names.index("verdict")] for row in result.rows} <= {"review", "remove"}
    assert all(row[result.names.index("reasons")] for row in result.rows)


def test_dead_letters_are_shown_by_reason(filled: FilledDay) -> None:
    [row] = filled.ask(pipeline_health.LETTERS, filled.values(DASHBOARDS[pipeline_health.UID])).rows
    assert row[:4] == ("missing_field", 40, 0, 40)
    assert (datetime.now(UTC) - row[4]).total_seconds() < 3_600


def test_unreadable_actions_are_shown_by_field_and_alerted_on(filled: FilledDay) -> None:
    topic = filled.day.settings.topic_prefix + "actions"
    rows = filled.ask(pipeline_health.ACTIONS, filled.values(DASHBOARDS[pipeline_health.UID])).rows
    assert [row[1:4] for row in rows if row[0] == topic] == [("out_of_range", "kind", 3)]
    assert dict(filled.ask(alerts.UNREADABLE_ACTIONS, {}).rows)[topic] == 3


def test_the_documented_login_reads_the_views_and_nothing_else(filled: FilledDay) -> None:
    page = (ROOT / "docs" / "dashboards.md").read_text()
    [statement] = re.findall(r"```sql\n(.*?;)\n```", page, re.DOTALL)
    name, password = f"grafana_{uuid.uuid4().hex[:8]}", secrets.token_urlsafe(24)
    admin = filled.day.layer.database_url
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(statement.replace("grafana", name).encode())
        connection.execute(f"ALTER ROLE {name} PASSWORD '{password}'".encode())
        try:
            with psycopg.connect(admin, user=name, password=password, autocommit=True) as reader:
                assert reader.execute("SELECT count(*) FROM serving.reconciliations").fetchone() != (0,)
                for refused in (
                    "SELECT 1 FROM speed.decisions",
                    "SELECT 1 FROM batch.runs",
                    "CREATE TABLE public.mine (n int)",
                ):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        reader.execute(refused)
        finally:
            connection.execute(f"DROP ROLE {name}".encode())
