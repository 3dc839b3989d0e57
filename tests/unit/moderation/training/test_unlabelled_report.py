"""The page about comments without labels: figures of all comments, no texts, nothing loaded."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from moderation.contracts import Comment
from moderation.datasets.history import LabelledComment
from moderation.text import Lexicon
from moderation.training.corpus_report import pictures
from moderation.training.corpus_report.unlabelled import render_unlabelled

DAY_US = 86_400_000_000
MAY_1_US = 1_682_935_200_000_000


def rows(is_time_known: bool = True) -> list[LabelledComment]:
    made = []
    for n in range(60):
        body = f"Gravity <script> is the secret{n} of {'planets' if n % 2 else 'stars'}"
        comment = Comment(f"c{n}", "space" if n % 3 else "<i>science</i>", body, MAY_1_US + n % 4 * DAY_US)
        made.append(LabelledComment(comment, None, is_time_known))
    return [*made, made[0]]


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.pictures: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        if tag == "img":
            self.pictures.append(str(dict(attrs)["alt"]))


@pytest.mark.slow
def test_the_page_shows_all_comments_and_no_texts() -> None:
    page = render_unlabelled(rows(), Lexicon(), "dump.zst")
    assert (page.times, page.duplicates.bodies, page.duplicates.most) == (61, 1, 2)
    tags = Tags(page.html)
    assert len(tags.pictures) == len(set(tags.pictures)) == 4
    assert set(tags.names).isdisjoint({"script", "b", "i", "link", "iframe"})
    for text in ("&lt;i&gt;science&lt;/i&gt;", "2023-05-01", "65.6 %", ">gravity</text>", ">planets</text>"):
        assert text in page.html
    assert "secret" not in page.html
    assert ">the</text>" not in page.html  # a function word
    assert "moderation bootstrap" in page.html
    assert "moderators removed" not in page.html


def test_comments_without_times_and_frequent_words_make_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "picture", lambda draw, height=0.0: b"")
    page = render_unlabelled(rows(is_time_known=False)[:5], Lexicon(), "x")
    assert page.times == 0
    assert "The comments have no times" in page.html
    assert "No word occurs in 10 different comments." in page.html
    assert "No body occurs more than once." in page.html
