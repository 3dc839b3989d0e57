"""The demonstration reports what the gate said; it never turns a stopped version into a pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cli.demo_results import next_steps
from local.demo.model_loop import LoopReport, LoopState, loop_report

FIGURES = {"comments": 900, "removed": 90, "auc": 0.9, "production_auc": 0.88, "reviews_a_day": 4.0}


def judged(**fields: Any) -> dict[str, Any]:
    return {"version": "2", "production": "1", "is_passed": False, "reasons": [], "figures": FIGURES} | fields


def test_passed_version_is_the_one_that_is_promoted() -> None:
    report = loop_report({}, judged(is_passed=True))
    assert report.is_passed
    assert (report.version, report.production, report.auc, report.production_auc) == ("2", "1", 0.9, 0.88)
    assert report.rates == {"reviews_a_day": 4.0}


def test_stopped_version_keeps_its_reasons() -> None:
    report = loop_report({}, judged(reasons=["its AUC may be lower"]))
    assert (report.state, report.reasons, report.is_passed) == (LoopState.STOPPED, ("its AUC may be lower",), False)


@pytest.mark.parametrize("state", list(LoopState))
def test_last_lines_name_the_pages_and_the_folder(state: LoopState) -> None:
    report = LoopReport(state, version="2", production="1")
    lines = next_steps(report, "http://127.0.0.1:1", "http://127.0.0.1:2", Path("var-demo"))
    text = "\n".join(lines)
    for part in ("2/dags/retrain_model", "2/dags/promote_model", "1/#/models/comment-moderation"):
        assert part in text
    assert lines[-1].startswith("stop it: moderation down --data-folder var-demo")
