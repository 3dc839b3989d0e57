"""From an empty system, without a file of comments, to a trained model that serves."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from batch.challenge.run import StoredComparison, compare_challenger
from batch.drift.run import check_drift
from batch.labelled_examples import read_examples
from batch.retrain.options import HOUR_US
from batch.run_interval import Interval
from cli.main import app
from local.demo.reconcile_all import reconcile_all
from local.stack.commands import StackInfo
from local.stack.wait import wait_until
from local.stack.worker import settings_environment
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import ensure_topics, producer_settings
from moderation.adapters.sql.migrate import migrate_database
from moderation.bootstrap import registry
from moderation.datasets.synthetic import TrafficConfig, generate
from moderation.datasets.synthetic.arrival import Arrival
from moderation.timestamps import DAY_US, day_of, now_us
from tests.support.dag_runs import DagRuns
from tests.support.reconcile_day import DayUnderTest
from tests.support.workers import Record, base_settings, speed_layer

pytestmark = pytest.mark.long
REVIEW_SHARE = 0.1


@pytest.fixture
def day(stack: StackInfo, topic_prefix: str, tmp_path: Path) -> Iterator[DayUnderTest]:
    """Topics without a record, tables without a row of them, a registry without the model."""
    migrate_database(stack.database_url())
    ensure_topics(stack.kafka, prefix=topic_prefix)
    settings = base_settings(stack, topic_prefix).model_copy(
        update={
            "model_name": f"first-start-{uuid.uuid4().hex[:8]}",
            "state_folder": tmp_path / "state",
            "batch_most_records": 2_000,
        }
    )
    with speed_layer(settings, tmp_path) as layer:
        yield DayUnderTest(layer, tmp_path)


def command(day: DayUnderTest, *arguments: str) -> dict[str, Any]:
    """Run a command and return its JSON object."""
    done = CliRunner().invoke(app, [*arguments, "--json"], env=settings_environment(day.settings))
    assert done.exit_code == 0, (arguments, done.output, done.exception)
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def records(arrivals: list[Arrival]) -> list[Record]:
    """Return the comments with their keys, as they are sent."""
    return [(each.key, each.value) for each in arrivals if each.topic == "comments"]


def act(day: DayUnderTest, arrivals: list[Arrival]) -> None:
    """Send the moderators' actions."""
    producer = Producer(producer_settings(kafka_of(day.settings), 30))
    for each in arrivals:
        if each.topic == "actions":
            producer.produce(f"{day.settings.topic_prefix}actions", each.value, key=each.key)
    assert producer.flush(30) == 0


def traffic() -> tuple[TrafficConfig, list[Arrival]]:
    """Return a week of traffic whose labels are mature now, in order of arrival."""
    days = 7
    latest_us = now_us() - (days + 3) * DAY_US
    config = TrafficConfig(
        seed=3,
        start_us=latest_us - latest_us % DAY_US,
        days=days,
        comments_per_day=900,
        duplicate_share=0.01,
        edit_share=0.01,
    )
    return config, list(generate(config))


def versions_of(day: DayUnderTest) -> Mapping[str, int]:
    """Return the number of decisions of each version."""
    query = "SELECT model_version, count(*) FROM speed.decisions WHERE topic_id = %s GROUP BY 1"
    return dict(day.execute(query, day.layer.topic_id))


@pytest.mark.budget(150)
def test_a_system_without_model_and_file_ends_with_a_trained_model_that_serves(
    dag_runs: DagRuns, day: DayUnderTest
) -> None:
    config, arrivals = traffic()

    # A worker waits, and its log names the next step. The first comment is decided as soon as the model is there.
    day.layer.start_worker()
    log = day.layer.folder / "worker-0.log"
    wait_until(
        lambda: log.exists() and "`moderation bootstrap`" in log.read_text(),
        seconds=60,
        description="the next step in the log of the worker",
    )
    day.layer.produce(records(arrivals)[:1])
    assert command(day, "bootstrap", "--review-share", str(REVIEW_SHARE))["is_new"]
    day.layer.wait_accounted(1)
    assert day.execute(
        "SELECT model_version, score_ppm, verdict IN ('allow', 'review') FROM speed.decisions WHERE topic_id = %s",
        day.layer.topic_id,
    ) == [("1", 500_000, True)]

    # The DAG does the same, so there is nothing left for it to do.
    again = dag_runs.run("bootstrap_model", day.settings)
    assert (again.state, again.tasks) == ("success", {"bootstrap": "skipped"})
    assert "version 1 is the bootstrap model and in production already" in again.output

    # A week of comments, decisions and actions; the batch recomputes every verdict.
    day.send(records(arrivals)[1:])
    act(day, arrivals)
    totals = reconcile_all(day.settings, "a test", lambda line: None)
    assert totals.days == totals.final >= 7
    assert not any(totals.defects.values()), totals
    decided = dict(
        day.execute(
            "SELECT coalesce(drawn_from, verdict), count(*) FROM speed.decisions WHERE topic_id = %s GROUP BY 1",
            day.layer.topic_id,
        )
    )
    assert decided.keys() == {"allow"}, "nothing is removed, and every review was drawn"
    reviews = day.execute(
        "SELECT count(*) FROM speed.decisions WHERE topic_id = %s AND verdict = 'review' AND inclusion_ppm = 100000",
        day.layer.topic_id,
    )[0][0]
    assert abs(reviews / decided["allow"] - REVIEW_SHARE) < 0.03

    # Every example represents itself, drawn or not; a drawn comment on which nobody acted is left out.
    week = Interval(config.start_us, config.start_us + config.days * DAY_US)
    labelled = read_examples(day.settings, week, maturity_us=48 * HOUR_US)
    assert {each.weight for each in labelled.examples} == {1.0}
    assert 0 < labelled.counts["not_allowed_without_action"] < reviews

    # Drift has nothing to compare with.
    drift = check_drift(day.settings, day_of(config.start_us + 4 * DAY_US), may_ask=True)
    assert (drift.production, list(drift.drifted)) == ("1", [])

    # The retraining passes a gate that does not compare with the bootstrap model.
    trained = dag_runs.run("retrain_model", day.settings)
    assert (trained.state, trained.tasks["gate"]) == ("success", "success"), trained.output[-4_000:]
    judged = trained.returned["gate"]
    assert judged["is_passed"], judged["reasons"]
    assert (judged["version"], judged["production"], judged["bootstrap"]) == ("2", None, "1")
    assert judged["intervals"] == {}
    assert judged["figures"]["reviews_a_day"] > 0
    assert judged["goals"]["origin"] == "default: production version 1 is the bootstrap model"
    versions = registry(day.settings)
    table = versions.run_artifacts.read(versions.version("2").run_id, "gate.md").decode()
    assert "against nothing: version 1, which it is to replace, is the bootstrap model" in table
    compared = compare_challenger(day.settings)
    assert isinstance(compared, StoredComparison)
    page = command(day, "promote", "--show")["text"]
    assert "Version 1 is the **bootstrap model**" in page
    assert "Warning" not in page

    # The approved version decides the next comments.
    promoted = command(day, "promote", "--reason", "the first trained model")
    assert (promoted["version"], promoted["previous"]) == ("2", "1")
    next_day = replace(config, seed=4, days=1, start_us=config.start_us + config.days * DAY_US)
    sent = iter(records(list(generate(next_day))))

    def is_served() -> bool:
        day.send([next(sent)])
        return "2" in versions_of(day)

    wait_until(is_served, seconds=60, description="a decision of version 2")
    assert day.layer.comparison().is_exact
