"""Write the text of a comment of a latent kind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from moderation.datasets.synthetic.community import Community
from moderation.datasets.synthetic.disguises import mistyped
from moderation.datasets.synthetic.kinds import BAD_KINDS, Kind
from moderation.datasets.synthetic.novelties import Novelties
from moderation.datasets.synthetic.phrasebook import Phrasebook

_SHORT = 0.09
_MOST_SENTENCES = 18
_EDGY = 0.04
# Share of comments whose kind the text does not show, e.g. because it depends on context or pictures.
_HIDDEN = 0.03
_LOUD_KINDS = (*BAD_KINDS, Kind.HEATED)


@dataclass(frozen=True, slots=True)
class _Recipe:
    """Sentences of a comment: one of the group, and mean numbers of further ones and of filler."""

    group: str
    more: float
    filler: float


_RECIPES: dict[Kind, _Recipe] = {
    Kind.ORDINARY: _Recipe("statements", 0.0, 3.6),
    Kind.QUESTION: _Recipe("questions", 0.5, 1.6),
    Kind.JOKE: _Recipe("joke", 0.3, 1.2),
    Kind.ANECDOTE: _Recipe("anecdote", 1.5, 1.7),
    Kind.HEATED: _Recipe("heated", 0.8, 1.8),
    Kind.INSULT: _Recipe("insult", 0.8, 1.6),
    Kind.SPAM: _Recipe("spam", 1.0, 0.8),
    Kind.OFF_TOPIC: _Recipe("off_topic", 1.4, 1.0),
}


class Writer:
    """Writes comments.

    Args:
        rng: random stream.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._slots = Novelties(rng).slots()
        self._books: dict[tuple[str, bool], Phrasebook] = {}

    def body(self, kind: Kind, community: Community, drifted: bool) -> str:
        """Write a new comment.

        Args:
            kind: latent kind.
            community: community of the comment.
            drifted: True after the vocabulary drift.

        Returns:
            1 to a few thousand characters, 230 on average.
        """
        book = self._book(community, drifted)
        shown_kind = kind if self._rng.random() >= _HIDDEN else Kind.ORDINARY
        if shown_kind is Kind.ORDINARY and self._rng.random() < _SHORT:
            return book.sentence("short")
        return self._textured(self._sentences(_RECIPES[shown_kind], book), kind)

    def edited(self, body: str, community: Community, drifted: bool) -> str:
        """Write a later version of a comment, with a sentence added at its end."""
        book = self._book(community, drifted)
        return f"{body}\n\n{book.sentence('edits' if self._rng.random() < 0.8 else 'statements')}"

    def raid_texts(self, community: Community, drifted: bool) -> tuple[str, ...]:
        """Write the spam texts that a raid repeats."""
        book = self._book(community, drifted)
        return tuple(" ".join(book.sentences(("spam", "spam"))) for _ in range(3))

    def raid_body(self, texts: tuple[str, ...]) -> str:
        """Write a comment of a raid: one of its texts with a different tail, so that digests differ."""
        tail = f"{self._rng.getrandbits(20):05x}"
        return f"{texts[int(self._rng.random() * len(texts))]}{'!' * int(self._rng.random() * 4)} #{tail}"

    def _book(self, community: Community, drifted: bool) -> Phrasebook:
        key = (community.name, drifted)
        if key not in self._books:
            self._books[key] = Phrasebook(community, drifted, self._slots, self._rng)
        return self._books[key]

    def _sentences(self, recipe: _Recipe, book: Phrasebook) -> list[str]:
        random = self._rng.random
        telling = [recipe.group] * (1 + self._geometric(recipe.more))
        filler = ["edgy" if random() < _EDGY else "statements" for _ in range(self._geometric(recipe.filler))]
        groups = telling + filler if random() < 0.5 else filler + telling
        return book.sentences(groups[:_MOST_SENTENCES])

    def _geometric(self, mean: float) -> int:
        # 1 - U is in (0, 1]: its logarithm is finite.
        return int(math.log(1 - self._rng.random()) / math.log(mean / (1 + mean))) if mean else 0

    def _textured(self, sentences: list[str], kind: Kind) -> str:
        random = self._rng.random
        if random() < (0.12 if kind in _LOUD_KINDS else 0.02):
            index = int(random() * len(sentences))
            sentences[index] = sentences[index].upper()
        draw = random()
        text = ("\n\n" if draw < 0.08 else "\n" if draw < 0.11 else " ").join(sentences)
        if random() < 0.12:
            text = text.lower()
        while random() < 0.25:
            text = mistyped(text, self._rng)
        draw = random()
        if draw < 0.15:
            text = text.rstrip(".!?")
        elif draw < 0.20:
            text = text.rstrip(".") + "!" * (1 + int(random() * 4))
        elif draw < 0.22:
            text = text.rstrip(".") + "..."
        if random() < 0.01:
            text = text.replace(" and ", " &amp; ")
        # Trimming may have left an empty text.
        return text or "."
