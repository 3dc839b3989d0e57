"""From the lake to a version behind the alias challenger, on real Kafka, PostgreSQL and MLflow."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from batch.labelled_examples import Example, read_comments, read_examples
from batch.retrain.gate import GateReport, gate
from batch.retrain.inheritance import Production, read_production
from batch.retrain.new_labels import nothing_to_train
from batch.retrain.options import RetrainOptions, parse_options
from batch.retrain.run import retrain
from batch.retrain.split import split_at, split_point
from batch.run_interval import Interval
from cli.main import app
from local.stack.commands import StackInfo
from local.stack.worker import settings_environment
from moderation.adapters.registry import GateEvidence, Registry
from moderation.adapters.sql.migrate import migrate_database
from moderation.bootstrap import new_lexicon, registry, train_to_folder
from moderation.contracts import Action, ActionKind, Comment, to_json
from moderation.errors import ModelRefused, TrainingError
from moderation.policy import parse_goal
from moderation.settings import required
from moderation.timestamps import moment_of
from moderation.training import collect_examples
from tests.support.dag_runs import DagRuns
from tests.support.labelled import DAY_US, END, MATURITY_US, WINDOW, History, history
from tests.support.lakes import LakeUnderTest, plain
from tests.support.workers import base_settings

NOW = datetime.now(UTC)
FORM = {"days": 21, "end": END.isoformat(), "newest_share": 0.3, "reason": "a test"}


@pytest.fixture(scope="module")
def traffic(stack: StackInfo, tmp_path_factory: pytest.TempPathFactory) -> History:
    """Read-only lake for these tests."""
    migrate_database(stack.database_url())
    settings = base_settings(stack, f"test-{uuid.uuid4().hex[:12]}-")
    return history(settings, tmp_path_factory.mktemp("history"))


@pytest.fixture
def world(traffic: History, request: pytest.FixtureRequest) -> Iterator[History]:
    """The same lake with a registered model for one test, after a reconciliation without defects."""
    name = f"retrain-{uuid.uuid4().hex[:8]}"
    world = History(traffic.settings.model_copy(update={"model_name": name}), traffic.values)
    world.reconcile()
    yield world
    world.reconcile()


def tags(found: Registry, number: str) -> dict[str, str]:
    return found.tags(found.version(number))


def alias(found: Registry, name: str) -> str | None:
    version = found.resolve(name)
    return None if version is None else version.version


def options() -> RetrainOptions:
    return parse_options(FORM, NOW)


def training_side(world: History) -> list[Example]:
    found = read_examples(world.settings, WINDOW, maturity_us=MATURITY_US)
    return split_at(found.examples, split_point(found.examples, 0.3)).training


def registered(
    world: History, labelled: list[tuple[Comment, bool]], folder: Path, lineage: Mapping[str, Any] | None = None
) -> str:
    """Register a version trained on these labels as if they were the lake's."""
    found = read_examples(world.settings, WINDOW, maturity_us=MATURITY_US)
    complete = {
        **options().lineage(),
        "split_us": split_point(found.examples, 0.3),
        "manifest_digest": found.manifest_digest,
        **(lineage or {}),
    }
    train_to_folder(labelled, folder, [parse_goal("review_share<=0.2")], world.settings, folds=2, lineage=complete)
    own = registry(world.settings)
    lexicon = new_lexicon(world.settings)
    return own.register(folder, lexicon, world.settings.model_max_bytes, run_name="retrain", reason="a test").version


@pytest.mark.budget(20)
@pytest.mark.parametrize("maturity_us", [MATURITY_US, 3_600_000_000])
def test_labels_equal_those_of_an_independent_reading_of_the_log(traffic: History, maturity_us: int) -> None:
    wanted = {record_id: bool(removed) for record_id, removed in traffic.labels(maturity_us).items()}
    found = read_examples(traffic.settings, WINDOW, maturity_us=maturity_us)
    got = {each.comment.record_id(): each.removed for each in found.examples}
    assert len(got) == len(found.examples) > 6_000, "each record once"
    assert got == wanted
    times = [each.comment.event_time_us for each in found.examples]
    assert times == sorted(times)
    assert found.counts["superseded"] > 0
    looked_at = {record_id for record_id, removed in traffic.labels(maturity_us).items() if removed is not None}
    judged = read_examples(traffic.settings, WINDOW, maturity_us=maturity_us, no_action="left out")
    assert {each.comment.record_id() for each in judged.examples} == looked_at
    assert judged.manifest_digest == found.manifest_digest
    some = read_examples(traffic.settings, WINDOW, maturity_us=maturity_us, most=1_000)
    salt = found.manifest_digest
    drawn = sorted(wanted, key=lambda record_id: sha256(f"{salt}{record_id.hex().upper()}".encode()).digest())
    assert {each.comment.record_id() for each in some.examples} == set(drawn[:1_000])
    other = read_examples(traffic.settings, WINDOW, maturity_us=maturity_us, most=1_000, sample_salt="another")
    assert {each.comment.record_id() for each in other.examples} != set(drawn[:1_000])


