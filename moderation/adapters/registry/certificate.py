"""Certificates: signed digests of a verified model version, stored in its tags.

A certificate contains the digests of all files of the model folder, the model name and the version number, so it is
valid for one version only. The key is not stored in the registry. Readable tags are compared with the certificate.

moderation.certificate   the certificate, canonical JSON
moderation.signature     HMAC-SHA256 over it
moderation.key_id        identifies the signing key without revealing it
moderation.<field>       a digest or version of the certificate, readable
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from moderation.errors import ConfigurationError, ModelRefused

PREFIX = "moderation."
CERTIFICATE_TAG, SIGNATURE_TAG, KEY_ID_TAG = PREFIX + "certificate", PREFIX + "signature", PREFIX + "key_id"
MODEL_DIGEST_TAG, CARD_DIGEST_TAG = PREFIX + "model_digest", PREFIX + "card_digest"
KEY_MIN_BYTES = 32
_LABEL = b"moderation certificate 1\n"
_KEY_ID_LABEL = b"moderation key id 1\n"
_NAMES = ("model_name", "version")
_REMEDY = "Certify the version again if it is correct; otherwise move the alias to a certified version."


@dataclass(frozen=True, slots=True)
class Certificate:
    """Digests and versions of a verified model version. Digests are SHA-256, hexadecimal.

    Attributes:
        model_name: the registered model.
        version: version number.
        card_digest: of ``model.json``, which contains the digests of all other files.
        model_digest, policy_digest, metrics_digest: of ``model.skops``, ``policy.json`` and ``metrics.json``.
        kernel_version: kernel version of the model.
        policy_version: policy version of its decisions.
        data_digest: digest of the training examples.
    """

    model_name: str
    version: str
    card_digest: str
    model_digest: str
    policy_digest: str
    metrics_digest: str
    kernel_version: str
    policy_version: str
    data_digest: str

    def to_json(self) -> str:
        """The canonical JSON text, which is signed."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    def readable_tags(self) -> dict[str, str]:
        """Digests and versions as readable tags, without model name and version number."""
        return {PREFIX + name: value for name, value in asdict(self).items() if name not in _NAMES}


def check_key(key: bytes) -> None:
    """Check the length of a key.

    Raises:
        ConfigurationError: the key has fewer than ``KEY_MIN_BYTES`` bytes.
    """
    if len(key) < KEY_MIN_BYTES:
        raise ConfigurationError(
            "the certificate key",
            f"it has {len(key)} bytes and needs {KEY_MIN_BYTES} or more",
            "Generate a random key, and use the same one for every program that certifies or opens models.",
        )


def sign(certificate: Certificate, key: bytes) -> str:
    """Sign a certificate with HMAC-SHA256 (RFC 2104), 64 hexadecimal digits.

    Raises:
        ConfigurationError: the key is too short.
    """
    check_key(key)
    return hmac.new(key, _LABEL + certificate.to_json().encode(), hashlib.sha256).hexdigest()


def verify(certificate: Certificate, signature: str, key: bytes) -> bool:
    """Whether ``key`` made this signature of this certificate; compares in constant time.

    Raises:
        ConfigurationError: the key is too short.
    """
    return hmac.compare_digest(sign(certificate, key).encode(), signature.encode(errors="replace"))


def key_id(key: bytes) -> str:
    """Return 16 hexadecimal digits that identify a key without revealing it.

    Raises:
        ConfigurationError: the key is too short.
    """
    check_key(key)
    return hmac.new(key, _KEY_ID_LABEL, hashlib.sha256).hexdigest()[:16]


def tags_of(certificate: Certificate, key: bytes) -> dict[str, str]:
    """All tags of a certified version, the signature last, so that an incomplete set is not a certificate."""
    return {
        **certificate.readable_tags(),
        KEY_ID_TAG: key_id(key),
        CERTIFICATE_TAG: certificate.to_json(),
        SIGNATURE_TAG: sign(certificate, key),
    }


def read_certificate(tags: Mapping[str, str], model_name: str, version: str, key: bytes) -> Certificate:
    """Read and verify the certificate in the tags of a version.

    Args:
        tags: all tags of the version.
        model_name: registered model of the version.
        version: version number.
        key: certificate key of this installation.

    Raises:
        ModelRefused: there is no certificate, it was made with another key, edited, or copied from another model or
            version, or a readable tag differs.
        ConfigurationError: the key is too short.
    """
    thing = f"{model_name} version {version}"
    stated, signature = tags.get(CERTIFICATE_TAG), tags.get(SIGNATURE_TAG)
    if stated is None or signature is None:
        raise ModelRefused(thing, "it has no certificate: it was not verified", _REMEDY)
    if (made_with := tags.get(KEY_ID_TAG)) != (mine := key_id(key)):
        raise ModelRefused(
            thing, f"its certificate was made with another key ({made_with}; this one is {mine})", _REMEDY
        )
    certificate = _parse(stated, thing)
    if not verify(certificate, signature, key):
        raise ModelRefused(
            thing, f"tag {CERTIFICATE_TAG} or {SIGNATURE_TAG} was edited: they do not belong together", _REMEDY
        )
    if (certificate.model_name, certificate.version) != (model_name, version):
        made_for = f"{certificate.model_name} version {certificate.version}"
        raise ModelRefused(thing, f"its certificate was made for {made_for} and copied here", _REMEDY)
    for name, value in certificate.readable_tags().items():
        if tags.get(name) != value:
            raise ModelRefused(thing, f"tag {name} was edited: it is not what was certified", _REMEDY)
    return certificate


def _parse(text: str, thing: str) -> Certificate:
    try:
        stated = json.loads(text)
        if stated.keys() != {field.name for field in fields(Certificate)}:
            raise ValueError("unknown or missing fields")
        if not all(isinstance(value, str) for value in stated.values()):
            raise ValueError("a field is not a string")
        return Certificate(**stated)
    except (ValueError, AttributeError, RecursionError) as error:
        raise ModelRefused(thing, f"tag {CERTIFICATE_TAG} is not a certificate ({error})", _REMEDY) from error
