"""Drift check on a real lake and registry: quiet and drifted days, cool-down, and DAG watch_drift end to end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from batch.drift.run import DAY_US, check_drift
from batch.labelled_examples import read_examples
from batch.run_interval import resolve_interval
from cli.main import app
from local.stack.commands import StackInfo
from local.stack.worker import settings_environment
from moderation.bootstrap import new_lexicon, register, registry, train_to_folder
from moderation.datasets.synthetic import TrafficConfig, generate, labelled_history
from moderation.datasets.synthetic.moderators import AUDIT_PROBABILITY
from moderation.errors import NotInRegistry
from moderation.policy import parse_goal
from moderation.settings import Settings
from tests.support.dag_runs import DagRuns
from tests.support.lakes import LakeUnderTest

TRAINING_DAYS, QUIET_DAY, LOUD_DAY = 8, 10, 11
TRAFFIC = TrafficConfig(seed=4, days=13, comments_per_day=400, drift_from_day=LOUD_DAY)


def day_of(number: int) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=TRAFFIC.start_us)).date() + timedelta(number)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model of the first days."""
    end_us = TRAFFIC.start_us + TRAINING_DAYS * DAY_US
    labelled = [
        (each.comment, each.removed) for each in labelled_history(TRAFFIC) if each.comment.event_time_us < end_us
    ]
    folder = tmp_path_factory.mktemp("trained")
    train_to_folder(labelled, folder, [parse_goal("review_share<=0.2")], Settings(), folds=5)
    return folder


@dataclass
class Watched:
    """Lake of the days after the training, and a registry with that model in production."""

    settings: Settings
    folder: Path
    client: MlflowClient

    def runs(self) -> list[dict[str, str]]:
        """Return the tags of all runs of the drift check, oldest first."""
        experiment = self.client.get_experiment_by_name(self.settings.model_name)
        assert experiment is not None
        found = self.client.search_runs(
            [experiment.experiment_id], "tags.`moderation.kind` = 'drift'", order_by=["attributes.start_time ASC"]
        )
        return [
            {key.removeprefix("moderation."): value for key, value in run.data.tags.items() if "moderation." in key}
            for run in found
        ]

    def retrain(self) -> None:
        """Register a version as a retraining does."""
        registry(self.settings).register(
            self.folder, new_lexicon(self.settings), self.settings.model_max_bytes, run_name="retrain", reason="test"
        )


@pytest.fixture
def watched(stack: StackInfo, lake: LakeUnderTest, folder: Path) -> Watched:
    start_us = TRAFFIC.start_us + TRAINING_DAYS * DAY_US
    arrivals = [each for each in generate(TRAFFIC) if each.arrival_us >= start_us]
    for topic in ("comments", "actions"):
        lake.produce([(each.key, each.value, []) for each in arrivals if each.topic == topic], name=topic)
    lake.archive()
    settings = lake.settings.model_copy(update={"model_name": f"{lake.prefix}model"})
    assert register(folder, settings, "for a test").is_production
    return Watched(settings, folder, MlflowClient(stack.mlflow_url))


def test_without_a_serving_version_drift_is_not_checked(lake: LakeUnderTest) -> None:
    settings = lake.settings.model_copy(update={"model_name": f"{lake.prefix}nothing"})
    with pytest.raises(NotInRegistry, match="no version has it"):
        check_drift(settings, day_of(QUIET_DAY))


def test_audited_comments_are_weighted_only_if_others_are_left_out(watched: Watched) -> None:
    window = resolve_interval({"start": day_of(QUIET_DAY - 2).isoformat(), "end": day_of(QUIET_DAY).isoformat()})
    kept = read_examples(watched.settings, window, maturity_us=2 * DAY_US).examples
    assert {each.weight for each in kept} == {1.0}
    looked_at = read_examples(watched.settings, window, maturity_us=2 * DAY_US, no_action="left out").examples
    assert {(each.removed, each.weight) for each in looked_at} == {(True, 1.0), (False, 1 / AUDIT_PROBABILITY)}
    assert 0 < len(looked_at) < len(kept)


