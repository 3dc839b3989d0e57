"""Golden rows: fixed texts with their scores, saved with a model and compared when it is opened."""

from __future__ import annotations

from dataclasses import dataclass

from moderation.scoring.kernel import Kernel

GOLDEN_TEXTS = (
    "",
    "   \n\t ",
    "The sample was small (n = 24), but the effect held in 3 of 4 replications.",
    "you are an IDIOT!!! go away",
    "Read more at https://example.org/a/b?c=1 or www.example.com.",
    "I don't think that's right -- my doctor said otherwise...",
    "[this study](http://example.org/x_y) says &quot;no&quot; &amp; so do I",
    "free m0ney c.l.i.c.k here >>> bit.example/xyz <<<",
    "Can't, won't, shouldn't've. They're theirs; it's its.",
    "Ünïcödé naïve café — “quotes” … ¿qué?",
    "مرحبا بالعالم שלום עולם",
    "日本語のコメントです。中文评论。",
    "👍🏽👨‍👩‍👧 lol 😂😂😂",
    "e\u0301 combining, zero\u200bwidth, non\u00a0breaking",
    "(((((((((([[[[[!!!!!?????;;;;;",
    "a" * 3_000,
    "$1,000.50 on 12/31/2017 at 10:30am, 5km up, 3rd place, 50%",
    "i i i i me me my you you your",
    "lower UPPER Mixed cASE\r\nnew line\rold line\n\nparagraph",
    "e.g. i.e. Dr. Smith, U.S. a.m. Ph.D. vs. etc.",
)


@dataclass(frozen=True, slots=True)
class GoldenRow:
    """One text and its score in parts per million."""

    text: str
    score_ppm: int


def golden_rows(kernel: Kernel) -> list[GoldenRow]:
    """Score the golden texts."""
    return [
        GoldenRow(text, int(score)) for text, score in zip(GOLDEN_TEXTS, kernel.score_many(GOLDEN_TEXTS), strict=True)
    ]


def first_difference(kernel: Kernel, rows: list[GoldenRow]) -> tuple[GoldenRow, int] | None:
    """Return the first saved row with another score on this machine, and that score; None if all scores are equal."""
    for row, score in zip(rows, kernel.score_many([row.text for row in rows]), strict=True):
        if row.score_ppm != score:
            return row, int(score)
    return None
