"""Profiles of property tests: few examples in every run of the suite, many in the long tests.

``quick`` is the default profile. ``make test-long`` runs every property test again with ``thorough``
(``--hypothesis-profile thorough``). Both are derandomized: a failure on one machine is a failure on all.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings

QUICK, THOROUGH = "quick", "thorough"
_QUICK_EXAMPLES, _THOROUGH_EXAMPLES = 30, 200


def register_profiles() -> None:
    """Register both profiles and load ``quick``; pytest's option ``--hypothesis-profile`` overrides it later."""
    common: dict[str, Any] = {"deadline": None, "derandomize": True, "print_blob": True}
    settings.register_profile(QUICK, max_examples=_QUICK_EXAMPLES, **common)
    settings.register_profile(THOROUGH, max_examples=_THOROUGH_EXAMPLES, **common)
    settings.load_profile(QUICK)


def examples(quick: int, thorough: int, **options: Any) -> settings:
    """Return the settings of a property test whose examples cost more or less than usual.

    Args:
        quick: examples in every run.
        thorough: examples in the long tests.
        options: further settings of Hypothesis.
    """
    is_thorough = settings.default is not None and settings.default.max_examples == _THOROUGH_EXAMPLES
    return settings(max_examples=thorough if is_thorough else quick, **options)
