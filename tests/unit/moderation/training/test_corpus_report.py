"""The corpus report: statistics by hand, escaping of texts, and no texts by default."""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import matplotlib.image
import numpy as np
import pytest
from markupsafe import escape

from moderation.contracts import Action, ActionKind, Comment
from moderation.datasets.history import LabelledComment
from moderation.policy import parse_goal, resolve_policy
from moderation.policy.resolve import wilson
from moderation.text import Lexicon
from moderation.training.corpus_report import Exploration, OutOfFold, explore, pictures, render
from moderation.training.corpus_report.figures import find_duplicates, rates_by_length
from moderation.training.corpus_report.groups import Rate
from moderation.training.corpus_report.tokens import LEAST_COMMENTS, count_tokens, log_odds_z
from moderation.training.metrics import measure

HOSTILE = "\"><script>alert(1)</script><img src=http://x.example/y onerror=alert(2)>&'"
HOUR_US = 3_600_000_000
LEXICON = Lexicon()
WEDNESDAY_US = 1_700_006_400_000_000  # 2023-11-15T00:00:00Z


def row(body: str, removed: bool, time_us: int = WEDNESDAY_US, is_time_known: bool = True) -> LabelledComment:
    comment = Comment("c", "science", body, time_us)
    action = Action("c", ActionKind.REMOVE, "m", "", time_us, 1.0) if removed else None
    return LabelledComment(comment, action, is_time_known)


def nothing(tokens: Sequence[str]) -> list[float]:
    return [0.0] * len(tokens)


def explored(rows: Sequence[LabelledComment]) -> Exploration:
    return explore(rows, LEXICON, lambda tokens: [1.0 if token == "you" else -0.5 for token in tokens])


def judged(exploration: Exploration) -> OutOfFold:
    removed = exploration.removed
    probability = np.clip(0.2 + 0.5 * removed + np.linspace(-0.15, 0.15, len(removed)), 0, 1)
    policy = resolve_policy(np.rint(1e6 * probability).astype(np.int64), removed, [parse_goal("review_share<=0.5")])
    return OutOfFold(probability, measure(probability, removed, np.arange(len(removed)) % 2), policy)


def some_rows(body: str = "you read it", comments: int = 40) -> list[LabelledComment]:
    return [row(f"{body} {n}", n % 4 < 2, WEDNESDAY_US + n * HOUR_US) for n in range(comments)]


class Seen(HTMLParser):
    """The tags of a page and the resources they request."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: a picture takes a second, and these tests are about the texts beside it."""
    monkeypatch.setattr(pictures, "picture", lambda draw, height=0.0: b"")


def test_hours_and_weekdays_are_utc_and_only_of_comments_whose_time_is_known() -> None:
    rows = [
        row("a b", True, WEDNESDAY_US),
        row("c d", False, WEDNESDAY_US + HOUR_US - 1),
        row("e f", True, WEDNESDAY_US + 25 * HOUR_US),
        row("g h", True, WEDNESDAY_US + 5 * HOUR_US, is_time_known=False),
    ]
    found = explored(rows)
    assert found.times == 3
    assert found.by_hour[:2] == (Rate("00", 2, 1), Rate("01", 1, 1))
    assert sum(rate.comments for rate in found.by_hour) == 3
    days = {rate.group: (rate.comments, rate.removed) for rate in found.by_weekday if rate.comments}
    assert days == {"Wednesday": (2, 1), "Thursday": (1, 1)}
    assert (found.first_us, found.last_us) == (WEDNESDAY_US, WEDNESDAY_US + 25 * HOUR_US)


def test_groups_by_length_contain_every_comment_once_and_none_is_empty() -> None:
    lengths = np.array([5] * 50 + list(range(6, 56)))
    removed = lengths == 5
    rates = rates_by_length(lengths, removed)
    assert rates[0] == Rate("5", 50, 50)
    assert rates[-1].group == "47–55"
    assert sum(rate.comments for rate in rates) == 100
    assert all(rate.comments for rate in rates)
    assert rates_by_length(np.zeros(7, np.int64), np.zeros(7, bool)) == (Rate("0", 7, 0),)
    assert rates[0].share == wilson(50, 50)


