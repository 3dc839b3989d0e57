"""Guess the languages of texts: by their alphabet, and by the frequent words of languages that share one."""

from __future__ import annotations

import re
import runpy
from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

LANGUAGES = {
    **{"en": "English", "de": "German", "fr": "French", "es": "Spanish", "pt": "Portuguese", "it": "Italian"},
    **{"nl": "Dutch", "sv": "Swedish", "da": "Danish", "fi": "Finnish", "pl": "Polish", "cs": "Czech"},
    **{"hu": "Hungarian", "ro": "Romanian", "tr": "Turkish", "id": "Indonesian", "ru": "Russian", "uk": "Ukrainian"},
    **{"el": "Greek", "ar": "Arabic", "fa": "Persian", "he": "Hebrew", "hi": "Hindi"},
}
"""Languages with lists of frequent words, by their ISO 639-1 codes."""
_ALPHABETS = {
    "Japanese": re.compile("[\u3040-\u30ff]"),
    "Korean": re.compile("[\uac00-\ud7af]"),
    "Chinese": re.compile("[\u4e00-\u9fff]"),  # after Japanese, which has these characters, too
    "Thai": re.compile("[\u0e00-\u0e7f]"),
}
"""Characters that show a language without its words."""
_WORD = re.compile(r"[^\W\d_]+")
_LEAST_WORDS = 2
_LEAST_SHARE = 0.1


def guess_languages(texts: Iterable[str]) -> dict[str, float]:
    """Return the languages of texts, the most frequent first.

    Args:
        texts: a text shows a language if it has at least two of its frequent words, and more than of any other.

    Returns:
        By the name of each language, its share of the texts that show one, 0 to 1; empty if none does.
    """
    found: Counter[str] = Counter()
    frequent = {name: _frequent_words(code) for code, name in LANGUAGES.items()}
    for text in texts:
        language = _of_alphabet(text) or _of_words(set(_WORD.findall(text.casefold())), frequent)
        if language is not None:
            found[language] += 1
    return {name: count / found.total() for name, count in found.most_common()}


def language_text(shares: dict[str, float]) -> str:
    """Return languages with at least a tenth of the texts as text, e.g. ``English 90 %, German 10 %``."""
    shown = [f"{name} {share:.0%}".replace("%", " %") for name, share in shares.items() if share >= _LEAST_SHARE]
    return ", ".join(shown) or "not clear"


def _frequent_words(code: str) -> frozenset[str]:
    # The lists of spaCy are modules without imports: running one takes a millisecond, importing spaCy two seconds.
    spacy = find_spec("spacy")
    if spacy is None or spacy.origin is None:
        return frozenset()
    words = runpy.run_path(str(Path(spacy.origin).parent / "lang" / code / "stop_words.py"))["STOP_WORDS"]
    return frozenset(word.casefold() for word in words)


def _of_alphabet(text: str) -> str | None:
    letters = sum(map(str.isalpha, text))
    return next((name for name, each in _ALPHABETS.items() if len(each.findall(text)) > 0.3 * letters > 0), None)


def _of_words(words: set[str], frequent: dict[str, frozenset[str]]) -> str | None:
    (first, most), (_, second) = Counter({name: len(words & each) for name, each in frequent.items()}).most_common(2)
    return first if most >= _LEAST_WORDS and most > second else None
