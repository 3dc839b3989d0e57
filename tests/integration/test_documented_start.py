"""The nightly retraining after the start that README documents, on real Kafka, PostgreSQL and MLflow."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batch.labelled_examples import read_examples
from batch.retrain.gate import gate
from batch.retrain.options import parse_options
from batch.retrain.run import retrain
from batch.retrain.split import split_at
from batch.run_interval import Interval
from local.stack.commands import StackInfo
from moderation.adapters.sql.migrate import migrate_database
from moderation.bootstrap import register, registry, train_to_folder
from moderation.contracts import Comment
from moderation.datasets.synthetic import TrafficConfig
from moderation.policy import parse_goal
from tests.support import certified
from tests.support.labelled import DAY_US, MATURITY_US, History, history
from tests.support.workers import base_settings

TRAFFIC = TrafficConfig(
    seed=1, days=34, comments_per_day=400, late_share=0.01, duplicate_share=0.01, edit_share=0.01, broken_share=0.01
)
END_US = TRAFFIC.start_us + TRAFFIC.days * DAY_US
NIGHT = datetime.fromtimestamp((END_US + MATURITY_US) // 1_000_000, UTC)
INTERVAL = Interval(END_US - 28 * DAY_US, END_US)
"""The interval of the untouched form in that night."""
GOALS = ["precision>=0.9", "review_share<=0.1"]
"""The goals in README and in the demo."""


@pytest.fixture
def world(stack: StackInfo, tmp_path: Path) -> History:
    """Lake with five weeks of traffic, after a reconciliation without defects."""
    migrate_database(stack.database_url())
    settings = base_settings(stack, f"test-{uuid.uuid4().hex[:12]}-")
    world = history(settings.model_copy(update={"model_name": f"start-{uuid.uuid4().hex[:8]}"}), tmp_path, TRAFFIC)
    world.reconcile()
    return world


def trained_on(world: History, folder: Path, days: int, folds: int) -> list[Comment]:
    """Train on the first days and register: the first version as `moderation train --register` does, a later one as if
    its gate had let it pass. Return the training comments.
    """
    interval = Interval(TRAFFIC.start_us, TRAFFIC.start_us + days * DAY_US)
    examples = read_examples(world.settings, interval, maturity_us=MATURITY_US).examples
    labelled = [(each.comment, each.removed) for each in examples]
    train_to_folder(labelled, folder, [parse_goal(goal) for goal in GOALS], world.settings, folds=folds)
    is_first = registry(world.settings).resolve("production") is None
    (register if is_first else certified.register)(folder, world.settings, "trained from the command line")
    return [each.comment for each in examples]


def text(comment: Comment) -> str:
    return " ".join(comment.body.casefold().split())


@pytest.mark.budget(180)
@pytest.mark.long
def test_the_untouched_form_gives_a_challenger_and_too_few_newer_comments_are_stated(
    world: History, tmp_path: Path
) -> None:
    found = registry(world.settings)
    trained_on(world, tmp_path / "few days", 4, folds=5)
    report = retrain(world.settings, parse_options({}, NIGHT), started_by="a test")
    assert (report.start_us, report.end_us) == (INTERVAL.start_us, INTERVAL.end_us)
    inherited = ("goals", "family", "explore_removals", "explore_allowed")
    assert report.origins == dict.fromkeys(inherited, "production version 1")
    assert list(report.goals_stated) == list(report.goals) == GOALS
    judged = gate(world.settings, report.version)
    assert judged.state == "passed", judged.reasons
    assert judged.goals == {"stated": GOALS, "origin": "production version 1", "lowered": []}
    aliases = {name: found.resolve(name) for name in ("challenger", "production")}
    assert {name: version and version.version for name, version in aliases.items()} == {
        "challenger": report.version,
        "production": "1",
    }
    run_id = found.version(report.version).run_id
    card = found.run_artifacts.read(run_id, "model_card.md").decode()
    assert "`precision>=0.9, review_share<=0.1` (from: production version 1)" in card

    # The same version against a production that was trained on most of the same comments.
    training = trained_on(world, tmp_path / "many days", 30, folds=2)
    found.give_alias("production", found.version("3"))
    judged = gate(world.settings, report.version)
    assert (judged.state, judged.is_passed) == ("too few comments", False), judged.reasons
    assert judged.needed_comments is not None
    assert judged.needed_comments > judged.figures["comments"]
    assert found.tags(found.version(report.version))["moderation.gate"] == "too_few"
    assert found.resolve("challenger") is None
    assert f"of {judged.needed_comments:,}; " in found.run_artifacts.read(run_id, "gate.md").decode()

    newest = split_at(read_examples(world.settings, INTERVAL, maturity_us=MATURITY_US).examples, report.split_us).newest
    newer = [each for each in newest if each.comment.event_time_us >= TRAFFIC.start_us + 30 * DAY_US]
    known = {text(comment) for comment in training}
    assert judged.left_out == {
        "in_time_of_production_training": len(newest) - len(newer),
        "text_in_production_training": sum(text(each.comment) in known for each in newer),
    }
    assert min(judged.left_out.values()) > 0, "or the test shows nothing"
    assert judged.figures["comments"] == len(newest) - sum(judged.left_out.values())
