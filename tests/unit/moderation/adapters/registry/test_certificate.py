"""A certificate is valid for one version with one content under one key only."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from moderation.adapters.registry.certificate import (
    CERTIFICATE_TAG,
    KEY_ID_TAG,
    SIGNATURE_TAG,
    Certificate,
    key_id,
    read_certificate,
    sign,
    tags_of,
    verify,
)
from moderation.errors import ConfigurationError, ModelRefused

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
CERTIFICATE = Certificate(
    model_name="comment-moderation",
    version="7",
    card_digest="c" * 64,
    model_digest="a" * 64,
    policy_digest="b" * 64,
    metrics_digest="e" * 64,
    kernel_version="1",
    policy_version="0123456789ab",
    data_digest="d" * 64,
)
FIELDS = [field.name for field in fields(Certificate)]
READABLE = sorted(CERTIFICATE.readable_tags())


def test_a_signature_verifies_with_its_key() -> None:
    assert verify(CERTIFICATE, sign(CERTIFICATE, KEY), KEY)
    assert read_certificate(tags_of(CERTIFICATE, KEY), "comment-moderation", "7", KEY) == CERTIFICATE


def test_a_signature_has_a_fixed_value() -> None:
    """The value is fixed, so that versions certified by an earlier release still open."""
    assert sign(CERTIFICATE, KEY) == "e9ab206d39faaaab248d4da53013ca469a6a9eaab78870ea0423282274410cdf"
    assert key_id(KEY) == "88307f2b72780cc6"


@pytest.mark.parametrize("name", FIELDS)
def test_changing_any_field_invalidates_the_signature(name: str) -> None:
    changed = replace(CERTIFICATE, **{name: getattr(CERTIFICATE, name) + "0"})
    assert sign(changed, KEY) != sign(CERTIFICATE, KEY)
    assert not verify(changed, sign(CERTIFICATE, KEY), KEY)


def test_moving_text_between_fields_invalidates_the_signature() -> None:
    moved = replace(CERTIFICATE, version="", model_name="comment-moderation7")
    assert sign(moved, KEY) != sign(CERTIFICATE, KEY)


@pytest.mark.parametrize(
    "signature", ["", "0" * 64, "ü", "\ud800", sign(CERTIFICATE, KEY)[:-1], sign(CERTIFICATE, OTHER_KEY)]
)
def test_another_signature_or_key_does_not_verify(signature: str) -> None:
    assert not verify(CERTIFICATE, signature, KEY)


@pytest.mark.parametrize("key", [b"", b"short", bytes(31)])
def test_a_short_key_is_refused_and_not_shown(key: bytes) -> None:
    for use in (lambda: sign(CERTIFICATE, key), lambda: verify(CERTIFICATE, "", key), lambda: key_id(key)):
        with pytest.raises(ConfigurationError, match=f"has {len(key)} bytes and needs 32"):
            use()


def test_no_tag_contains_the_key_and_key_ids_differ() -> None:
    written = json.dumps(tags_of(CERTIFICATE, b"k" * 40))
    assert "k" * 40 not in written
    assert (b"k" * 40).hex() not in written
    assert key_id(KEY) != key_id(OTHER_KEY)


def test_the_signature_is_written_last() -> None:
    assert list(tags_of(CERTIFICATE, KEY))[-1] == SIGNATURE_TAG


@pytest.mark.parametrize("tag", [CERTIFICATE_TAG, SIGNATURE_TAG])
def test_a_version_without_certificate_is_refused(tag: str) -> None:
    tags = tags_of(CERTIFICATE, KEY)
    del tags[tag]
    with pytest.raises(ModelRefused, match="comment-moderation version 7: it has no certificate"):
        read_certificate(tags, "comment-moderation", "7", KEY)


def test_a_certificate_of_another_key_is_refused() -> None:
    with pytest.raises(ModelRefused, match="made with another key"):
        read_certificate(tags_of(CERTIFICATE, OTHER_KEY), "comment-moderation", "7", KEY)
    disguised = {**tags_of(CERTIFICATE, OTHER_KEY), KEY_ID_TAG: key_id(KEY)}
    with pytest.raises(ModelRefused, match="do not belong together"):
        read_certificate(disguised, "comment-moderation", "7", KEY)


@pytest.mark.parametrize(("name", "version"), [("comment-moderation", "8"), ("another-model", "7")])
def test_a_copied_certificate_is_refused(name: str, version: str) -> None:
    with pytest.raises(ModelRefused, match="made for comment-moderation version 7 and copied here"):
        read_certificate(tags_of(CERTIFICATE, KEY), name, version, KEY)


@pytest.mark.parametrize("tag", READABLE)
@pytest.mark.parametrize("value", ["edited", None])
def test_an_edited_or_missing_readable_tag_is_refused_by_name(tag: str, value: str | None) -> None:
    tags = {name: text for name, text in {**tags_of(CERTIFICATE, KEY), tag: value}.items() if text is not None}
    with pytest.raises(ModelRefused, match=f"tag {tag} was edited"):
        read_certificate(tags, "comment-moderation", "7", KEY)


def test_an_edited_certificate_is_refused_even_with_agreeing_tags() -> None:
    edited = replace(CERTIFICATE, model_digest="f" * 64)
    tags = {**tags_of(CERTIFICATE, KEY), **edited.readable_tags(), CERTIFICATE_TAG: edited.to_json()}
    with pytest.raises(ModelRefused, match="do not belong together"):
        read_certificate(tags, "comment-moderation", "7", KEY)


@pytest.mark.parametrize(
    "text",
    ["", "nothing", "[]", "null", "{}", "[" * 100_000, '{"version": "7"}', CERTIFICATE.to_json().replace('"7"', "7")],
)
def test_a_malformed_certificate_is_refused(text: str) -> None:
    with pytest.raises(ModelRefused, match="is not a certificate"):
        read_certificate({**tags_of(CERTIFICATE, KEY), CERTIFICATE_TAG: text}, "comment-moderation", "7", KEY)
