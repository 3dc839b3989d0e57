"""DAGs of the model life, each from first to last task on real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch.promotion.history import read_history
from moderation.contracts import Comment, to_json
from tests.support.dag_runs import ANSWERER, DagRuns
from tests.support.lakes import LakeUnderTest, plain
from tests.support.model_life import LENIENT, STRICT, ModelLife, Templates

SECRET = "meet me {{ 7 * 7 }} behind the lab"


@pytest.fixture
def life(lake: LakeUnderTest, templates: Templates, tmp_path: Path) -> ModelLife:
    """Production version, challenger and a lake with comments."""
    life = ModelLife(lake.settings, tmp_path, templates)
    for alias, version in (
        ("production", life.register(LENIENT)),
        ("challenger", life.register(STRICT, learnt=SECRET)),
    ):
        life.registry.give_alias(alias, version)
    made = [Comment(f"c{n}", "science", SECRET, 1_700_006_400_000_000 + n) for n in range(5)]
    lake.produce(plain([(each.comment_id, to_json(each)) for each in made]))
    lake.archive()
    return life


@pytest.mark.long
def test_a_challenger_is_compared_shown_approved_promoted_and_rolled_back(dag_runs: DagRuns, life: ModelLife) -> None:
    run = dag_runs.run("compare_challenger", life.settings, {"hours": 1})
    assert (run.state, run.tasks) == ("success", {"compare": "success"})
    assert run.returned["compare"]["overall"]["comments"] == 5
    assert "behind the lab" not in run.output

    run = dag_runs.run("promote_model", life.settings, {"reason": "it knows more"}, answer="Approve")
    assert (run.state, set(run.tasks.values())) == ("success", {"success"})
    assert run.asked["approve"]["subject"] == "Is version 2 to serve? it knows more"
    body = run.asked["approve"]["body"]
    assert f"`science` `c0`, 5 times  \n   `{SECRET}`" in body  # as it was written, and rendered by nobody
    assert "Its certificate states the verdict `passed`" in body
    assert "behind the lab" not in run.output
    assert (run.returned["promote"]["by"], run.returned["promote"]["reason"]) == (ANSWERER, "it knows more")
    assert life.aliases() == {"production": "2", "previous": "1"}

    run = dag_runs.run("compare_challenger", life.settings)
    assert (run.state, run.tasks) == ("success", {"compare": "skipped"})
    assert run.returned["compare"] == {"skipped": "no version has the alias challenger"}
    assert "no version has the alias challenger" in run.output

    run = dag_runs.run("rollback_model", life.settings, {"reason": "it knows too much"})
    assert (run.state, set(run.tasks.values())) == ("success", {"success"})
    assert run.returned["roll_back"]["by"] == "dag_test"
    assert life.aliases() == {"production": "1", "previous": "2"}
    assert [(each.version, each.kind, each.promoted_by) for each in read_history(life.settings)][:2] == [
        ("1", "rollback", "dag_test"),
        ("2", "promote", ANSWERER),
    ]


@pytest.mark.long
def test_a_rejected_challenger_is_not_promoted(dag_runs: DagRuns, life: ModelLife) -> None:
    run = dag_runs.run("promote_model", life.settings, {"version": "2", "reason": "try it"}, answer="Reject")
    assert run.state == "success"
    assert run.tasks == {"show": "success", "approve": "success", "promote": "skipped"}
    assert life.aliases() == {"production": "1", "challenger": "2"}