@pytest.mark.long
def test_drift_requests_one_retraining_which_restarts_the_cool_down(watched: Watched) -> None:
    quiet = check_drift(watched.settings, day_of(QUIET_DAY), may_ask=True)
    assert (quiet.drifted, quiet.asks, quiet.production) == ([], False, "1")
    assert quiet.labels_day == day_of(QUIET_DAY - 2).isoformat()
    assert 300 < quiet.comments < 500
    assert 300 < quiet.labelled < 500
    assert quiet.findings["labels"].comments == quiet.labelled

    first = check_drift(watched.settings, day_of(LOUD_DAY), may_ask=True)
    assert "unseen" in first.drifted
    assert first.asks
    again = check_drift(watched.settings, day_of(LOUD_DAY), may_ask=True)
    assert again.asks, "the same night, run again, must not fall silent"
    next_day = check_drift(watched.settings, day_of(LOUD_DAY + 1), may_ask=True)
    assert next_day.drifted
    assert not next_day.asks
    assert next_day.held_back is not None
    assert "drift requested one" in next_day.held_back
    now_us = int(datetime.now(UTC).timestamp() * 1e6)
    later = check_drift(watched.settings, day_of(LOUD_DAY + 1), may_ask=True, current_us=now_us + 3 * DAY_US)
    assert later.asks
    assert check_drift(watched.settings, day_of(LOUD_DAY + 1), cool_down_days=0, may_ask=True).asks

    watched.retrain()
    retrained = check_drift(watched.settings, day_of(LOUD_DAY), may_ask=True)
    assert retrained.production == "1", "it never promotes"
    assert retrained.held_back is not None
    assert "a retraining registered a version 0.0 hours ago" in retrained.held_back

    kept = [(run["day"], run["drifted"], run["asked"]) for run in watched.runs()]
    loud, after = day_of(LOUD_DAY).isoformat(), day_of(LOUD_DAY + 1).isoformat()
    assert kept == [
        (quiet.day, "no", "no"),
        (loud, "yes", "yes"),
        (loud, "yes", "yes"),
        (after, "yes", "no"),
        (after, "yes", "yes"),
        (after, "yes", "yes"),
        (loud, "yes", "no"),
    ]
    evidence = registry(watched.settings).run_artifacts
    newest = evidence.newest("drift")
    assert newest is not None
    assert newest.url == retrained.url
    assert b"**drifted**" in evidence.read(newest.run_id, "drift.md")
    assert evidence.read(newest.run_id, "drift.png").startswith(b"\x89PNG")
    told = evidence.read_json(newest.run_id, "drift.json")
    assert isinstance(told, dict)
    assert told["drifted"] == retrained.drifted


def test_the_command_prints_and_stores_findings_and_requests_nothing(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings_environment(watched.settings).items():
        monkeypatch.setenv(name, value)
    runner, loud = CliRunner(), day_of(LOUD_DAY).isoformat()
    done = runner.invoke(app, ["drift", "--date", loud, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told.keys() == {
        *("day", "labels_day", "production", "comments", "labelled", "findings"),
        *("drifted", "asks", "held_back", "reason", "url", "skipped"),
    }
    assert (told["day"], told["asks"], told["held_back"]) == (loud, False, "only the nightly watch asks")
    assert "unseen" in told["drifted"]
    shown = runner.invoke(app, ["drift", "--date", day_of(QUIET_DAY).isoformat()], catch_exceptions=False)
    assert "Nothing has drifted." in shown.stdout
    assert [run["asked"] for run in watched.runs()] == ["no", "no"]


@pytest.mark.budget(120)
@pytest.mark.long  # every run of a DAG starts Airflow again
def test_the_dag_requests_a_retraining_by_its_asset_once_per_cool_down(
    watched: Watched, dag_runs: DagRuns, stack: StackInfo
) -> None:
    def asked() -> list[dict[str, str]]:
        with psycopg.connect(stack.database_url("airflow")) as connection:
            rows = connection.execute(
                "SELECT e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.name = 'moderation-drift' "
                "ORDER BY e.timestamp"
            ).fetchall()
        return [extra if isinstance(extra, dict) else json.loads(extra) for (extra,) in rows]

    empty = dag_runs.run("watch_drift", watched.settings, logical_date=datetime(2020, 1, 1, 5, tzinfo=UTC))
    assert (empty.state, set(empty.tasks.values())) == ("success", {"skipped"})
    assert "the lake contains no comment of 2020-01-01" in empty.returned["watch"]["skipped"]
    before = len(asked())
    quiet = dag_runs.run("watch_drift", watched.settings, {"day": day_of(QUIET_DAY).isoformat()})
    assert quiet.state == "success"
    assert quiet.tasks == {"watch": "success", "has_to_ask": "success", "ask_for_retraining": "skipped"}
    assert len(asked()) == before
    loud = dag_runs.run("watch_drift", watched.settings, {"day": day_of(LOUD_DAY).isoformat()})
    assert loud.tasks == {"watch": "success", "has_to_ask": "success", "ask_for_retraining": "success"}
    events = asked()
    assert len(events) == before + 1
    assert events[-1]["reason"] == loud.returned["watch"]["reason"]
    assert events[-1]["evidence"] == loud.returned["watch"]["url"]
    cooling = dag_runs.run("watch_drift", watched.settings, {"day": day_of(LOUD_DAY + 1).isoformat()})
    assert cooling.returned["watch"]["drifted"]
    assert cooling.tasks["ask_for_retraining"] == "skipped"
    assert len(asked()) == before + 1
