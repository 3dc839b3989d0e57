"""Preview page: user text never becomes markup, and a day without defects is reported as such."""

from __future__ import annotations

from datetime import UTC, date, datetime

from grafana.preview import Preview, QueryResult, render
from grafana.preview.html import cell, link, number
from grafana.source.variables import Addresses

HOSTILE = "\"><script>alert(1)</script>&'"
_MEASURES = ["comments", "reviews", "removals", "score_sum"]


def preview(name: str, *, is_sound: bool = False) -> Preview:
    term = ["term", "rows", *_MEASURES, "meaning", "kind", "cause"]
    gap = [
        ("batch", None, 12, 1, 1, 600, "recomputed", "side", "$__all"),
        ("less speed", None, -11, -1, -1, -500, "kept", "side", "$__all"),
        ("is the gap", None, 1, 0, 0, 100, "sum", "sum", "$__all"),
        ("lost", 1, 1, 0, 0, 100, name, "defect", "lost"),
        ("left over", None, 0, 0, 0, 0, "always 0", "sum", "$__all"),
    ]
    difference = {
        **{"cause": "lost", "written": datetime(2023, 11, 15, tzinfo=UTC), "community": name, "comment_id": name},
        **dict.fromkeys(_MEASURES, 1),
        **dict.fromkeys(("batch_verdict", "speed_verdict", "speed_fate", "model_version", "policy_version"), name),
        **{"batch_score_ppm": 1, "speed_score_ppm": None, "partition": 0, "offset": 7},
    }
    run = {
        **{"revision": 1, "state": "final", "batch_comments": 12, "speed_comments": 11, "defects": 1},
        **{"finished": datetime(2023, 11, 16, tzinfo=UTC), "seconds": 1.5, "engine": "duckdb", "kernel_version": "1"},
        **{"code_version": "0.1", "started_by": name, "airflow_run": None, "differences_url": name},
    }
    windows = ["hour", "community", "batch", "speed", "gap"]
    windows += ["batch_reviews", "speed_reviews", "batch_removals", "speed_removals", "causes"]
    rows = [] if is_sound else [tuple(difference.values())]
    results = {
        "state": QueryResult(["state"], [("final, revision 1",)]),
        "comments": QueryResult(["batch", "speed", "gap"], [(12, 11, 1)]),
        "defects": QueryResult(
            ["lost", "unexplained", "phantom", "residual", "other"], [(0 if is_sound else 1, 0, 0, 0, 0)]
        ),
        "gap": QueryResult(term, gap),
        "windows": QueryResult(windows, [("10:00", name, 12, 11, 1, 1, 1, 1, 1, "lost 1")]),
        "differences": QueryResult(list(difference), rows),
        "residual_panes": QueryResult([], []),
        "runs": QueryResult(list(run), [tuple(run.values())]),
    }
    return Preview(name, date(2023, 11, 15), results, Addresses())


def test_user_text_never_becomes_markup() -> None:
    page = render(preview(HOSTILE))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 8
    assert 'href="javascript:' not in render(preview("javascript:alert(1)"))


def test_a_day_without_defects_is_reported_as_such() -> None:
    page = render(preview("science", is_sound=True))
    assert "None. Batch and speed layer count every row in the same way." in page
    assert "None. Every pane is the sum of its ledger rows." in page
    assert "nothing lost, nothing unexplained" in page


def test_only_web_addresses_become_links() -> None:
    assert link("https://airflow.example/runs/1?a=1&b=2", "run") == (
        '<a href="https://airflow.example/runs/1?a=1&amp;b=2" rel="noreferrer">run</a>'
    )
    assert link("moderation reconcile", "moderation reconcile") == "moderation reconcile"
    assert link("javascript:alert(1)", "x") == "x"


def test_numbers_have_signs_and_thousands() -> None:
    assert [number(value, signed=True) for value in (1_200, -1_200, 0)] == ["+1,200", "\u22121,200", "0"]
    assert cell(None) == '<span class="none">–</span>'
