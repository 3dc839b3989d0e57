"""Constants of the kernel. A change to any of them needs a new ``KERNEL_VERSION``.

A model is refused under another kernel version than that of its training: the same text, model version and kernel
version give the same ``score_ppm`` everywhere. ``tests/parity/golden_kernel.json`` contains scores of fixed texts.
"""

from __future__ import annotations

KERNEL_VERSION = "1"

# Buckets of the hashed word 1-grams and 2-grams, and of the character n-grams within a token.
WORD_BUCKETS = 2**19
GRAM_BUCKETS = 2**17
GRAM_SIZES = (2, 3, 4, 5)
GRAM_TOKEN_CHARACTERS = 40

# spaCy strips punctuation one character at a time and reads the rest again: quadratic in the length of a chunk. Chunks
# up to SHORT_CHUNK stay whole; longer ones are cut, into shorter pieces if they have much punctuation.
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
