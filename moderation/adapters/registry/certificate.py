"""Certificates: what a registered version was when it was checked, signed so that nothing of it can be exchanged.

A certificate names the digests of every file of the model folder, the model and the version number, so it holds for
no other version. It lies in the version's tags; the key does not. Tags beside it are for people, and compared with it.

moderation.certificate   the certificate, canonical JSON
moderation.signature     HMAC-SHA256 over it
moderation.key_id        which key signed, without telling anything about the key
moderation.<field>       each digest and version of the certificate, readable
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
_REMEDY = "Certify the version again if it is right; otherwise point the alias at a version that is."


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was checked. Digests are SHA-256, hexadecimal.

    Attributes:
        model_name: the registered model.
        version: its version number.
        card_digest: of ``model.json``, which states the digests of all other files.
        model_digest, policy_digest, metrics_digest: of ``model.skops``, ``policy.json`` and ``metrics.json``.
        kernel_version: the kernel it was made for.
        policy_version: what its decisions are stamped with.
        data_digest: of the examples it was trained on.
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
        """The one text of this certificate: what is signed."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    def readable_tags(self) -> dict[str, str]:
        """Digests and versions as tags for people, without the name and number the version carries anyway."""
        return {PREFIX + name: value for name, value in asdict(self).items() if name not in _NAMES}


def check_key(key: bytes) -> None:
    """Refuse a key that could be guessed.

    Raises:
        ConfigurationError: it has fewer than ``KEY_MIN_BYTES`` bytes.
    """
    if len(key) < KEY_MIN_BYTES:
        raise ConfigurationError(
            "the certificate key",
            f"it has {len(key)} bytes and needs {KEY_MIN_BYTES} or more",
            "Make one from a random source and give the same to everything that certifies or opens models.",
        )


def sign(certificate: Certificate, key: bytes) -> str:
    """The signature of a certificate: HMAC-SHA256 (RFC 2104), 64 hexadecimal digits.

    Raises:
        ConfigurationError: the key is too short.
    """
    check_key(key)
    return hmac.new(key, _LABEL + certificate.to_json().encode(), hashlib.sha256).hexdigest()


def verify(certificate: Certificate, signature: str, key: bytes) -> bool:
    """Whether ``key`` made this signature of this certificate; takes the same time for every wrong one.

    Raises:
        ConfigurationError: the key is too short.
    """
    return hmac.compare_digest(sign(certificate, key).encode(), signature.encode(errors="replace"))


def key_id(key: bytes) -> str:
    """16 hexadecimal digits that tell keys apart and nothing else about them.

    Raises:
        ConfigurationError: the key is too short.
    """
    check_key(key)
    return hmac.new(key, _KEY_ID_LABEL, hashlib.sha256).hexdigest()[:16]


def tags_of(certificate: Certificate, key: bytes) -> dict[str, str]:
    """Every tag of a certified version, the signature last: a half-written set is not a certificate."""
    return {
        **certificate.readable_tags(),
        KEY_ID_TAG: key_id(key),
        CERTIFICATE_TAG: certificate.to_json(),
        SIGNATURE_TAG: sign(certificate, key),
    }


def read_certificate(tags: Mapping[str, str], model_name: str, version: str, key: bytes) -> Certificate:
    """The certificate in a version's tags.

    Args:
        tags: all tags of the version.
        model_name: the registered model they were found on.
        version: the version number they were found on.
        key: of this installation.

    Raises:
        ModelRefused: there is none, it was made with another key, edited, or copied from another model or version,
            or a readable tag beside it says otherwise.
        ConfigurationError: the key is too short.
    """
    thing = f"{model_name} version {version}"
    stated, signature = tags.get(CERTIFICATE_TAG), tags.get(SIGNATURE_TAG)
    if stated is None or signature is None:
        raise ModelRefused(thing, "it has no certificate: nobody checked it", _REMEDY)
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
            raise ValueError("a field is no text")
        return Certificate(**stated)
    except (ValueError, AttributeError, RecursionError) as error:
        raise ModelRefused(thing, f"tag {CERTIFICATE_TAG} is no certificate ({error})", _REMEDY) from error
