from __future__ import annotations

import pytest

from local.access.approval_rule import DAG_ID, GUARDED, needs_approver
from tests.conftest import ROOT


@pytest.mark.parametrize("entity", sorted(GUARDED))
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_changes_of_a_promotion_need_an_approver(method: str, entity: str) -> None:
    assert needs_approver(method, entity, DAG_ID)
    assert needs_approver(method, entity, None), "a request for all DAGs includes promotions"
    assert not needs_approver(method, entity, "archive_topics")
    assert not needs_approver("GET", entity, DAG_ID)


def test_runs_of_promotions_are_started_without_an_approver() -> None:
    assert not needs_approver("POST", "RUN", DAG_ID)
    assert not needs_approver("PUT", None, DAG_ID)


def test_the_rule_is_for_the_dag_that_asks_for_approval() -> None:
    assert "CurrentApproval(" in (ROOT / "dags" / f"{DAG_ID}.py").read_text()
    others = [path.name for path in (ROOT / "dags").glob("[a-z]*.py") if "CurrentApproval(" in path.read_text()]
    assert others == [f"{DAG_ID}.py"]
