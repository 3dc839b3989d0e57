"""Exploration on real servers: worker, reconciliation and training use the same draws."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from batch.label_rule import Label, Served, label_of
from batch.labelled_examples import read_examples
from batch.run_interval import Interval
from local.stack.commands import StackInfo
from local.stack.wait import wait_until
from moderation.adapters.kafka.topics import ensure_topics
from moderation.adapters.sql.migrate import migrate_database
from moderation.bootstrap import exploration_keys, production_model, register
from moderation.contracts import ActionKind, Verdict
from moderation.errors import ModelRefused
from moderation.policy import Exploration, Policy
from moderation.policy.exploration import key_id_of
from moderation.scoring import ModerationPipeline
from tests.support.model_folders import make_folder
from tests.support.reconcile_day import DAY_US, MINUTE_US, DayUnderTest, comments
from tests.support.workers import base_settings, speed_layer

DAY = Interval(DAY_US, DAY_US + 24 * 60 * MINUTE_US)
MATURITY_US = 120 * MINUTE_US


@pytest.fixture
def day(stack: StackInfo, pipeline: ModerationPipeline, topic_prefix: str, tmp_path: Path) -> Iterator[DayUnderTest]:
    """A day whose worker serves a model that removes by itself and explores."""
    migrate_database(stack.database_url())
    ensure_topics(stack.kafka, prefix=topic_prefix)
    name = f"exploration-{uuid.uuid4().hex[:8]}"
    settings = base_settings(stack, topic_prefix).model_copy(
        update={"model_name": name, "state_folder": tmp_path / "state"}
    )
    key = exploration_keys(settings).newest
    assert key is not None
    policy = Policy(450_000, 500_000, (), exploration=Exploration(key_id_of(key), 500_000, 250_000))
    make_folder(tmp_path / "model", pipeline, policy)
    assert register(tmp_path / "model", settings, "explores").is_production
    with speed_layer(settings, tmp_path) as layer:
        yield DayUnderTest(layer, tmp_path)


@pytest.mark.budget(60)
def test_worker_reconciliation_and_training_agree_on_the_draws(day: DayUnderTest) -> None:
    day.layer.start_worker()
    day.send(comments(range(400)))
    day.act(range(0, 400, 3))
    day.archive()
    query = "SELECT comment_id, verdict, inclusion_ppm, drawn_from FROM speed.decisions WHERE topic_id = %s"
    rows = day.execute(query, day.layer.topic_id)
    assert {(verdict, drawn) for _, verdict, _, drawn in rows} >= {
        ("allow", None),
        ("remove", None),
        ("review", "remove"),
        ("review", "allow"),
    }
    assert {(drawn, inclusion) for _, _, inclusion, drawn in rows if drawn} == {("remove", 500_000), ("allow", 250_000)}
    wait_until(
        lambda: day.layer.comparison(topics_too=True).is_exact, seconds=60, description="topics equal the ledger"
    )

    # The batch layer recomputes every draw.
    report = day.reconcile()
    assert set(report.defects.values()) == {0}
    assert not any(report.causes.values())
    found = read_examples(day.settings, DAY, maturity_us=MATURITY_US)
    expected = {}
    for comment_id, verdict, inclusion, drawn in rows:
        action = ActionKind.REMOVE if int(comment_id[1:]) % 3 == 0 else None
        served = Served(Verdict(verdict), inclusion, None if drawn is None else Verdict(drawn))
        label = label_of(action, 1.0, served)
        if isinstance(label, Label):
            expected[comment_id] = label
    assert {each.comment.comment_id: Label(each.removed, each.weight) for each in found.examples} == expected
    assert {label.weight for label in expected.values()} == {1.0, 2.0}
    assert found.counts["not_allowed_without_action"] > 0
    assert found.verdicts_digest == read_examples(day.settings, DAY, maturity_us=MATURITY_US).verdicts_digest

    # Without the key the model is refused by name, by workers and by the reconciliation.
    without = day.settings.model_copy(update={"exploration_key": SecretStr("another key of more than 32 bytes")})
    with pytest.raises(ModelRefused, match=r"version 1.*MODERATION_EXPLORATION_KEY"):
        production_model(without).open_version("1")
    both = f"another key of more than 32 bytes,{day.settings.exploration_key.get_secret_value()}"  # type: ignore[union-attr]
    assert (
        production_model(day.settings.model_copy(update={"exploration_key": SecretStr(both)}))
        .open_version("1")
        .exploration_key
    )
    settings, day.settings = day.settings, without
    with pytest.raises(ModelRefused, match="MODERATION_EXPLORATION_KEY"):
        day.reconcile()
    day.settings = settings

    # The partition of the day is dropped: what was shown is unknown.
    day.execute("DELETE FROM speed.decisions WHERE topic_id = %s", day.layer.topic_id)
    later = read_examples(day.settings, DAY, maturity_us=MATURITY_US)
    acted = {f"c{number}" for number in range(0, 400, 3)}
    assert {each.comment.comment_id for each in later.examples} == acted
    assert later.counts["verdict_unknown"] == 400 - len(acted)
    assert later.verdicts_digest != found.verdicts_digest

    # Nothing was decided on records of another topic id.
    day.execute("DELETE FROM speed.source_offsets WHERE topic_id = %s", day.layer.topic_id)
    undecided = read_examples(day.settings, DAY, maturity_us=MATURITY_US)
    assert len(undecided.examples) == 400
