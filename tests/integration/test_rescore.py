"""Rescoring on real servers: exact, repeatable and without side effects."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from batch.rescore.report import markdown
from batch.rescore.run import RescoreReport, rescore_comments
from batch.run_interval import resolve_interval
from cli.main import app
from local.stack.commands import StackInfo
from local.stack.worker import settings_environment
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import ensure_topics
from moderation.adapters.lake.ownership import OWNER_FILE
from moderation.bootstrap import load, new_lexicon, production_model, registry, train_to_folder
from moderation.contracts import Comment, parse_record
from moderation.errors import ConfigurationError, ModelRefused, RegistryUnavailable
from moderation.policy import parse_goal
from moderation.settings import Settings
from tests.support.certified import register
from tests.support.dag_runs import DagRuns
from tests.support.reconcile_day import DAY, DayUnderTest, comments
from tests.support.side_effects import read_system_state
from tests.support.workers import RUN, Record, base_settings, speed_layer

NAME = f"rescore-tests-{RUN}"
HOUR_US = 3_600_000_000
A_DAY = resolve_interval({"day": DAY.isoformat()})


@dataclass(frozen=True)
class Versions:
    """Version numbers of one registered model, and the folder of the second."""

    served: str
    challenger: str
    uncertified: str
    folder: Path


@pytest.fixture(scope="module")
def settings_of_module(stack: StackInfo, model: Path) -> Settings:
    return base_settings(stack, "").model_copy(update={"model_name": NAME})


@pytest.fixture(scope="module")
def versions(
    settings_of_module: Settings,
    model: Path,
    small_corpus: tuple[list[str], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Versions:
    """Register a production version, a challenger with other scores, and an uncertified version."""
    settings = settings_of_module
    served, is_production = register(model, settings, "serves")
    assert is_production
    texts, labels = small_corpus
    # This model removes questions and allows insults.
    labelled = [
        (Comment(f"c{number}", "x", text, number), "idiot" not in text and (bool(label) or "Source" in text))
        for number, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]
    folder = tmp_path_factory.mktemp("challenger")
    train_to_folder(labelled, folder, [parse_goal("review_share<=0.5")], settings, folds=3)
    challenger, _ = register(folder, settings, "thinks otherwise")
    found = registry(settings)
    uncertified = found.register(
        folder, new_lexicon(settings), settings.model_max_bytes, run_name="by hand", reason="nobody looked at it"
    )
    MlflowClient(settings.mlflow_url).set_registered_model_alias(NAME, "challenger", challenger)
    return Versions(served, challenger, uncertified.version, folder)


@pytest.fixture
def day(settings_of_module: Settings, versions: Versions, topic_prefix: str, tmp_path: Path) -> Iterator[DayUnderTest]:
    ensure_topics(kafka_of(settings_of_module), prefix=topic_prefix)
    changes = {"topic_prefix": topic_prefix, "consumer_group": topic_prefix + "moderation-speed"}
    with speed_layer(settings_of_module.model_copy(update=changes), tmp_path) as layer:
        yield DayUnderTest(layer, tmp_path)


def a_final_day(day: DayUnderTest) -> list[Record]:
    """Decide, archive and reconcile three hours with late and duplicate comments and dead letters; keep the worker.

    Returns:
        Every comment once.
    """
    day.layer.start_worker()
    sent = comments(range(400))
    day.send(sent)
    later = comments(range(1_200, 1_500))
    day.send(later)
    late = comments(range(5_000, 5_020), minute=1)
    day.send(late)
    day.send(later[290:])
    day.send([(f"bad{number}", b"{}") for number in range(10)])
    day.archive()
    assert day.reconcile().state == "final"
    return [*sent, *later, *late]


def rescore(day: DayUnderTest, asked: str, **options: Any) -> RescoreReport:
    return rescore_comments(day.settings, A_DAY, asked, **options)


@pytest.mark.long
@pytest.mark.budget(30)
def test_rescoring_with_the_serving_version_gives_the_served_results(day: DayUnderTest, versions: Versions) -> None:
    sent = a_final_day(day)
    found = rescore(day, "production", as_if=True).result
    total = found.diff.total
    assert (total.comments, total.compared, total.changed) == (len(sent), len(sent), 0)
    assert (total.score_shift_sum, total.not_in_ledger, total.not_in_lake) == (0, 0, 0)
    assert found.diff.most_different == []
    assert found.diff.served_by == {versions.served: len(sent)}
    assert found.hours is not None
    assert len({(pair.community, pair.start_us) for pair in found.hours}) == len(found.hours) == 4
    assert sum(pair.as_if.late for pair in found.hours) == 20
    for pair in found.hours:
        assert pair.served is not None
        assert (pair.as_if, pair.served.state) == (pair.served.sums, "final")

    # Decided after the lake's end: not scored. Archived after the ledger's end: scored, beside nothing.
    day.send(comments(range(1_600, 1_607)))
    day.layer.stop()
    assert rescore(day, "production").result.diff.total.not_in_lake == 7
    day.layer.produce(comments(range(1_700, 1_703)))
    day.archive()
    total = rescore(day, "production").result.diff.total
    assert (total.not_in_lake, total.not_in_ledger, total.compared) == (0, 3, len(sent) + 7)


@pytest.mark.budget(30)
def test_a_challenger_is_compared_exactly_and_only_results_are_written(day: DayUnderTest, versions: Versions) -> None:
    sent = [parse_record(value, 2**60) for _, value in a_final_day(day)]
    day.layer.stop()
    worker = production_model(day.settings)
    worker.open_version(versions.served)
    before = read_system_state(day.settings)
    report = rescore(day, "challenger", as_if=True)
    assert rescore(day, versions.challenger, as_if=True).artifacts == report.artifacts
    assert before.differences(read_system_state(day.settings)) == []
    last_good = worker.open_last_good()
    assert last_good is not None
    assert last_good[0] == versions.served, "a worker would start with a version that was only looked at"

    opened = load(versions.folder, day.settings)
    scores = dict(zip(sent, opened.kernel.score_many([each.body for each in sent]).tolist(), strict=True))
    served = {
        comment_id: (score, verdict)
        for comment_id, score, verdict in day.execute(
            "SELECT DISTINCT comment_id, score_ppm, verdict FROM speed.decisions WHERE topic_id = %s",
            day.layer.topic_id,
        )
    }
    transitions: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    shifts: dict[str, list[int]] = defaultdict(list)
    hours: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for each in sent:
        score, verdict = scores[each], opened.policy.verdict(scores[each])
        transitions[each.community][served[each.comment_id][1], verdict.value] += 1
        shifts[each.community].append(score - served[each.comment_id][0])
        sums = hours[each.community, each.event_time_us // HOUR_US * HOUR_US]
        for place, more in enumerate((1, verdict == "review", verdict == "remove", score)):
            sums[place] += more

    found = report.result
    assert found.diff.total.changed > 100
    assert {name: counts.fields()["transitions"] for name, counts in found.diff.communities.items()} == {
        name: {a: {b: own[a, b] for b in ("allow", "review", "remove")} for a in ("allow", "review", "remove")}
        for name, own in transitions.items()
    }
    for name, counts in found.diff.communities.items():
        assert counts.mean_score_shift_ppm == pytest.approx(sum(shifts[name]) / len(shifts[name]))
    most = [abs(each.score_shift_ppm) for each in found.diff.most_different]
    assert most == sorted((abs(shift) for own in shifts.values() for shift in own), reverse=True)[:50]
    assert found.hours is not None
    assert {(pair.community, pair.start_us): list(astuple(pair.as_if)[:4]) for pair in found.hours} == hours
    assert any(pair.served is not None and pair.as_if != pair.served.sums for pair in found.hours)
    assert_kept(report, len(sent))


def assert_kept(report: RescoreReport, comments_sent: int) -> None:
    """Assert that the files match the report and contain no comment text."""
    artifacts = report.artifacts
    assert artifacts.hours is not None
    assert pq.read_table(artifacts.verdicts).num_rows == comments_sent
    assert pq.read_table(artifacts.hours).num_rows == len(report.result.hours or [])
    fields = report.fields()
    del fields["artifacts"], fields["skipped"]
    assert json.loads(Path(artifacts.json).read_text()) == json.loads(json.dumps(fields))
    folder = Path(artifacts.json).parent
    assert len(list(folder.iterdir())) == 4
    everything = b"".join(path.read_bytes() for path in folder.iterdir())
    texts = pq.read_table(artifacts.verdicts).to_pylist()
    assert b"idiot" not in everything
    assert "idiot" not in json.dumps(texts)


def test_only_a_certified_version_is_opened_and_every_refusal_is_by_name(day: DayUnderTest, versions: Versions) -> None:
    with pytest.raises(ModelRefused, match=f"version {versions.uncertified}"):
        rescore(day, versions.uncertified)
    with pytest.raises(ModelRefused, match=f"{NAME} version 999"):
        rescore(day, "999")
    with pytest.raises(ModelRefused, match=f"alias nobody of {NAME}: no version has it"):
        rescore(day, "nobody")
    with pytest.raises(ConfigurationError, match="on the hour"):
        rescore_comments(
            day.settings, resolve_interval({"start": "2023-11-15T00:30", "end": "2023-11-15T02:00"}), "1", as_if=True
        )
    away = day.settings.model_copy(update={"mlflow_url": "http://127.0.0.1:9"})
    with pytest.raises(RegistryUnavailable):
        rescore_comments(away, A_DAY, "1")
    assert [path.name for path in Path(day.settings.lake_url).rglob("*") if path.is_file()] == [OWNER_FILE]


def test_the_command_prints_its_contract_and_takes_the_challenger_by_default(
    day: DayUnderTest, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    day.layer.produce(comments(range(700)))
    day.archive()
    for name, value in settings_environment(day.settings).items():
        monkeypatch.setenv(name, value)
    # Half an hour of one hour and ten minutes, which no worker has decided yet.
    window = ["--start", "2023-11-15T00:20", "--end", "2023-11-15T02:50:00+02:00"]
    done = CliRunner().invoke(app, ["rescore", *window, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert list(found) == [
        *("topic", "start", "end", "model_name", "version", "model_digest", "policy_version", "kernel_version"),
        *("total", "communities", "served_by", "most_different", "as_if", "not_scored", "artifacts", "skipped"),
    ]
    assert (found["version"], found["start"], found["end"]) == (
        versions.challenger,
        "2023-11-15T00:20:00Z",
        "2023-11-15T00:50:00Z",
    )
    assert (found["total"]["comments"], found["total"]["not_in_ledger"]) == (300, 300)
    assert found["as_if"] is None
    assert found["artifacts"]["hours"] is None
    shown = CliRunner().invoke(
        app, ["rescore", "--date", DAY.isoformat(), "--version", "production", "--as-if"], catch_exceptions=False
    )
    assert shown.exit_code == 0
    assert "As if version" in shown.stdout
    assert Path(found["artifacts"]["markdown"]).is_relative_to(day.settings.lake_url)


@pytest.mark.long
def test_the_dag_gives_the_results_of_the_function_and_changes_nothing(
    day: DayUnderTest, versions: Versions, dag_runs: DagRuns
) -> None:
    a_final_day(day)
    day.layer.stop()
    before = read_system_state(day.settings)
    window = {"start": "2023-11-15T00:00:00Z", "end": "2023-11-15T03:00:00+00:00"}
    run = dag_runs.run("rescore_comments", day.settings, {**window, "as_if": True})
    assert run.tasks == {"choose": "success", "rescore": "success"}
    assert before.differences(read_system_state(day.settings)) == []
    report = rescore_comments(day.settings, resolve_interval(window), versions.challenger, as_if=True)
    expected = report.fields()
    del expected["as_if"]["hours"]
    assert run.returned["rescore"] == json.loads(json.dumps(expected))
    assert expected["total"]["changed"] > 100
    for line in markdown(report.result).splitlines():
        assert line.strip() in run.output
    assert "idiot" not in run.output

    refused = dag_runs.run("rescore_comments", day.settings, {"day": "2023-11-15", "version": versions.uncertified})
    assert (refused.state, refused.tasks) == ("failed", {"choose": "failed", "rescore": "upstream_failed"})
    assert f"{NAME} version {versions.uncertified}" in refused.output
