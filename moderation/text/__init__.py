"""Text processing of the kernel: cleaning, tokens and features. See ``KERNEL_VERSION``."""

from moderation.text.kernel_constants import KERNEL_VERSION
from moderation.text.lexicon import Encoded, Lexicon

__all__ = ["KERNEL_VERSION", "Encoded", "Lexicon"]