def test_each_comment_of_a_time_range_occurs_once_edited_ones_included(traffic: History) -> None:
    comments, _ = read_comments(traffic.settings, WINDOW)
    ids = [comment.record_id() for comment in comments]
    assert len(ids) == len(set(ids)) == read_examples(traffic.settings, WINDOW, maturity_us=1).counts["records"]


def test_an_edit_in_another_file_after_the_range_separates_the_actions(lake: LakeUnderTest) -> None:
    end_us, minute_us = 1_700_006_400_000_000, 60_000_000
    first = {name: Comment(name, "science", f"first of {name}", end_us - minute_us) for name in ("a", "b", "c")}
    edited = {name: Comment(name, "science", f"next of {name}", end_us + 10 * minute_us) for name in ("a", "b")}
    removed = [
        Action(name, ActionKind.REMOVE, "m", "rude", end_us + after * minute_us, 1.0)
        for name, after in (("a", 20), ("b", 5))
    ]
    lake.produce(plain([(name, to_json(each)) for name, each in first.items()]))
    lake.archive()
    window = Interval(end_us - 60 * minute_us, end_us)
    _, before = read_comments(lake.settings, window)
    lake.produce(plain([(name, to_json(each)) for name, each in edited.items()]))
    lake.produce(plain([(each.comment_id, to_json(each)) for each in removed]), name="actions")
    lake.archive()

    found = read_examples(lake.settings, window, maturity_us=60 * minute_us)
    assert {each.comment.body: each.removed for each in found.examples} == {"first of b": True, "first of c": False}
    assert found.counts == {
        "records": 3,
        "with_action": 1,
        "superseded": 1,
        "without_action_kept": 1,
        "not_allowed_without_action": 0,
        "verdict_unknown": 0,
        "unreadable": 0,
        "failed": 0,
        "examples": 2,
    }
    comments, digest = read_comments(lake.settings, window)
    assert sorted(each.body for each in comments) == [f"first of {name}" for name in "abc"]
    assert digest == before, "where no label is asked for, no later file is read"


