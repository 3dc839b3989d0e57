"""Leakage: traces of the moderation, or of how data was put together, are reported; what authors write is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from moderation.contracts import Action, ActionKind, Comment
from moderation.datasets.history import LabelledComment, Origin
from moderation.timestamps import HOUR_US
from moderation.training.corpus_report.leaks import LEAK_AUC, find_leaks, group_auc

MAY_1_US = 1_682_935_200_000_000
WORDS = [f"{a}{b}{c}" for a in "bdgkl" for b in "aeiou" for c in "mnrst"]


def make(number: int, removed: bool, **changes: object) -> LabelledComment:
    """A comment of random words, at a random time, of the same author, file and community as all others."""
    rng = np.random.default_rng(number)
    fields = {
        "comment_id": f"c{number}",
        "community": "science",
        "body": " ".join(rng.choice(WORDS, rng.integers(6, 40))),
        "event_time_us": MAY_1_US + int(rng.integers(0, 90 * 24)) * HOUR_US,
        "author_key": "ann",
    }
    origin = changes.pop("origin", Origin("a.csv", number))
    comment = Comment(**{**fields, **changes})  # type: ignore[arg-type]
    action = Action(comment.comment_id, ActionKind.REMOVE, "m", "", comment.event_time_us, 1.0) if removed else None
    return LabelledComment(comment, action, True, origin)  # type: ignore[arg-type]


def is_removed(number: int) -> bool:
    """A third of the comments, in no order."""
    return int(np.random.default_rng(10_000 + number).integers(0, 3)) == 0


def rows(change: Callable[[int, bool], dict[str, object]] = lambda n, removed: {}) -> list[LabelledComment]:
    return [make(n, is_removed(n), **change(n, is_removed(n))) for n in range(600)]


def body(number: int) -> str:
    return make(number, False).comment.body


def test_comments_without_a_trace_have_no_warning() -> None:
    leaks = find_leaks(rows(), {"a.csv": "utf-8"})
    assert leaks.warnings() == []
    assert all(0.4 < each.auc < 0.6 for each in leaks.groups)
    assert {each.name for each in leaks.groups} >= {"hour of the day (UTC)", "position among the rows", "length"}


TRACES: dict[str, Callable[[int, bool], dict[str, object]]] = {
    "The file alone": lambda n, removed: {"origin": Origin("removed.csv" if removed else "kept.csv", n)},
    "The source encoding alone": lambda n, removed: {"origin": Origin("latin.csv" if removed else "a.csv", n)},
    "The repair of the row alone": lambda n, removed: {"origin": Origin("a.csv", n, "quote" if removed else None)},
    "The hour of the day (UTC) alone": lambda n, removed: {
        "event_time_us": MAY_1_US + n % 50 * 24 * HOUR_US + (3 if removed else n % 20 + 4) * HOUR_US
    },
    "The month alone": lambda n, removed: {"event_time_us": MAY_1_US + (60 if removed else 0) * 24 * HOUR_US},
    "The presence of an author alone": lambda n, removed: {"author_key": None if removed else "ann"},
    "The form of the id alone": lambda n, removed: {"comment_id": f"spam-{n}" if removed else f"ham-{n}"},
    "The community alone": lambda n, removed: {"community": "trash" if removed else "science"},
    "begin with “notice:”": lambda n, removed: {"body": f"Notice: {body(n)}"} if removed and n % 2 else {},
    "end with “bot.”": lambda n, removed: {} if removed or n % 3 else {"body": f"{body(n)} I am a bot."},
    "an edit mark such as [edited]": lambda n, removed: {"body": f"{body(n)} [edited {n}]"} if removed else {},
    "a mark of moderation": lambda n, removed: {"body": f"{body(n)} [removed by {n}] x{n}"} if removed else {},
    "the wrong encoding": lambda n, removed: {"body": f"caf\u00c3\u00a9 {body(n)}"} if removed and n % 4 else {},
    "an HTML entity": lambda n, removed: {} if removed or n % 4 else {"body": f"this &amp; that {body(n)}"},
}


@pytest.mark.parametrize("trace", TRACES)
def test_a_trace_is_reported(trace: str) -> None:
    warnings = find_leaks(rows(TRACES[trace]), {"a.csv": "utf-8", "latin.csv": "cp1252"}).warnings()
    assert any(trace in warning for warning in warnings), warnings


def test_files_sorted_by_label_are_reported() -> None:
    ordered = sorted(rows(), key=lambda row: row.removed)
    assert any("position among the rows" in warning for warning in find_leaks(ordered).warnings())


def test_a_word_of_one_repeated_body_is_not_shown() -> None:
    copies = [make(n, True, body=f"call {body(7)} Johnathan") for n in range(600, 700)]
    warnings = find_leaks([*rows(), *copies]).warnings()
    assert not any("johnathan" in warning.lower() for warning in warnings)


def test_a_frequent_word_of_both_labels_is_no_leak() -> None:
    def change(number: int, removed: bool) -> dict[str, object]:
        return {"body": f"{body(number)} lol"} if removed or number % 3 == 0 else {}

    assert find_leaks(rows(change)).warnings() == []


def test_a_polite_word_of_few_kept_comments_is_no_leak() -> None:
    def polite(number: int) -> dict[str, object]:
        return {"body": f"{body(number)} thanks"}

    more = [make(n, is_removed(n)) for n in range(600, 7_000)]
    thanks = [make(n, False, **polite(n)) for n in range(9_000, 9_060)]
    assert find_leaks([*more, *thanks]).marks == ()
    removed = [make(n, True, **polite(n)) for n in range(9_000, 9_060)]
    assert [leak.rate.group for leak in find_leaks([*more, *removed]).marks] == ["end with “thanks”"]


def test_many_small_groups_do_not_predict_by_chance() -> None:
    rng = np.random.default_rng(1)
    removed = rng.random(2_000) < 0.3
    auc = group_auc(rng.integers(0, 80, 2_000).tolist(), removed)
    assert auc is not None
    assert auc[1] < 0.56
    # Estimated on the same comments, the same groups seem to predict.
    assert group_auc([0] * 2_000, removed) is None
    perfect = group_auc(removed.tolist(), removed)
    assert perfect == (2, 1.0)
    assert perfect[1] >= LEAK_AUC


def test_real_comments_have_traces_of_their_moderation(rscience: list[LabelledComment]) -> None:
    warnings = find_leaks(rscience).warnings()
    assert [warning.split(", ")[0].split("that ")[1] for warning in warnings] == [
        "contain an edit mark such as [edited]",
        "contain characters outside ASCII",
    ]
