"""Ed25519 keys of certificates: the signing key of the batch layer, and the public keys of every program.

A key id is the first 16 hexadecimal digits of the SHA-256 of the 32 bytes of a public key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from moderation.errors import ConfigurationError

KEY_BYTES = 32
SIGNING, VERIFY = "MODERATION_SIGNING_KEY", "MODERATION_VERIFY_KEYS"
_NEW_KEYS = "Create a pair of keys with `moderation keys`; see docs/configuration.md."
_PEM = "-----BEGIN"


class SigningKey:
    """A private Ed25519 key (RFC 8032). Its text form is the base64 of the 32-byte seed, or PEM (PKCS #8)."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public: bytes = private.public_key().public_bytes_raw()
        self.key_id: str = key_id(self.public)

    @classmethod
    def generate(cls) -> SigningKey:
        """Generate a key from the operating system's random numbers."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Read a key; the text is in no error message.

        Raises:
            ConfigurationError: the text is not a private Ed25519 key.
        """
        if not text.strip().startswith(_PEM):
            return cls(Ed25519PrivateKey.from_private_bytes(_decode(text, SIGNING)))
        try:
            private = load_pem_private_key(text.strip().encode() + b"\n", password=None)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(SIGNING, "it is not an unencrypted private key in PEM", _NEW_KEYS) from error
        if not isinstance(private, Ed25519PrivateKey):
            raise ConfigurationError(SIGNING, "it is a private key, but not an Ed25519 key", _NEW_KEYS)
        return cls(private)

    def seed(self) -> str:
        """The private key as text: 44 characters of URL-safe base64. It is a secret."""
        return encode(self._private.private_bytes_raw())

    def sign(self, data: bytes) -> str:
        """Sign; 128 hexadecimal digits."""
        return self._private.sign(data).hex()


class KeyRing:
    """Public keys by key id.

    Args:
        public_keys: 32 bytes each.
    """

    def __init__(self, *public_keys: bytes) -> None:
        keys = {key_id(public): Ed25519PublicKey.from_public_bytes(public) for public in public_keys}
        self._keys: Mapping[str, Ed25519PublicKey] = keys

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """Read public keys in base64, separated by commas or white space.

        Raises:
            ConfigurationError: there is no key, or one is malformed.
        """
        texts = [each for each in re.split(r"[,\s]+", text) if each]
        if not texts:
            raise ConfigurationError(VERIFY, "it contains no key", _NEW_KEYS)
        return cls(*(_decode(each, VERIFY) for each in texts))

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Ids of the keys."""
        return tuple(self._keys)

    def verify(self, key_id: str, signature: str, data: bytes) -> bool:
        """Whether the key with this id is in the ring and made this signature of these bytes."""
        try:
            self._keys[key_id].verify(bytes.fromhex(signature), data)
        except (KeyError, ValueError, InvalidSignature):
            return False
        return True


@dataclass(frozen=True, slots=True)
class CertificateKeys:
    """Keys of a program.

    Attributes:
        ring: public keys whose certificates the program accepts.
        signing: signs certificates; None in programs that only verify.
        old_key: of certificates of format 1 (HMAC), which ``moderation certify --all`` verifies; None without one.
    """

    ring: KeyRing
    signing: SigningKey | None = None
    old_key: bytes | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, *, signing: str | None, verify: str | None, old: str | None = None) -> CertificateKeys:
        """Read the keys from their settings. Without ``verify``, the ring contains the signing key's public key.

        Raises:
            ConfigurationError: both are missing, one is malformed, or no worker with this ring would accept the
                certificates of the signing key.
        """
        if verify is None and signing is None:
            raise ConfigurationError(VERIFY, "it is not set and has no default", _NEW_KEYS)
        key = None if signing is None else SigningKey.parse(signing)
        ring = KeyRing(key.public) if verify is None and key is not None else KeyRing.parse(verify or "")
        if key is not None and key.key_id not in ring.key_ids:
            raise ConfigurationError(
                VERIFY,
                f"it does not contain the public key of {SIGNING}, so no worker would accept its certificates",
                f"Add {encode(key.public)} to {VERIFY} of every program.",
            )
        return cls(ring, key, None if old is None else old.encode())

    def to_sign(self) -> SigningKey:
        """Return the signing key.

        Raises:
            ConfigurationError: this program has none.
        """
        if self.signing is None:
            raise ConfigurationError(
                SIGNING, "it is not set: this program verifies certificates and cannot sign", f"Set {SIGNING} for it."
            )
        return self.signing


def key_id(public: bytes) -> str:
    """Return 16 hexadecimal digits that identify a public key."""
    return hashlib.sha256(public).hexdigest()[:16]


def encode(key: bytes) -> str:
    """Return URL-safe base64."""
    return base64.urlsafe_b64encode(key).decode()


def _decode(text: str, setting: str) -> bytes:
    """Decode a key of 32 bytes in base64 of either alphabet, with or without padding."""
    stripped = text.strip().rstrip("=").replace("+", "-").replace("/", "_")
    try:
        if not re.fullmatch(r"[A-Za-z0-9_-]*", stripped):
            raise ValueError
        key = base64.urlsafe_b64decode(stripped + "=" * (-len(stripped) % 4))
    except (ValueError, binascii.Error) as error:
        raise ConfigurationError(setting, "a key in it is not base64", _NEW_KEYS) from error
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            setting, f"a key in it has {len(key)} bytes; an Ed25519 key has {KEY_BYTES}", _NEW_KEYS
        )
    return key