@pytest.mark.budget(150)
@pytest.mark.long
def test_airflow_and_the_command_line_train_the_same_model(
    world: History, dag_runs: DagRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in settings_environment(world.settings).items():
        monkeypatch.setenv(key, value)
    run = dag_runs.run("retrain_model", world.settings, FORM)
    assert run.state == "success", run.output
    reports: list[dict[str, Any]] = [run.returned["retrain"]]
    command = ["retrain", "--days", "21", "--end", END.isoformat(), "--newest-share", "0.3", "--no-gate", "--json"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    reports.append(json.loads(done.stdout))
    for name in ("model_digest", "data_digest", "manifest_digest", "split_us"):
        assert len({report[name] for report in reports}) == 1, name
    assert [report["version"] for report in reports] == ["1", "2"]
    other = CliRunner().invoke(app, [*command, "--seed", "1"], catch_exceptions=False)
    assert json.loads(other.stdout)["model_digest"] != reports[0]["model_digest"]
    found = registry(world.settings)
    assert run.returned["gate"]["is_passed"], run.returned["gate"]
    assert alias(found, "challenger") == "1"
    assert alias(found, "production") is None, "nothing is promoted"
    assert run.tasks["offer"] == "success", "promote_model starts"
    version = found.version("1")
    assert "retrain_model" in str(found.run_artifacts.run_params(version.run_id)["started_by"])
    card = found.run_artifacts.read(version.run_id, "model_card.md").decode()
    for said in (reports[0]["model_digest"], reports[0]["manifest_digest"], "a test", "last action within 48 hours"):
        assert said in card


@pytest.mark.budget(30)
def test_train_and_report_read_the_lake(traffic: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in settings_environment(traffic.settings).items():
        monkeypatch.setenv(key, value)
    interval = f"{moment_of(WINDOW.start_us).date()}..{END.date()}"
    command = ["--from-lake", interval, "--sample", "2000", "--folds", "2", "--json"]
    done = CliRunner().invoke(app, ["train", *command, "--out", str(tmp_path / "model")], catch_exceptions=False)
    trained = json.loads(done.stdout)
    used = read_examples(traffic.settings, WINDOW, maturity_us=MATURITY_US, most=2_000)
    labelled = ((each.comment, each.removed) for each in used.examples)
    expected = collect_examples(labelled, [each.weight for each in used.examples])
    assert trained["data_digest"] == expected.data_digest
    assert trained["import"]["counts"] == used.counts
    assert (trained["import"]["format"], trained["import"]["manifest_digest"]) == ("lake", used.manifest_digest)
    everything = read_examples(traffic.settings, WINDOW, maturity_us=MATURITY_US).examples
    assert f"2,000 of {len(everything):,} labelled comments are used" in done.stderr
    card = json.loads((tmp_path / "model" / "model.json").read_bytes())
    assert card["training"]["import"]["no_action"] == "kept"
    done = CliRunner().invoke(app, ["report", *command, "--out", str(tmp_path / "x.html")], catch_exceptions=False)
    assert json.loads(done.stdout)["comments"] == 2_000


@pytest.mark.budget(60)
def test_a_goal_that_cannot_be_met_is_lowered_and_the_gate_stops_a_large_difference(world: History) -> None:
    form = {"days": 3, "end": END.isoformat(), "goals": ["recall>=1", "review_share<=0.02"], "explore_removals": 0.05}
    report = retrain(world.settings, parse_options(form, NOW), started_by="a test")
    assert report.goals_stated == ["recall>=1", "review_share<=0.02"]
    absent = "default: no version serves"
    choices = {"goals": "form", "family": absent, "explore_removals": "form", "explore_allowed": absent}
    assert report.origins == choices
    assert report.exploration.startswith("5.00% of removals and 0.")
    (lowered,) = report.goals_lowered
    assert lowered.startswith(f"goal recall>=1 was lowered to {report.goals[0]}: ")
    found = registry(world.settings)
    assert tags(found, report.version)["moderation.goals_lowered"] == lowered
    assert found.run_artifacts.run_params(report.run_id)["goals"] == "; ".join(report.goals)
    judged = gate(world.settings, report.version)
    assert judged.state == "stopped"
    assert judged.reasons[0].startswith(lowered)
    assert judged.reasons[1].startswith("too few comments: "), "both are named"
    assert judged.goals == {"stated": report.goals_stated, "origin": "form", "lowered": [lowered]}
    version, lexicon = found.version(report.version), new_lexicon(world.settings)
    found.certify(version, lexicon, world.settings.model_max_bytes, gate=GateEvidence("first version"))
    found.promote(version)
    inherited = Production(version.version, tuple(report.goals_stated), "logistic_regression", 0.05, 0.001)
    assert read_production(world.settings) == inherited


@pytest.mark.long
def test_a_model_from_shuffled_labels_fails_the_gate_and_a_better_one_passes(world: History, tmp_path: Path) -> None:
    training = [(each.comment, each.removed) for each in training_side(world)]
    labels = [removed for _, removed in training]
    random.Random(0).shuffle(labels)
    shuffled = [(comment, label) for (comment, _), label in zip(training, labels, strict=True)]
    weak = registered(world, training[::8], tmp_path / "weak")
    broken = registered(world, shuffled, tmp_path / "broken")
    honest = registered(world, training, tmp_path / "honest")
    found = registry(world.settings)
    found.certify(
        found.version(weak),
        new_lexicon(world.settings),
        world.settings.model_max_bytes,
        gate=GateEvidence("first version"),
    )
    assert found.ensure_alias("production", found.version(weak))

    stopped = gate(world.settings, broken)
    assert not stopped.is_passed
    assert any("AUC" in reason for reason in stopped.reasons), stopped.reasons
    assert tags(found, broken)["moderation.gate"] == "failed"
    assert stopped.reasons[0] in tags(found, broken)["moderation.gate_reasons"]
    assert stopped.reasons[0] in found.run_artifacts.read(found.version(broken).run_id, "gate.md").decode()
    with pytest.raises(ModelRefused, match="no certificate"):
        found.certificate(broken)
    assert alias(found, "challenger") is None

    passed = gate(world.settings, honest)
    assert passed.is_passed, passed.reasons
    assert passed.production == weak
    assert passed.intervals["auc"]["value"] > 0
    assert tags(found, honest)["moderation.gate"] == "passed"
    found.certificate(honest)
    assert (alias(found, "challenger"), alias(found, "production")) == (honest, weak)
    again = gate(world.settings, honest)
    assert again == passed, "judging is repeatable"

    for reason, nights in (("3 defects", {"lost": 3}), ("no day was reconciled", {"age_hours": 72})):
        world.reconcile(**nights)
        closed = gate(world.settings, honest)
        assert not closed.is_passed
        assert reason in closed.reasons[0]
        assert tags(found, honest)["moderation.gate"] == "failed"
        assert alias(found, "challenger") is None, "what passed before does not wait for approval any more"
        found.give_alias("challenger", found.version(honest))


def test_a_window_without_enough_comments_names_what_is_missing(world: History) -> None:
    short = parse_options({"days": 0.05, "end": END.isoformat()}, NOW)
    with pytest.raises(TrainingError, match="at least 20 are needed"):
        retrain(world.settings, short, started_by="a test")
    none = parse_options({"days": 1, "end": "2020-01-01"}, NOW)
    with pytest.raises(TrainingError, match="no labelled comment of the interval"):
        retrain(world.settings, none, started_by="a test")


def test_the_command_skips_the_training_on_a_lake_without_labels_as_the_nightly_run_does(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in settings_environment(lake.settings).items():
        monkeypatch.setenv(key, value)
    command = ["retrain", "--days", "1", "--end", "2020-01-01"]
    reason = "the lake contains no labelled comment between 2019-12-31T00:00:00Z and 2020-01-01T00:00:00Z"
    done = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False)
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"skipped": reason})
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (0, f"nothing was trained: {reason}\n")
    with psycopg.connect(required(lake.settings.database_url, "database_url")) as connection:
        stored = connection.execute("SELECT skipped_reason FROM batch.jobs WHERE job = 'retrain'").fetchone()
    assert stored == (reason,)


@pytest.mark.budget(30)
def test_a_retraining_is_skipped_if_no_label_is_newer_than_productions_training(world: History, tmp_path: Path) -> None:
    labelled = [(each.comment, each.removed) for each in training_side(world)[::8]]
    found, end_us = registry(world.settings), options().interval.end_us
    assert nothing_to_train(world.settings, options(), is_asked=False) is None, "there is no production version"
    for age_us, is_skipped in ((0, True), (DAY_US, False)):
        folder = tmp_path / str(age_us)
        version = found.version(registered(world, labelled, folder, {"end_us": end_us - age_us}))
        lexicon, most = new_lexicon(world.settings), world.settings.model_max_bytes
        found.certify(version, lexicon, most, gate=GateEvidence("first version"))
        found.promote(version)
        nothing = nothing_to_train(world.settings, options(), is_asked=False)
        assert (nothing is not None) == is_skipped, nothing
        if nothing is not None:
            assert f"newer than the training of production version {version.version}" in nothing.reason
        assert nothing_to_train(world.settings, options(), is_asked=True) is None
    empty = parse_options({"days": 1, "end": "2020-01-01"}, NOW)
    nothing = nothing_to_train(world.settings, empty, is_asked=True)
    assert nothing is not None
    assert nothing.reason == (
        "the lake contains no labelled comment between 2019-12-31T00:00:00Z and 2020-01-01T00:00:00Z"
    )


def test_a_version_from_a_file_is_judged_on_newer_comments_of_the_lake(world: History, tmp_path: Path) -> None:
    labelled = [(each.comment, each.removed) for each in training_side(world)[::8]]
    train_to_folder(labelled, tmp_path, [parse_goal("review_share<=0.2")], world.settings, folds=2)
    found = registry(world.settings)
    version = found.register(
        tmp_path, new_lexicon(world.settings), world.settings.model_max_bytes, run_name="train", reason="a test"
    )
    newest_us = max(comment.event_time_us for comment, _ in labelled)
    later = gate(world.settings, version.version, now=moment_of(WINDOW.end_us + MATURITY_US))
    found_newer = [
        each
        for each in read_examples(world.settings, WINDOW, maturity_us=MATURITY_US).examples
        if each.comment.event_time_us > newest_us
    ]
    assert 0 < later.figures["comments"] <= len(found_newer)
    assert later.production is None
    assert (later.state == "passed") == later.is_passed
    assert tags(found, version.version)["moderation.gate"] in ("passed", "failed", "too_few")
    earlier = gate(world.settings, version.version, now=moment_of(newest_us))
    assert (earlier.state, earlier.figures["comments"]) == ("too few comments", 0)
    assert tags(found, version.version)["moderation.gate"] == "too_few"


def test_the_gate_report_is_readable() -> None:
    from batch.retrain.gate import gate_table

    report = GateReport(
        "4", "3", False, ("it is worse",), {"auc": 0.71}, {"auc": {"value": 0.1, "low": 0, "high": 0.2}}
    )
    table = gate_table(report)
    assert "version 4 against version 3" in table
    assert "- `it is worse`" in table
    assert "| `auc` | +0.1000 | +0.0000 to +0.2000 |" in table
