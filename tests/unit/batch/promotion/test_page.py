"""The page of an approver: warnings, limits, workload and goals; what users wrote never becomes markup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from batch.challenge.markdown import render
from batch.promotion.eligibility import Refusal
from batch.promotion.history import history_line
from batch.promotion.page import VersionFacts, gate_lines, goal_lines, lineage_lines, opening

PAGE = "http://127.0.0.1:5000/#/models/m/versions/2"
HOSTILE = [
    "[x](javascript:alert(1))",
    "![x](http://evil.example/p.png)",
    "<img src=x onerror=alert(1)>",
    "a|b|c",
    "line\n\n# heading\n- item",
    "`` ` ``` ",
    "https://evil.example www.evil.example a@evil.example",
    "\\` [x][y]\n[y]: http://evil.example",
    "<!-- history -->",
    "\u202eright to left\x00",
]
SHARE = {"value": 0.5, "low": 0.4, "high": 0.6}


def proposed(gate: str | None = "passed", **tags: str) -> VersionFacts:
    stated = {f"moderation.{name}": value for name, value in tags.items()} | ({"moderation.gate": gate} if gate else {})
    return VersionFacts("2", PAGE, PAGE, stated)


def report(**changes: Any) -> dict[str, Any]:
    return {
        "reasons": [],
        "figures": {"auc": 0.91, "reviews_a_day": 120.0, "production_reviews_a_day": 200.0},
        "intervals": {"auc": {"value": 0.01, "low": -0.01, "high": 0.02}, "reviews": SHARE},
        "limits": {"auc_margin": 0.25, "workload_factor": 1.5},
    } | changes


def text(facts: VersionFacts, content: Mapping[str, Any] | None = None) -> str:
    return "\n".join([*opening("a model", facts, VersionFacts("1", PAGE)), *gate_lines(facts, content)])


def test_without_a_run_of_the_gate_the_page_states_the_verdict_of_the_certificate() -> None:
    assert "It has not judged the version." in text(proposed(gate=None))
    shown = text(proposed(gate=None, gate_verdict="first version"))
    assert "Its certificate states the verdict `first version`" in shown


def test_a_stopped_version_is_warned_of_at_the_top_with_its_reasons() -> None:
    facts = proposed("failed")
    refusal = Refusal("the newest run of the gate stopped it: in `x` it is worse", "Retrain.")
    opened = "\n".join(opening("a model", facts, None, refusal))
    stopped = "`the newest run of the gate stopped it: in 'x' it is worse`"
    assert opened.startswith(f"## Refused\n\n**Version 2 cannot be promoted**: {stopped}. Retrain.")
    shown = "\n".join(gate_lines(facts, report(reasons=["its AUC is lower", "in `x` it is worse"])))
    assert "- `its AUC is lower`\n- `in 'x' it is worse`" in shown


def test_a_version_that_passed_has_no_warning() -> None:
    assert text(proposed(), report()).startswith("**Version 2** of `a model` is to replace version 1")


def test_the_page_shows_the_limits_of_the_gate_and_what_changes_a_day() -> None:
    shown = text(proposed(), report())
    assert "| `auc margin` | 0.25 |" in shown
    assert "| reviews | 200 | 120 | -80 | 0.50 times (0.40 to 0.60) |" in shown
    assert "| `auc` | +0.0100 | -0.0100 to +0.0200 |" in shown


def test_the_page_says_that_the_bootstrap_model_is_replaced_and_shows_the_work_of_the_first_trained_one() -> None:
    serving = VersionFacts("1", PAGE, tags={"moderation.gate_verdict": "bootstrap"})
    content = report(figures={"auc": 0.9, "reviews_a_day": 120.0, "removals_a_day": 0.0}, intervals={})
    shown = "\n".join([*opening("a model", proposed(), serving), *gate_lines(proposed(), content)])
    assert shown.startswith("Version 1 is the **bootstrap model**: it was trained on nothing")
    assert "**Version 2** of `a model` is to replace version 1" in shown
    assert "| `reviews a day` | 120 |" in shown
    assert "bootstrap" not in text(proposed(), report())


def test_a_run_without_a_report_says_that_limits_are_not_known() -> None:
    assert "limits and figures are not known" in text(proposed())


def test_the_page_shows_goals_of_both_versions_and_where_they_came_from() -> None:
    ours = VersionFacts("2", PAGE, params={"goals": "precision>=0.9", "goals_from": "production version 1"})
    lines = "\n".join(goal_lines(ours, VersionFacts("1", PAGE, params={"goals": "recall>=0.8"})))
    assert "| goals of the policy | `precision>=0.9` | `recall>=0.8` |" in lines
    assert "| origin | `production version 1` | – |" in lines


def everything(wrote: str) -> str:
    """Return the page with a text of users at every place where the page has one."""
    facts = VersionFacts(
        "2",
        PAGE,
        PAGE,
        {"moderation.gate": "failed", "moderation.gate_reasons": wrote, "moderation.reason": wrote},
        {"goals": wrote, "goals_from": wrote, wrote or "empty": wrote, "started_by": wrote},
        {wrote or "empty": 0.5},
    )
    content = report(
        reasons=[wrote, f"in {wrote} its AUC is lower"],
        intervals={f"auc in {wrote}": SHARE},
        limits={wrote: wrote},
        figures={wrote: 1.0},
    )
    model = {"reviews_per_day": 1.0, "removals_per_day": 1.0, "version": "1", "review_ppm": 1, "remove_ppm": 2}
    group = {"comments": 5, "changed": 1, "disagreement": SHARE, "score_shift_ppm": 0.0} | dict.fromkeys(
        ("challenger", "production"), model
    )
    different = {"production": "allow", "challenger": "remove", "production_ppm": 1, "challenger_ppm": 2, "copies": 1}
    comparison = {
        "overall": group,
        "models": dict.fromkeys(("challenger", "production"), model),
        "start_us": 0,
        "end_us": 1,
        "records": 5,
        "transitions": {"allow": {"allow": 1, "review": 0, "remove": 0}},
        "communities": {wrote: group},
        "most_different": [different | dict.fromkeys(("community", "comment_id", "excerpt"), wrote)],
    }
    period = {"since_us": 0, "version": "2", "replaced": "1", "kind": "promote", "promoted_by": wrote, "reason": wrote}
    return "\n".join(
        [
            *opening(wrote, facts, facts, Refusal(wrote, "Retrain.")),
            *gate_lines(facts, content),
            *gate_lines(facts, None),
            "",
            *goal_lines(facts, facts),
            "",
            render(comparison, most_different=10),
            "",
            *lineage_lines(facts, facts),
            "",
            history_line({**period, "gate": "passed", "override": wrote}),
        ]
    )


def structure(markdown: str) -> list[tuple[str, str, str]]:
    """Return the kind, tag and address of everything in the page but its text."""
    parser = MarkdownIt("commonmark").enable("table")
    tokens = [each for token in parser.parse(markdown) for each in (token, *(token.children or ()))]
    kept = {"text", "code_inline", "inline", "softbreak", "hardbreak"}
    return [(each.type, each.tag, str(each.attrGet("href") or "")) for each in tokens if each.type not in kept]


@pytest.mark.parametrize("wrote", HOSTILE)
def test_hostile_text_of_users_adds_nothing_but_text_to_the_page(wrote: str) -> None:
    assert structure(everything(wrote)) == structure(everything("science"))


@given(st.text(alphabet=st.sampled_from("[]()<>|`\\!#*_-+&;:/.@ \n\r\tjavascript\x00\u2028"), max_size=40))
def test_text_of_users_never_becomes_markup(wrote: str) -> None:
    assert structure(everything(wrote)) == structure(everything("science"))
