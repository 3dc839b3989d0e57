"""The history is a section of the model's description; the text above the marker is never changed."""

from __future__ import annotations

from moderation.adapters.registry.history import HISTORY_MARKER, with_history


def test_the_text_above_the_marker_stays_and_the_history_is_replaced() -> None:
    first = with_history("What it is.\n", ["- newest", "- oldest"])
    assert first == f"What it is.\n\n{HISTORY_MARKER}\n## History\n- newest\n- oldest\n"
    assert with_history(first, ["- newer"]) == f"What it is.\n\n{HISTORY_MARKER}\n## History\n- newer\n"
    assert with_history("", []) == f"{HISTORY_MARKER}\n## History\n"


def test_lines_that_do_not_fit_are_left_out_oldest_first() -> None:
    text = with_history("What it is.", [f"- {number} {'x' * 1_000}" for number in range(9)])
    assert len(text) <= 5_000
    assert "- 3 " in text
    assert "- 4 " not in text
