"""Comparison of challenger and production: figures equal counts by hand, and the report escapes comments."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from PIL import Image

from batch.challenge.comparison import EXCERPT_CHARACTERS, ModelScores, compare, most_different
from batch.challenge.markdown import render
from batch.challenge.plot import draw
from batch.challenge.run import fields_of
from batch.labelled_examples import LabelledExamples
from batch.markdown import code
from batch.run_interval import Interval
from moderation.contracts import Comment, Verdict
from moderation.policy import Policy

POLICY, STRICTER = Policy(400_000, 900_000, ()), Policy(300_000, 700_000, ())
HOSTILE = (
    "![x](http://spam.example/a.png)",
    "[click](javascript:alert(1)) www.spam.example http://spam.example me@spam.example",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "`` ` ``` broken out </code> **bold** | cell | cell",
    "line\n\n# heading\n\n| a | b |\n|---|---|\n\n- list\r\n> quote",
    "{{ 7 * 7 }} {% raw %} ${x}",
    "\u202ereversed\u2028new line\x00\x07",
    "\\",
    "   ",
    "",
)


def comments(count: int, communities: int = 3) -> list[Comment]:
    return [Comment(f"c{n}", f"s{n % communities}", f"text {n}", 1_000 + n) for n in range(count)]


def scored(scores: list[int], policy: Policy = POLICY, version: str = "2") -> ModelScores:
    return ModelScores(version, policy, np.array(scores, np.int64))


@pytest.fixture(scope="module")
def drawn() -> tuple[list[Comment], ModelScores, ModelScores]:
    dice = np.random.default_rng(3)
    made = comments(997, communities=7)
    base = dice.integers(0, 1_000_001, 997)
    moved = np.clip(base + dice.normal(20_000, 80_000, 997).astype(np.int64), 0, 1_000_000)
    return made, ModelScores("2", STRICTER, moved), ModelScores("1", POLICY, base)


def test_figures_equal_counts_by_hand(drawn: tuple[list[Comment], ModelScores, ModelScores]) -> None:
    made, challenger, production = drawn
    found = compare(made, challenger, production, days=0.5, stands_for=3.0)
    ours = [STRICTER.verdict(int(score)) for score in challenger.scores_ppm]
    theirs = [POLICY.verdict(int(score)) for score in production.scores_ppm]
    pairs = Counter(zip(theirs, ours, strict=True))
    assert found.transitions == {was: {is_: pairs[was, is_] for is_ in Verdict} for was in Verdict}
    groups = {"": list(range(997)), **{f"s{k}": [n for n in range(997) if n % 7 == k] for k in range(7)}}
    for name, members in groups.items():
        group = found.communities[name] if name else found.overall
        changed = sum(ours[n] != theirs[n] for n in members)
        assert (group.comments, group.changed) == (len(members), changed)
        assert group.disagreement.value == pytest.approx(changed / len(members))
        assert group.disagreement.low < group.disagreement.value < group.disagreement.high
        shifts = [int(challenger.scores_ppm[n]) - int(production.scores_ppm[n]) for n in members]
        assert group.score_shift_ppm == pytest.approx(sum(shifts) / len(shifts))
        for workload, verdicts in ((group.challenger, ours), (group.production, theirs)):
            said = Counter(verdicts[n] for n in members)
            assert workload.reviews_per_day == pytest.approx(said[Verdict.REVIEW] * 3.0 / 0.5)
            assert workload.removals_per_day == pytest.approx(said[Verdict.REMOVE] * 3.0 / 0.5)
    sizes = [group.comments for group in found.communities.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == 997


def test_the_interval_is_wilsons() -> None:
    # Ten of a hundred: z = 1.96 gives 0.0552 to 0.1744 (Newcombe, Statistics in Medicine 17, 1998, method 3).
    found = compare(comments(100), scored([950_000] * 10 + [0] * 90), scored([0] * 100), days=1)
    interval = found.overall.disagreement
    assert (interval.value, round(interval.low, 4), round(interval.high, 4)) == (0.1, 0.0552, 0.1744)


def test_a_model_compared_with_itself_has_no_differences() -> None:
    same = [0, 500_000, 950_000]
    found = compare(comments(3), scored(same), scored(same, version="1"), days=1)
    assert (found.overall.changed, found.overall.score_shift_ppm) == (0, 0.0)
    assert found.overall.disagreement.low == pytest.approx(0)
    assert found.overall.challenger == found.overall.production


def test_verdicts_two_steps_apart_come_first_then_larger_differences_of_scores() -> None:
    production = scored([0, 399_999, 0, 100_000, 950_000], version="1")
    challenger = scored([950_000, 400_000, 390_000, 100_000, 0])
    found = most_different(comments(5), challenger, production, most=4)
    assert [each.comment_id for each in found] == ["c0", "c4", "c1", "c2"]
    assert (found[0].production, found[0].challenger) == (Verdict.ALLOW, Verdict.REMOVE)
    assert (found[1].production_ppm, found[1].challenger_ppm) == (950_000, 0)


def test_copies_of_one_text_are_one_difference_per_community_with_a_cut_excerpt() -> None:
    flood = [Comment(f"f{n}", "ab"[n % 2], "spam " * 100, n) for n in range(60)]
    lone = [Comment("lone", "a", "hm", 99)]
    scores = [950_000] * 60 + [500_000]
    found = most_different(flood + lone, scored(scores), scored([0] * 61), most=50)
    assert [(each.comment_id, each.community, each.copies) for each in found] == [
        ("f0", "a", 30),
        ("f1", "b", 30),
        ("lone", "a", 1),
    ]
    assert found[0].excerpt == ("spam " * 100)[:EXCERPT_CHARACTERS]


def page_of(made: list[Comment], most: int = 50) -> str:
    challenger, production = scored([950_000] * len(made)), scored([0] * len(made), version="1")
    found = LabelledExamples([], "d" * 64, {"records": len(made)})
    comparison = compare(made, challenger, production, days=1)
    return render(fields_of(comparison, challenger, production, Interval(0, 2_000), found), most_different=most)


def tokens(page: str) -> list[Token]:
    # What Airflow's page takes for markup, and more: tables, raw HTML, bare addresses as links.
    parsed = MarkdownIt("gfm-like", {"html": True}).parse(page)
    return [token for block in parsed for token in (block, *(block.children or []))]


def test_text_of_commenters_is_escaped_in_the_report() -> None:
    hostile = [Comment(text or "-", text or "-", text, n) for n, text in enumerate(HOSTILE)]
    found = tokens(page_of(hostile))
    plain = tokens(page_of([Comment(f"c{n}", f"s{n}", f"t{n}", n) for n in range(len(HOSTILE))]))
    assert Counter(token.type for token in found) == Counter(token.type for token in plain)
    assert not {"html_inline", "html_block", "image", "link_open", "heading_open"} & {token.type for token in found}
    shown = {token.content for token in found if token.type == "code_inline"}
    assert "![x](http://spam.example/a.png)" in shown
    assert "reversed new line" in shown


def test_code_puts_any_text_on_one_line() -> None:
    for text in HOSTILE:
        (block,) = [token for token in MarkdownIt("gfm-like").parse(code(text)) if token.children]
        assert [token.type for token in block.children or []] == ["code_inline"]


def test_the_report_shows_the_stated_number_of_comments_and_communities() -> None:
    page = page_of([Comment(f"c{n}", f"s{n}", f"text {n}", n) for n in range(30)], most=10)
    assert "The 10 most different of 30 kept" in page
    assert page.count("allow → **remove**") == 10
    assert "10 smaller communities" in page
    assert "**100.00 % (88.65 to 100.00)**" in page
    assert "1970-01-01 00:00 UTC" in page


def test_a_sample_is_reported_as_a_sample() -> None:
    challenger, production = scored([950_000] * 3), scored([0] * 3, version="1")
    comparison = compare(comments(3), challenger, production, days=1, stands_for=4 / 3)
    fields = fields_of(
        comparison, challenger, production, Interval(0, 2_000), LabelledExamples([], "d" * 64, {"records": 4})
    )
    assert ", a sample of 4." in render(fields, most_different=0)


def test_an_unreachable_threshold_is_reported_as_never() -> None:
    never, production = scored([0] * 3, Policy(500_000, 1_000_001, ())), scored([0] * 3, version="1")
    found = LabelledExamples([], "d" * 64, {"records": 3})
    fields = fields_of(compare(comments(3), never, production, days=1), never, production, Interval(0, 9), found)
    assert "| challenger (version 2) | 0.0 | 0.0 | 500,000 ppm | never |" in render(fields, most_different=0)


@pytest.mark.slow
def test_equal_scores_give_an_equal_plot(drawn: tuple[list[Comment], ModelScores, ModelScores]) -> None:
    _, challenger, production = drawn
    first = draw(challenger, production)
    assert draw(challenger, production) == first
    assert Image.open(io.BytesIO(first)).size == (1_210, 550)
    assert draw(production, challenger) != first
    never = ModelScores("3", Policy(1_000_001, 1_000_001, ()), challenger.scores_ppm)
    assert draw(never, production) not in (first, b"")
