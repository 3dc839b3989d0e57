"""Days of versions that were deleted or re-keyed: recomputed from stored models, or closed with stored scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from pydantic import SecretStr

from local.stack.attention import attention
from local.stack.commands import StackInfo
from local.stack.wait import wait_until
from moderation.adapters.registry.keys import SigningKey
from moderation.bootstrap import registry
from moderation.errors import ModelRefused
from tests.support.certified import register
from tests.support.reconcile_day import DayUnderTest, comments
from tests.support.workers import RUN, SpeedLayerUnderTest

NAME = f"past-versions-{RUN}"


@pytest.fixture
def day(layer: SpeedLayerUnderTest, tmp_path: Path) -> DayUnderTest:
    layer.settings = layer.settings.model_copy(update={"model_name": NAME, "state_folder": tmp_path / "worker"})
    return DayUnderTest(layer, tmp_path)


def decided_by(day: DayUnderTest) -> set[str]:
    rows = day.execute("SELECT DISTINCT model_version FROM speed.decisions WHERE topic_id = %s", day.layer.topic_id)
    return {version for (version,) in rows}


def state_of(day: DayUnderTest) -> list[tuple[Any, ...]]:
    return day.execute("SELECT state, stored_scores FROM serving.day_states WHERE topic = %s", day.layer.topic)


@pytest.mark.budget(60)
@pytest.mark.long
def test_a_deleted_version_is_recomputed_while_its_files_are_stored_and_closed_with_stored_scores_after(
    day: DayUnderTest, stack: StackInfo, model: Path
) -> None:
    settings, client = day.layer.settings, MlflowClient(stack.mlflow_url)
    old, _ = register(model, settings, "the first")
    day.layer.start_worker()
    day.send(comments(range(40)))
    stored = "SELECT count(*) FROM speed.kept_models WHERE model_name = %s AND model_version = %s"
    wait_until(
        lambda: day.execute(stored, NAME, old) == [(1,)], seconds=20, description="the worker has stored its version"
    )
    new, _ = register(model, settings, "the second")
    models = registry(settings)
    models.promote(models.version(new))
    number = 40
    while new not in decided_by(day):
        day.send(comments([number]))
        number += 1
    day.archive()
    first = day.reconcile()
    assert (first.state, first.is_sound, first.stored_scores) == ("final", True, [])

    client.delete_registered_model_alias(NAME, "previous")
    client.delete_model_version(NAME, old)
    from_database = day.reconcile()
    assert (from_database.revision, from_database.stored_scores) == (1, [])

    day.execute("DELETE FROM speed.kept_models WHERE model_name = %s", NAME)
    closed = day.reconcile()
    [version] = closed.stored_scores
    assert (version.model_version, version.rows) == (old, number - 1)
    assert (closed.state, closed.is_sound, closed.revision) == ("final", True, 2)
    assert closed.batch_comments == first.batch_comments
    assert state_of(day) == [("final with stored scores", number - 1)]
    assert day.needed() == []
    assert day.reconcile().revision == 2
    [line] = [each for each in attention(day.settings) if "stored scores" in each]
    assert f"version {old}" in line

    # Only scores are taken from the ledger: a lost row is lost as ever.
    day.execute(
        "DELETE FROM speed.decisions WHERE topic_id = %s AND model_version = %s AND comment_id = %s",
        *(day.layer.topic_id, old, "c7"),
    )
    assert day.reconcile().causes["lost"] == 1


@pytest.mark.budget(30)
def test_a_version_of_another_key_is_refused_only_while_it_is_in_production(
    day: DayUnderTest, stack: StackInfo, model: Path
) -> None:
    name = f"{NAME}-keys"
    day.layer.settings = day.layer.settings.model_copy(update={"model_name": name})
    day.settings = day.settings.model_copy(update={"model_name": name})
    register(model, day.layer.settings, "the first")
    day.layer.start_worker()
    day.send(comments(range(20)))
    day.archive()
    own, other = day.settings, SigningKey.generate()
    day.settings = own.model_copy(update={"signing_key": SecretStr(other.seed()), "verify_keys": None})
    with pytest.raises(ModelRefused, match="made with another key"):
        day.reconcile()
    MlflowClient(stack.mlflow_url).delete_registered_model_alias(name, "production")
    closed = day.reconcile()
    [version] = closed.stored_scores
    assert (version.rows, closed.state, closed.is_sound) == (20, "final", True)
    assert "made with another key" in version.reason
    day.settings = own
    assert day.reconcile().stored_scores == []