def test_duplicates_are_counted_without_case_and_white_space() -> None:
    texts = ["Same  thing", "same thing ", "SAME THING", "twice", "twice", "once"]
    found = find_duplicates(texts, np.array([True, False, True, True, True, False]))
    assert (found.bodies, found.most, found.contradicting) == (2, 3, 1)
    assert found.repeated == Rate("more than once", 5, 4)
    assert found.once == Rate("once", 1, 0)


def test_log_odds_by_hand() -> None:
    here, there = np.array([30, 70]), np.array([10, 90])
    z = log_odds_z(here, there)
    # 1,000 tokens of prior, a fifth of them the first word: 230 of 1,100 against 210 of 1,100.
    ratio = math.log(230 / 870) - math.log(210 / 890)
    assert z[0] == pytest.approx(ratio / math.sqrt(1 / 230 + 1 / 210))
    assert z[1] < 0
    assert log_odds_z(np.array([5]), np.array([0])).tolist() == [pytest.approx(z_alone())]
    assert log_odds_z(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []


def z_alone() -> float:
    return (math.log(1005 / 0.5) - math.log(1000 / 0.5)) / math.sqrt(1 / 1005 + 1 / 1000)


def test_a_word_of_few_comments_is_not_shown_even_if_repeated() -> None:
    texts = [f"common w{n}" for n in range(LEAST_COMMENTS)]
    texts += ["nearly"] * 100 + [f"nearly x{n}" for n in range(LEAST_COMMENTS - 2)]
    removed = np.arange(len(texts)) < 4
    found = count_tokens(texts, removed, LEXICON, nothing)
    assert [token.token for token in found.telling] == ["common"]
    assert found.telling[0].comments == LEAST_COMMENTS
    assert found.telling[0].removed == 4
    assert found.frequency.tolist() == [10, 9, *[1] * 18]
    assert found.once == 18


def test_strongest_come_first_and_only_on_their_side() -> None:
    rows = some_rows("you read it")
    tokens = explored(rows).tokens
    assert {token.token for token in tokens.telling} == {"you", "read", "it"}
    by_weight = tokens.strongest(lambda each: each.weight, 5)
    assert [(token.token, token.weight) for token in by_weight] == [("you", 1.0)]
    assert len(tokens.strongest(lambda each: -each.weight, 1)) == 1


@pytest.fixture(scope="module")
def hostile_page() -> str:
    """A page with its pictures, of comments with markup; drawing takes seconds."""
    rows = some_rows(f"{HOSTILE} $\\frac{{1}}{{ \u202e\x07 🙂 <b>bold</b>")
    found = explored(rows)
    return render(found, judged(found), HOSTILE, [row.comment.body for row in rows], examples=3)


@pytest.mark.budget(20)
@pytest.mark.slow
def test_comments_do_not_become_markup_and_nothing_is_loaded(hostile_page: str) -> None:
    seen = Seen(hostile_page)
    assert {tag for tag, _ in seen.tags}.isdisjoint({"script", "b", "link", "iframe", "object", "form"})
    assert all(str(image["src"]).startswith("data:image/png;base64,") for image in seen.of("img"))
    assert all(str(link["href"]).startswith("#") for link in seen.of("a"))
    assert not any(name.startswith("on") for _, attributes in seen.tags for name in attributes)
    assert "default-src 'none'" in hostile_page
    assert str(escape(HOSTILE)) in hostile_page
    assert "\u202e" not in hostile_page
    assert "\x07" not in hostile_page


@pytest.mark.usefixtures("no_pictures")
def test_no_text_of_a_comment_is_shown_unless_asked_for() -> None:
    rows = [row(f"secret{n} word{n % 4}", n % 4 < 2) for n in range(40)]
    found = explored(rows)
    texts = [row.comment.body for row in rows]
    assert "secret" not in render(found, judged(found), "x", texts)
    shown = render(found, judged(found), "x", texts, examples=2)
    assert shown.count("<blockquote>") == 8
    assert shown.count("secret") == 8
    # The highest score of a removed comment is the last one's, and the lowest of a kept one the first one's.
    assert shown.index("secret37") < shown.index("secret0 ") < shown.index("secret39") < shown.index("secret2 ")


@pytest.mark.usefixtures("no_pictures")
def test_long_examples_are_cut() -> None:
    rows = [row(f"{n} " + "x" * 5_000, n % 4 < 2) for n in range(40)]
    found = explored(rows)
    page = render(found, judged(found), "x", [row.comment.body for row in rows], examples=1)
    assert "x" * 590 in page
    assert "x" * 601 not in page


@pytest.mark.slow
def test_every_picture_has_a_text_alternative_and_is_a_png(hostile_page: str) -> None:
    images = Seen(hostile_page).of("img")
    assert len(images) == 11
    assert len({image["alt"] for image in images}) == 11
    assert all(len(str(image["alt"])) > 20 for image in images)
    for image in images:
        drawn = matplotlib.image.imread(BytesIO(b64decode(str(image["src"]).partition(",")[2])))
        assert drawn.shape[1] == 800
        assert drawn[..., :3].std() > 0.02


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    ("known", "said"), [(40, ""), (4, "36 comments without a time are left out"), (0, "have no times")]
)
def test_missing_times_are_mentioned(known: int, said: str) -> None:
    found = explored([row(f"you {n}", n % 4 < 2, is_time_known=n < known) for n in range(40)])
    page = render(found, judged(found), "x")
    sentences = ("comments without a time are left out", "have no times")
    assert [sentence in page for sentence in sentences] == [sentence in said for sentence in sentences]
    assert said in page


