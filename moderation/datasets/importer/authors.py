"""Pseudonyms of authors: a comment names its author by a key, not by the name of the account."""

from __future__ import annotations

import hmac

from moderation.errors import ConfigurationError

SETTING = "MODERATION_AUTHOR_KEY"
LEAST_KEY_BYTES = 32
_DIGEST_BYTES = 8


def pseudonym(name: str, key: bytes) -> str:
    """Return the ``author_key`` of an account: ``u`` and the first 16 hexadecimal digits of HMAC-SHA256(key, name).

    Args:
        name: of the account, as exports spell it.
        key: see :func:`parse_author_key`.
    """
    return "u" + hmac.digest(key, name.encode("utf-8", "replace"), "sha256")[:_DIGEST_BYTES].hex()


def parse_author_key(secret: str | None) -> bytes:
    """Return the key of pseudonyms; empty without a setting.

    Args:
        secret: value of the setting ``MODERATION_AUTHOR_KEY``; None or empty if it is not set.

    Raises:
        ConfigurationError: the key is too short.
    """
    key = (secret or "").encode()
    if key and len(key) < LEAST_KEY_BYTES:
        raise ConfigurationError(
            SETTING,
            f"it has {len(key)} bytes; at least {LEAST_KEY_BYTES} are needed",
            'Create one with `python -c "import secrets; print(secrets.token_urlsafe(32))"`.',
        )
    return key
