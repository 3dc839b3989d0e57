"""Keys are read from every form that operators write, and a wrong one is named without being shown."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from moderation.adapters.registry.keys import CertificateKeys, KeyRing, SigningKey, encode
from moderation.errors import ConfigurationError

SEED = bytes(range(200, 232))
KEY = SigningKey.parse(encode(SEED))
PUBLIC = encode(KEY.public)


def pem(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(SEED).decode(),
        base64.urlsafe_b64encode(SEED).decode(),
        base64.b64encode(SEED).decode().rstrip("=") + "\n",
        pem(Ed25519PrivateKey.from_private_bytes(SEED)),
    ],
)
def test_a_signing_key_is_read_as_base64_or_pem(text: str) -> None:
    assert SigningKey.parse(text).public == KEY.public
    assert SigningKey.parse(KEY.seed()).key_id == KEY.key_id


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "has 0 bytes; an Ed25519 key has 32"),
        ("abcd", "has 3 bytes"),
        ("not base64 at all!", "not base64"),
        ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----", "not an unencrypted private key"),
        (
            generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "not an Ed25519 key",
        ),
    ],
)
def test_a_malformed_signing_key_is_refused_and_not_shown(text: str, cause: str) -> None:
    with pytest.raises(ConfigurationError, match=f"MODERATION_SIGNING_KEY: .*{cause}") as refused:
        SigningKey.parse(text)
    assert not text or text not in str(refused.value)


def test_a_ring_contains_several_keys_and_verifies_by_key_id() -> None:
    other = SigningKey.generate()
    ring = KeyRing.parse(f"{PUBLIC}, {encode(other.public)}\n")
    assert set(ring.key_ids) == {KEY.key_id, other.key_id}
    assert ring.verify(KEY.key_id, KEY.sign(b"data"), b"data")
    assert not ring.verify(other.key_id, KEY.sign(b"data"), b"data")
    assert not ring.verify("unknown", KEY.sign(b"data"), b"data")
    assert not ring.verify(KEY.key_id, "not hexadecimal", b"data")
    for text in ("", " , "):
        with pytest.raises(ConfigurationError, match="MODERATION_VERIFY_KEYS: it contains no key"):
            KeyRing.parse(text)


def test_a_program_that_verifies_needs_no_signing_key_and_cannot_sign() -> None:
    keys = CertificateKeys.parse(signing=None, verify=PUBLIC)
    assert keys.ring.key_ids == (KEY.key_id,)
    with pytest.raises(ConfigurationError, match="MODERATION_SIGNING_KEY: it is not set"):
        keys.to_sign()


def test_the_signing_keys_own_public_key_is_the_ring_unless_a_ring_is_stated() -> None:
    assert CertificateKeys.parse(signing=KEY.seed(), verify=None).ring.key_ids == (KEY.key_id,)
    with pytest.raises(ConfigurationError, match=f"MODERATION_VERIFY_KEYS: .* Add {PUBLIC} to MODERATION_VERIFY_KEYS"):
        CertificateKeys.parse(signing=KEY.seed(), verify=encode(SigningKey.generate().public))
    with pytest.raises(ConfigurationError, match="MODERATION_VERIFY_KEYS: it is not set"):
        CertificateKeys.parse(signing=None, verify=None)


def test_neither_keys_nor_old_keys_are_in_a_printed_object() -> None:
    keys = CertificateKeys.parse(signing=KEY.seed(), verify=None, old="the former key")
    assert "former" not in repr(keys)
    assert KEY.seed() not in repr(keys)
