"""Random chunks that mix all parts of spaCy's English rules: affixes, infixes, special cases, URLs, numbers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_MARKS = "!?.,;:'\")([]{}<>_#*&$%+-=/@^~|`\\"
_UNUSUAL = "…—–°²µ€£¥§¿¡«»“”‘’。！？，（）「」￥😀🎉é中ßİ\u200d\u0301﷼्か한кмтб٪"
_AFFIXES = ("km", "km/h", "US$", "C$", "A$", "'s", "’S", "°C.", "GB", "%", "…", "……", "..", ".......")
_URL_PARTS = (
    *("http://", "https://", "ftp+x://", "www.", "user@", "a.example", ".com", ":8080", "/x?y"),
    *("10.0.0.1", "192.168.1.1", "8.8.8.8", "//", "@", "."),
)


def random_chunks(seed: int, special_cases: Sequence[str], most_characters: int) -> Iterator[str]:
    """Yield non-empty chunks without white space, without end.

    Args:
        seed: the same seed gives the same chunks.
        special_cases: strings with a tokenizer rule of their own.
        most_characters: maximum length of a chunk.
    """
    choose = random.Random(seed)
    usable = [case for case in special_cases if len(case.split()) == 1]
    makers = (
        lambda: choose.choice(usable),
        lambda: choose.choice(_MARKS),
        lambda: choose.choice(_MARKS) * choose.randint(1, 8),
        lambda: "".join(choose.choices("abcXYZ019", k=choose.randint(1, 6))),
        lambda: choose.choice(_URL_PARTS),
        lambda: choose.choice(_UNUSUAL),
        lambda: choose.choice(_AFFIXES),
        lambda: str(choose.randint(0, 99_999)),
    )
    while True:
        parts = choose.randint(1, choose.choice((2, 4, 8, 14)))
        chunk = "".join(choose.choice(makers)() for _ in range(parts))[:most_characters]
        if chunk.split() == [chunk]:
            yield chunk
