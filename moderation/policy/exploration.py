"""Exploration: a small random share of comments gets verdict ``review``, so that moderators see the model's mistakes.

Moderators do not see what the model removes, so training would learn from its own verdicts. The draw is a function of
the record id and a secret key: the batch layer recomputes it, and a commenter cannot predict it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from moderation.contracts import Verdict
from moderation.errors import ConfigurationError, ModelRefused

ALL_PPM = 1_000_000
KEY_MIN_BYTES = 32
LEAST_REMOVALS_PPM = 1_000
"""Smallest share of removals that is explored: the weight of a drawn comment in training is 1,000 at most."""
_KEY_ID_LABEL = b"moderation exploration key id 1\n"
SETTING = "MODERATION_EXPLORATION_KEY"


class Ruling(NamedTuple):
    """The decision of a policy on one comment record.

    Attributes:
        verdict: after the draw and the repairs.
        inclusion_ppm: probability that a comment with this score gets verdict ``review``, in parts per million, whether
            it was drawn or not; None if the policy does not explore.
        drawn_from: verdict that the draw replaced by ``review``; None if it replaced none.
    """

    verdict: Verdict
    inclusion_ppm: int | None = None
    drawn_from: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Exploration:
    """The exploration part of a policy.

    Attributes:
        key_id: names the key of the draw without revealing it, see :func:`key_id_of`.
        removals_ppm: share of would-be removals that get verdict ``review`` instead; 0, or from 1,000 on.
        allowed_ppm: share of comments that would be allowed and get verdict ``review`` instead.
    """

    key_id: str
    removals_ppm: int
    allowed_ppm: int

    def __post_init__(self) -> None:
        is_explored = LEAST_REMOVALS_PPM <= self.removals_ppm <= ALL_PPM
        if not (self.removals_ppm == 0 or is_explored) or not 0 <= self.allowed_ppm <= ALL_PPM:
            raise ModelRefused(
                "policy",
                f"exploration shares {self.removals_ppm}/{self.allowed_ppm} ppm: removals must be 0 or from "
                f"{LEAST_REMOVALS_PPM} to {ALL_PPM}, allowed from 0 to {ALL_PPM}",
                "Train the model again with other shares.",
            )

    def __str__(self) -> str:
        removals, allowed = self.removals_ppm / ALL_PPM, self.allowed_ppm / ALL_PPM
        return f"{removals:.2%} of removals and {allowed:.4%} of allowed comments are reviewed, key {self.key_id}"

    def shares_ppm(self, is_removal: NDArray[np.bool_], is_review: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The probabilities of verdict ``review``, in parts per million, by the verdicts of the thresholds."""
        others = np.where(is_removal, self.removals_ppm, self.allowed_ppm)
        return np.where(is_review, ALL_PPM, others).astype(np.int64)

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Exploration:
        """Read the fields of ``policy.json``.

        Raises:
            ValueError: a field is unknown or missing, or has another type.
            ModelRefused: a share is out of range.
        """
        if fields.keys() != {"key_id", "removals_ppm", "allowed_ppm"} or type(fields["key_id"]) is not str:
            raise ValueError("unknown or missing fields of the exploration")
        if type(fields["removals_ppm"]) is not int or type(fields["allowed_ppm"]) is not int:
            raise ValueError("exploration shares must be integers")
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class ExplorationShares:
    """What a training is asked to explore.

    Attributes:
        removals: share of would-be removals that are reviewed instead, in [0, 1].
        allowed: share of allowed comments that are reviewed, in [0, 1].
        allowed_per_day: maximum number of reviews a day for ``allowed``, at the volume of the training comments.
    """

    removals: float = 0.01
    allowed: float = 0.001
    allowed_per_day: float = 50.0

    def resolve(self, key: bytes | None, comments_per_day: float | None) -> Exploration | None:
        """Return the exploration of a policy; None without a key, or if nothing is explored.

        The cap becomes a share, so that the verdict remains a function of the record alone. Without a known volume the
        cap cannot be kept, so no allowed comment is explored.

        Args:
            key: of the draw.
            comments_per_day: volume; None if it is unknown.
        """
        if key is None:
            return None
        allowed = min(self.allowed, self.allowed_per_day / comments_per_day) if comments_per_day else 0.0
        exploration = Exploration(key_id_of(key), int(self.removals * ALL_PPM), int(allowed * ALL_PPM))
        return exploration if exploration.removals_ppm or exploration.allowed_ppm else None


class ExplorationKeys:
    """The keys of draws that a process has. Trainings use the first; the others recompute older versions.

    Args:
        keys: each of ``KEY_MIN_BYTES`` bytes or more.

    Raises:
        ConfigurationError: a key is shorter.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        for key in keys:
            if len(key) < KEY_MIN_BYTES:
                raise ConfigurationError(
                    SETTING,
                    f"a key has {len(key)} bytes and needs {KEY_MIN_BYTES} or more",
                    "Generate a random key, and use the same one for every program that trains, decides or recomputes.",
                )
        self._by_id = {key_id_of(key): key for key in keys}
        self.newest = keys[0] if keys else None

    @classmethod
    def parse(cls, text: str | None) -> ExplorationKeys:
        """Read keys that are separated by commas; None or an empty text has none.

        Raises:
            ConfigurationError: a key is too short.
        """
        return cls([part.strip().encode() for part in (text or "").split(",") if part.strip()])

    def of(self, exploration: Exploration | None, name: str) -> bytes | None:
        """Return the key that an exploration names; None without an exploration.

        Args:
            exploration: of the policy.
            name: of the model, for the error.

        Raises:
            ModelRefused: this process does not have the key.
        """
        if exploration is None:
            return None
        if exploration.key_id not in self._by_id:
            raise missing_key(exploration, name)
        return self._by_id[exploration.key_id]


def missing_key(exploration: Exploration, name: str) -> ModelRefused:
    """Return the error for a model whose draws cannot be computed."""
    return ModelRefused(
        name,
        f"its policy explores with key {exploration.key_id}, which this process does not have",
        f"Add that key to {SETTING}; several keys are separated by commas.",
    )


def key_id_of(key: bytes) -> str:
    """16 hexadecimal digits of a SHA-256 over the key: they name it without revealing it."""
    return hashlib.sha256(_KEY_ID_LABEL + key).hexdigest()[:16]


def is_drawn(key: bytes, record_ids: Sequence[bytes], shares_ppm: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Draw records: the first 8 bytes of HMAC-SHA256(key, record id), a big-endian integer, are below the share.

    Args:
        key: secret.
        record_ids: 32 bytes each.
        shares_ppm: share of each record in parts per million, above 0, shape (records,).

    Returns:
        Whether each record is drawn, shape (records,).
    """
    heads = b"".join(hmac.digest(key, record_id, "sha256")[:8] for record_id in record_ids)
    last = {share: (share << 64) // ALL_PPM - 1 for share in set(shares_ppm.tolist())}
    limits = np.array([last[share] for share in shares_ppm.tolist()], np.uint64)
    return np.frombuffer(heads, ">u8") <= limits