@pytest.mark.usefixtures("no_pictures")
def test_comments_without_words_make_a_page() -> None:
    rows = [row(" " * n, n % 4 < 2) for n in range(40)]
    found = explored(rows)
    assert found.tokens.telling == ()
    assert "There are no words." in render(found, judged(found), "x")


@pytest.mark.usefixtures("no_pictures")
def test_leakage_communities_and_clouds_are_on_the_page_and_escaped() -> None:
    rows = []
    for n in range(200):
        removed = n % 4 < 2
        body = f"{'<b>you' if removed else 'we'} read {n} {'[edited]' if removed else 'so'}"
        made = row(body, removed, WEDNESDAY_US + n * HOUR_US)
        rows.append(replace(made, comment=replace(made.comment, community=HOSTILE if removed else "science")))
    found = explored(rows)
    page = render(found, judged(found), "x")
    assert page.count('<p class="notice">') == len(found.leaks.warnings()) >= 3
    assert "Of 100 comments that contain an edit mark such as [edited], 100 are removed (100%" in page
    assert "The community alone predicts the label with ROC AUC 1.00." in page
    seen = Seen(page)
    assert [svg["class"] for svg in seen.of("svg")] == ["cloud removed", "cloud kept"]
    words = {name for name, _ in seen.tags}
    assert "b" not in words
    assert "script" not in words
    assert str(escape(HOSTILE[:20])) in page
    assert {each["text-anchor"] for each in seen.of("text")} == {"middle"}
    assert ">edited</text>" in page
    assert ">we</text>" in page
    assert "suspected" not in page
    assert "The model doubts no label." in page


@pytest.mark.usefixtures("no_pictures")
def test_doubted_labels_are_counted() -> None:
    found = explored(some_rows())
    results = judged(found)
    wrong = np.where(np.arange(40) == 0, 0.01, results.probability)
    page = render(found, replace(results, probability=wrong), "x")
    assert "doubts 0 of 20 kept comments and 1 of 20 removed ones" in page
