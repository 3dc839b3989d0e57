"""The texts that a model was trained on, as digests, so that a later comparison can leave them out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moderation.errors import ModelRefused

FILE = "training_texts.bin"
"""Artifact of a version's run: the digests, see :meth:`SeenTexts.to_bytes`."""
_STORED = np.dtype("<u8")


@dataclass(frozen=True, slots=True)
class SeenTexts:
    """Digests of distinct normalised texts.

    Attributes:
        digests: the first eight bytes of each SHA-256, as integers; sorted, each once, shape (texts,).
    """

    digests: NDArray[np.uint64]

    @classmethod
    def of(cls, texts: Iterable[str]) -> SeenTexts:
        """Compute the digests of texts."""
        return cls(np.unique(_digests(texts)))

    def to_bytes(self) -> bytes:
        """Return the content of the artifact: the digests, eight little-endian bytes each."""
        return self.digests.astype(_STORED).tobytes()

    @classmethod
    def from_bytes(cls, content: bytes, sha256: str) -> SeenTexts:
        """Read the artifact.

        Args:
            content: of the artifact.
            sha256: its digest in the model card, hexadecimal.

        Raises:
            ModelRefused: the content does not match the digest.
        """
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ModelRefused(
                FILE, "its SHA-256 is not the one in the model card", "It was damaged or replaced: retrain the model."
            )
        return cls(np.frombuffer(content, _STORED).astype(np.uint64))

    def contain(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Return for each text whether it was seen, shape (texts,)."""
        return np.isin(_digests(texts), self.digests)


def normalised(text: str) -> str:
    """Return a text in the form in which texts are compared: without differences of case and white space."""
    return " ".join(text.casefold().split())


def _digests(texts: Iterable[str]) -> NDArray[np.uint64]:
    first_bytes = b"".join(
        hashlib.sha256(normalised(text).encode(errors="surrogatepass")).digest()[:8] for text in texts
    )
    return np.frombuffer(first_bytes, _STORED).astype(np.uint64)
