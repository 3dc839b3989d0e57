"""Write the folder of the bootstrap model: one score for all texts, and a policy that reviews a random share."""

from __future__ import annotations

from pathlib import Path

from moderation.adapters.code_version import code_version
from moderation.adapters.model_folder.folder import save_model
from moderation.errors import ConfigurationError
from moderation.policy import Exploration, ExplorationKeys, Policy
from moderation.policy.exploration import ALL_PPM, SETTING, key_id_of
from moderation.policy.policy import NEVER_PPM
from moderation.scoring import CONSTANT_FAMILY, constant_pipeline
from moderation.text import Lexicon
from moderation.training.untrained import NO_DATA_DIGEST, no_metrics, no_reference

_MAKE_A_KEY = (
    'Create a key with `python3 -c "import secrets; print(secrets.token_urlsafe(32))"`, set it for every program that '
    "trains, decides or recomputes, and repeat; or state --review-share 0: then no comment is reviewed."
)


def bootstrap_policy(review_share: float, keys: ExplorationKeys) -> Policy:
    """Return a policy that removes nothing, and reviews a random share of the comments.

    Args:
        review_share: share of all comments, in [0, 1]; a share above 0 is at least one in a million.
        keys: keys of the draw.

    Raises:
        ConfigurationError: the share is out of range, or it is above 0 and there is no key to draw with.
    """
    if not 0 <= review_share <= 1:
        raise ConfigurationError(
            f"review share {review_share}", "it is not between 0 and 1", "State a share, for example 0.05."
        )
    if review_share == 0:
        return Policy(NEVER_PPM, NEVER_PPM, ())
    if keys.newest is None:
        raise ConfigurationError(SETTING, "it is not set, so no comment can be drawn for a review", _MAKE_A_KEY)
    explored = Exploration(key_id_of(keys.newest), removals_ppm=0, allowed_ppm=max(1, round(review_share * ALL_PPM)))
    return Policy(NEVER_PPM, NEVER_PPM, (), exploration=explored)


def write_bootstrap_model(folder: Path, policy: Policy, lexicon: Lexicon) -> str:
    """Write the model folder; see :mod:`moderation.adapters.model_folder.folder`.

    Args:
        folder: created if absent.
        policy: from :func:`bootstrap_policy`.
        lexicon: shared lexicon of the process.

    Returns:
        SHA-256 of the model file, hexadecimal.
    """
    training = {
        "data_digest": NO_DATA_DIGEST,
        "seed": 0,
        "folds": 0,
        "family": CONSTANT_FAMILY,
        "goals_stated": [],
        "goals_lowered": [],
        "code_version": code_version(),
    }
    return save_model(folder, constant_pipeline(lexicon), policy, no_metrics(), no_reference(), training)
