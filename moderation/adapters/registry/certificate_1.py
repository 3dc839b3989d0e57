"""Certificates, format 1: HMAC-SHA256 with a key that batch layer and workers shared. They are only verified.

``moderation certify --all`` replaces them by format 2 and leaves these tags as they are, so that workers of the former
release continue to open the versions.

moderation.certificate   the certificate, canonical JSON
moderation.signature     HMAC-SHA256 over it
moderation.key_id        identifies the key without revealing it
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping

from moderation.errors import ConfigurationError, ModelRefused

CERTIFICATE_TAG, SIGNATURE_TAG, KEY_ID_TAG = "moderation.certificate", "moderation.signature", "moderation.key_id"
KEY_MIN_BYTES = 32
_LABEL = b"moderation certificate 1\n"
_KEY_ID_LABEL = b"moderation key id 1\n"
_NAMES = ("model_name", "version")
_REMEDY = "The version is left as it is. Register the model again, or give the alias to another version."


def read_facts(
    tags: Mapping[str, str], model_name: str, version: str, key: bytes, names: tuple[str, ...]
) -> dict[str, str]:
    """Read and verify the certificate of format 1 in the tags of a version.

    Args:
        tags: all tags of the version.
        model_name: registered model of the version.
        version: version number.
        key: the former certificate key.
        names: names of the fields.

    Returns:
        The fields by name.

    Raises:
        ModelRefused: the certificate is incomplete, edited, copied or made with another key, or a readable tag differs.
        ConfigurationError: the key is too short.
    """
    thing = f"{model_name} version {version}"
    text, signature = tags.get(CERTIFICATE_TAG, ""), tags.get(SIGNATURE_TAG, "")
    if (made_with := tags.get(KEY_ID_TAG)) != (mine := key_id(key)):
        cause = (
            f"its certificate of format 1 was made with another key ({made_with}; MODERATION_CERTIFICATE_KEY is {mine})"
        )
        raise ModelRefused(thing, cause, _REMEDY)
    if not hmac.compare_digest(signature_of(text, key).encode(), signature.encode(errors="replace")):
        raise ModelRefused(
            thing, f"tag {CERTIFICATE_TAG} or {SIGNATURE_TAG} was edited: they do not belong together", _REMEDY
        )
    facts = {str(name): str(value) for name, value in json.loads(text).items()}
    if facts.keys() != set(names):
        raise ModelRefused(thing, f"tag {CERTIFICATE_TAG} has unknown or missing fields", _REMEDY)
    if (facts["model_name"], facts["version"]) != (model_name, version):
        made_for = f"{facts['model_name']} version {facts['version']}"
        raise ModelRefused(thing, f"its certificate was made for {made_for} and copied here", _REMEDY)
    for name, value in facts.items():
        if name not in _NAMES and tags.get(f"moderation.{name}") != value:
            raise ModelRefused(thing, f"tag moderation.{name} was edited: it is not what was certified", _REMEDY)
    return facts


def signature_of(text: str, key: bytes) -> str:
    """HMAC-SHA256 (RFC 2104) of a certificate's text, 64 hexadecimal digits.

    Raises:
        ConfigurationError: the key is too short.
    """
    _check(key)
    return hmac.new(key, _LABEL + text.encode(), hashlib.sha256).hexdigest()


def key_id(key: bytes) -> str:
    """Return 16 hexadecimal digits that identify a key without revealing it.

    Raises:
        ConfigurationError: the key is too short.
    """
    _check(key)
    return hmac.new(key, _KEY_ID_LABEL, hashlib.sha256).hexdigest()[:16]


def _check(key: bytes) -> None:
    if len(key) < KEY_MIN_BYTES:
        raise ConfigurationError(
            "MODERATION_CERTIFICATE_KEY",
            f"it has {len(key)} bytes and needs {KEY_MIN_BYTES} or more",
            "Set the key that signed the versions of the former release.",
        )
