"""The numbers and words that define the kernel. Changing any of them is a new ``KERNEL_VERSION``.

A model is fitted under one version and refused under another: the same text, model version and kernel version give
the same ``score_ppm`` everywhere. ``tests/parity/golden_kernel.json`` holds what this version makes of fixed texts.
"""

from __future__ import annotations

KERNEL_VERSION = "1"

# Buckets of the hashed word 1-grams and 2-grams, and of the character n-grams within a token.
WORD_BUCKETS = 2**19
GRAM_BUCKETS = 2**17
GRAM_SIZES = (2, 3, 4, 5)
GRAM_TOKEN_CHARACTERS = 40

# spaCy peels a token's punctuation one character at a time, re-reading the rest: quadratic in the length of a chunk.
# Chunks up to SHORT_CHUNK are left whole; longer ones are cut, finely where punctuation would be peeled for long.
SHORT_CHUNK = 64
LONG_PIECE = 1_024
PUNCTUATED_PIECE = 32
PUNCTUATED_SHARE = 0.3

PRONOUNS = frozenset(
    "i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it its itself "
    "we us our ours ourselves they them their theirs themselves".split()
)
FIRST_PERSON = frozenset(("i", "me", "my"))
SECOND_PERSON = frozenset(("you", "your", "u"))
URL, NUMBER, PRONOUN = "<url>", "<number>", "<pronoun>"
