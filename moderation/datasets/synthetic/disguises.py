"""Obfuscate words against filters, and introduce typing errors."""

from __future__ import annotations

from random import Random

_LEET = str.maketrans("oiesa", "01354")
_VOWELS = frozenset("aeiou")
# Cyrillic letters that look Latin, the newer trick; as escapes, or no reader could tell.
_LOOKALIKE = str.maketrans("aeopcx", "\u0430\u0435\u043e\u0440\u0441\u0445")


def disguised(word: str, drifted: bool, rng: Random) -> str:
    """Obfuscate a word: 1d10t, st*pid, m o r o n, i.d.i.o.t, stuuupid; after the drift mostly look-alike letters.

    Args:
        word: lower-case words.
        drifted: True after the vocabulary drift.
        rng: random stream.
    """
    draw = rng.random()
    if drifted:
        draw = 0.9 + draw / 10 if draw < 0.6 else draw
    if draw < 0.4:
        return word.translate(_LEET)
    if draw < 0.7:
        return _starred(word)
    if draw < 0.8:
        return " ".join(word)
    if draw < 0.9:
        return _stretched(word, rng) if draw < 0.85 else ".".join(word)
    return word.translate(_LOOKALIKE)


def mistyped(text: str, rng: Random) -> str:
    """Swap, drop or double a letter at a random position; unchanged if the position is not between letters."""
    at = int(rng.random() * len(text))
    if not text[max(0, at - 1) : at + 2].isalpha() or at + 1 >= len(text):
        return text
    draw = rng.random()
    if draw < 0.4:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if draw < 0.75:
        return text[:at] + text[at + 1 :]
    return text[:at] + text[at] + text[at:]


def _starred(word: str) -> str:
    for at, letter in enumerate(word):
        if at and letter in _VOWELS:
            return f"{word[:at]}*{word[at + 1 :]}"
    return f"{word[:1]}*{word[2:]}"


def _stretched(word: str, rng: Random) -> str:
    vowels = [at for at, letter in enumerate(word) if letter in _VOWELS]
    if not vowels:
        return word
    at = vowels[int(rng.random() * len(vowels))]
    return word[:at] + word[at] * (2 + int(rng.random() * 5)) + word[at + 1 :]
