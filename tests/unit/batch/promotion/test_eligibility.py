"""Which versions may be promoted: every other one is refused with a reason and a next step."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from batch.promotion.eligibility import Evidence, refusal_of

PASSED = Evidence("passed", "passed")
FIRST = Evidence("first version")
DEFECTS = ((date(2026, 11, 20), 3), (date(2026, 11, 21), 1_200))


@pytest.mark.parametrize(
    "evidence",
    [
        PASSED,
        Evidence("judged before gates were signed"),
        replace(FIRST, is_first=True),
        replace(FIRST, has_served=True),
        Evidence("bootstrap", is_first=True),
        replace(FIRST, gate="passed", is_first=True),
    ],
)
def test_a_judged_version_a_first_one_and_one_that_served_may_be_promoted(evidence: Evidence) -> None:
    assert refusal_of("7", evidence) is None


@pytest.mark.parametrize(
    ("evidence", "cause", "remedy"),
    [
        (Evidence(None), "the gate has not judged it", "`moderation gate 7`"),
        (Evidence(None, is_overridden=True), "it serves by override only", "`moderation gate 7`"),
        (Evidence(None, "failed", "its AUC is lower"), "stopped it: its AUC is lower", "Retrain"),
        (replace(PASSED, gate="failed", gate_reasons="a defect"), "stopped it: a defect", "Retrain"),
        (replace(PASSED, gate="too_few"), "had too few comments: no reasons were stored", "Retrain"),
        (replace(PASSED, is_report_certified=False), "not the report that its certificate names", "Judge it again"),
        (FIRST, "the verdict first version", "`moderation gate 7`"),
        (Evidence("bootstrap"), "the verdict bootstrap", "`moderation gate 7`"),
        (replace(PASSED, defects=DEFECTS), "2026-11-20: 3, 2026-11-21: 1,200", "`moderation reconcile`"),
        (replace(FIRST, has_served=True, defects=DEFECTS), "2026-11-20: 3", "`moderation reconcile`"),
        (replace(FIRST, is_first=True, gate="failed"), "stopped it", "Retrain"),
    ],
)
def test_any_other_version_is_refused_with_reason_and_next_step(evidence: Evidence, cause: str, remedy: str) -> None:
    refusal = refusal_of("7", evidence)
    assert refusal is not None
    assert cause in refusal.cause
    assert remedy in refusal.remedy


def test_long_reasons_of_the_gate_are_cut() -> None:
    refusal = refusal_of("7", Evidence("passed", "failed", "x" * 5_000))
    assert refusal is not None
    assert len(refusal.cause) < 1_100
