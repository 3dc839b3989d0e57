"""The phrase templates of a community at one time, and the words to fill them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from string import Formatter
from typing import TypeVar

from moderation.datasets.synthetic import drifted_words, kind_phrases, words
from moderation.datasets.synthetic.community import Community
from moderation.datasets.synthetic.disguises import disguised

Draw = Callable[[], str]
Template = tuple[str | Draw, ...]
T = TypeVar("T")
_Table = Mapping[str, Sequence[str]]

# Templates write "a(n) {insult}": the word drawn later determines the article.
_ARTICLE = re.compile(r"\b([aA])\(n\) (.)")
_VOWELS = frozenset("aeiouAEIOU")
_ATTEMPTS = 3
_DECK_SIZE = 1_024
_WORD_EXPONENT = 0.75
_PHRASE_EXPONENT = 0.4
_OWN_PHRASES = 0.55  # the others are shared by all communities
# Shares of words of a slot that are obfuscated against filters.
_DISGUISED = {"insult": 0.30, "insulting": 0.15, "offer": 0.20}
# Slots whose words are replaced completely by the drift.
_REPLACED = ("offer", "spam")


class Phrasebook:
    """Draws sentences of the groups ``statements, questions, edgy, short, edits, joke, anecdote, heated, insult, spam,
    off_topic``.

    Args:
        community: the community.
        drifted: True for the words and topics after the vocabulary drift.
        novelties: slots filled with novel words, from ``Novelties.slots``.
        rng: random stream.
    """

    def __init__(self, community: Community, drifted: bool, novelties: Mapping[str, Draw], rng: Random) -> None:
        self._rng = rng
        self._slots: dict[str, Draw] = dict(novelties)
        topics = community.drifted_topics + community.topics if drifted else community.topics
        slots = _table(words.SLOTS | kind_phrases.SLOTS, drifted_words.SLOTS, drifted)
        own_slots = {"topic": topics, "act": community.acts, "who": community.people, "place": community.places}
        for name, items in {**slots, **own_slots}.items():
            draw = self._words(items)
            self._slots[name] = self._disguised(draw, _DISGUISED[name], drifted) if name in _DISGUISED else draw
        phrases = _table(words.PHRASES | kind_phrases.PHRASES, drifted_words.PHRASES, drifted)
        self._groups = {name: self._phrases(templates) for name, templates in phrases.items()}
        for name, own in (
            ("statements", community.statements),
            ("questions", community.questions),
            ("anecdote", community.anecdotes),
        ):
            self._groups[name] = self._mixed(own, phrases[name])

    def sentence(self, group: str) -> str:
        """Draw a sentence of a group, filled with words."""
        return self.sentences((group,))[0]

    def sentences(self, groups: Sequence[str]) -> list[str]:
        """Draw one sentence for each group, in order; phrases rarely repeat."""
        chosen: list[Template] = []
        for group in groups:
            template = self._groups[group]()
            for _ in range(_ATTEMPTS):
                if template not in chosen:
                    break
                template = self._groups[group]()
            chosen.append(template)
        return [_filled(template) for template in chosen]

    def _words(self, items: Sequence[str]) -> Draw:
        deck = zipf_deck(items, _WORD_EXPONENT)
        size, random = len(deck), self._rng.random
        return lambda: deck[int(random() * size)]

    def _disguised(self, draw: Draw, share: float, drifted: bool) -> Draw:
        rng = self._rng

        def disguise() -> str:
            word = draw()
            return disguised(word, drifted, rng) if rng.random() < share else word

        return disguise

    def _phrases(self, templates: Sequence[str]) -> Callable[[], Template]:
        deck = zipf_deck([self._compiled(template) for template in templates], _PHRASE_EXPONENT)
        size, random = len(deck), self._rng.random
        return lambda: deck[int(random() * size)]

    def _mixed(self, own: Sequence[str], shared: Sequence[str]) -> Callable[[], Template]:
        own_draw, shared_draw, random = self._phrases(own), self._phrases(shared), self._rng.random
        return lambda: own_draw() if random() < _OWN_PHRASES else shared_draw()

    def _compiled(self, template: str) -> Template:
        pieces: list[str | Draw] = []
        for literal, slot, _, _ in Formatter().parse(template):
            if literal:
                pieces.append(literal)
            if slot:
                pieces.append(self._slots[slot])
        return tuple(pieces)


def _table(old: _Table, new: _Table, drifted: bool) -> _Table:
    if not drifted:
        return old
    # New words come first and are frequent; old ones become rare.
    return {name: (*new.get(name, ()), *(() if name in _REPLACED else items)) for name, items in old.items()}


def _filled(template: Template) -> str:
    text = "".join([piece if isinstance(piece, str) else piece() for piece in template])
    return _ARTICLE.sub(_with_article, text) if "(n)" in text else text


def _with_article(match: re.Match[str]) -> str:
    return f"{match[1]}{'n' if match[2] in _VOWELS else ''} {match[2]}"


def zipf_deck(items: Sequence[T], exponent: float) -> tuple[T, ...]:
    """Build a deck in which the item of rank r occurs with weight 1/(r + 2)^exponent; drawing costs O(1)."""
    weights = [(rank + 2) ** -exponent for rank in range(len(items))]
    scale = _DECK_SIZE / sum(weights)
    deck: list[T] = []
    for item, weight in zip(items, weights, strict=True):
        deck.extend([item] * max(1, round(weight * scale)))
    return tuple(deck)
