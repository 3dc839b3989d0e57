"""A certificate is valid for one version with one content, and only under keys of the ring."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from moderation.adapters.registry import certificate_1
from moderation.adapters.registry.certificate import (
    CERTIFICATE_TAG,
    FACTS,
    Certificate,
    GateEvidence,
    ModelFacts,
    certificate_tags,
    read_certificate,
    tags_of,
)
from moderation.adapters.registry.keys import KeyRing, SigningKey, encode
from moderation.errors import ConfigurationError, ModelRefused
from tests.support.certificates import format_1_tags

KEY, OTHER_KEY = SigningKey.parse(encode(bytes(range(32)))), SigningKey.parse(encode(bytes(range(1, 33))))
RING = KeyRing(KEY.public)
OLD_KEY = bytes(range(32))
FACTS_OF_7 = ModelFacts(
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
GATE = GateEvidence("passed", {"auc_margin": 0.01, "comments": 500}, "f" * 64, 1_700_000_000_000_000)
CERTIFICATE = Certificate.of(FACTS_OF_7, GATE)
TAGS = tags_of(CERTIFICATE, KEY)
READABLE = sorted(TAGS.keys() - {CERTIFICATE_TAG})


def read(
    tags: dict[str, str], name: str = "comment-moderation", version: str = "7", ring: KeyRing = RING
) -> Certificate:
    return read_certificate(tags, name, version, ring)


def edited(change: Callable[[dict[str, Any]], object]) -> dict[str, str]:
    """The tags after a change of the certificate's tag."""
    stated = json.loads(TAGS[CERTIFICATE_TAG])
    change(stated)
    return {**TAGS, CERTIFICATE_TAG: json.dumps(stated)}


def test_a_signed_certificate_is_read_with_the_public_key_alone() -> None:
    assert read(TAGS) == CERTIFICATE
    assert read(TAGS).facts == FACTS_OF_7
    assert TAGS["moderation.gate_verdict"] == "passed"
    assert TAGS["moderation.gate_limits"] == '{"auc_margin":0.01,"comments":500}'


def test_a_signature_has_a_fixed_value() -> None:
    """The value is fixed, so that versions certified by an earlier release still open."""
    stated = json.loads(TAGS[CERTIFICATE_TAG])
    assert stated["key_id"] == "56475aa75463474c"
    assert stated["signature"] == (
        "ff08cfea6897aa98ddacad44da6156b968cbe9658d487a85491bbebb141b3a21"
        "46f724a944cc9e2c6ecf132df22d66f1c14155552d6b03b6977bd424d7fa620a"
    )


def test_the_certificate_is_written_last_and_contains_no_private_key() -> None:
    assert list(TAGS)[-1] == CERTIFICATE_TAG
    written = json.dumps(TAGS)
    assert KEY.seed() not in written
    assert bytes(range(32)).hex() not in written


def test_certificate_tags_are_enough_to_read_it_again() -> None:
    kept = certificate_tags(CERTIFICATE, {**TAGS, "moderation.reason": "because"})
    assert "moderation.reason" not in kept
    assert read(kept) == CERTIFICATE


def test_a_version_without_certificate_is_refused() -> None:
    tags = {name: value for name, value in TAGS.items() if name != CERTIFICATE_TAG}
    with pytest.raises(ModelRefused, match="comment-moderation version 7: it has no certificate"):
        read(tags)


APART = "do not belong together"
FORGERIES: dict[str, tuple[dict[str, str], str]] = {
    "an edited digest": (edited(lambda s: s["certificate"].update(model_digest="f" * 64)), APART),
    "an edited verdict": (edited(lambda s: s["certificate"]["gate"].update(verdict="bootstrap")), APART),
    "weaker limits": (edited(lambda s: s["certificate"]["gate"]["limits"].update(auc_margin=1.0)), APART),
    "other evidence": (edited(lambda s: s["certificate"]["gate"].update(evidence_digest="0" * 64)), APART),
    "an edited signature": (edited(lambda s: s.update(signature=s["signature"][::-1])), APART),
    "no signature": (edited(lambda s: s.update(signature="")), APART),
    "a signature that is no text": (edited(lambda s: s.update(signature=None)), "a field is not a string"),
    "another key": (tags_of(CERTIFICATE, OTHER_KEY), "made with another key"),
    "another key under our key id": (
        {**TAGS, CERTIFICATE_TAG: json.dumps(json.loads(CERTIFICATE.signed(OTHER_KEY)) | {"key_id": KEY.key_id})},
        APART,
    ),
    "another version's": (tags_of(replace(CERTIFICATE, version="8"), KEY), "made for comment-moderation version 8"),
    "another model's": (tags_of(replace(CERTIFICATE, model_name="mine"), KEY), "made for mine version 7"),
    "format 1 instead": (format_1_tags(FACTS_OF_7, OLD_KEY), "has format 1"),
    "a later format": (edited(lambda s: s["certificate"].update(format=3)), "its format is 3"),
    "no format": (edited(lambda s: s["certificate"].pop("format")), "its format is None"),
    "a field more": (edited(lambda s: s["certificate"].update(extra="")), "unknown or missing fields"),
    "a field less": (edited(lambda s: s["certificate"].pop("data_digest")), "unknown or missing fields"),
    "another verdict": (edited(lambda s: s["certificate"]["gate"].update(verdict="overridden")), "no gate has"),
    "a number that JSON does not have": (
        edited(lambda s: s["certificate"]["gate"]["limits"].update(auc_margin=float("inf"))),
        "is not a certificate",
    ),
    "a time that is no number": (edited(lambda s: s["certificate"]["gate"].update(judged_us=True)), "not an integer"),
    **{f"text {text[:9]!r}": ({**TAGS, CERTIFICATE_TAG: text}, "is not a certificate") for text in
       ("", "nothing", "[]", "null", "{}", "[" * 100_000, '{"version": "7"}')},
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_certificate_is_refused_with_its_cause(forgery: str) -> None:
    tags, cause = FORGERIES[forgery]
    with pytest.raises(ModelRefused, match=cause):
        read(tags)


def test_a_certificate_of_format_1_names_the_command_that_replaces_it() -> None:
    with pytest.raises(
        ModelRefused, match="Run `moderation certify --all` in the batch layer, with MODERATION_SIGNING"
    ):
        read(format_1_tags(FACTS_OF_7, OLD_KEY))


def test_a_public_key_that_left_the_ring_is_named_and_a_ring_of_two_accepts_both() -> None:
    with pytest.raises(
        ModelRefused, match=f"another key \\({KEY.key_id}; MODERATION_VERIFY_KEYS has {OTHER_KEY.key_id}"
    ):
        read(TAGS, ring=KeyRing(OTHER_KEY.public))
    both = KeyRing(OTHER_KEY.public, KEY.public)
    assert read(TAGS, ring=both) == read(tags_of(CERTIFICATE, OTHER_KEY), ring=both) == CERTIFICATE


@pytest.mark.parametrize("name", FACTS)
def test_every_field_is_signed(name: str) -> None:
    changed = replace(CERTIFICATE, **{name: getattr(CERTIFICATE, name) + "0"})
    assert json.loads(changed.signed(KEY))["signature"] != json.loads(TAGS[CERTIFICATE_TAG])["signature"]


@pytest.mark.parametrize("tag", READABLE)
@pytest.mark.parametrize("value", ["edited", None])
def test_an_edited_or_missing_readable_tag_is_refused_by_name(tag: str, value: str | None) -> None:
    tags = {name: text for name, text in {**TAGS, tag: value}.items() if text is not None}
    with pytest.raises(ModelRefused, match=f"tag {tag} was edited"):
        read(tags)


def read_1(tags: dict[str, str], name: str = "comment-moderation", version: str = "7", key: bytes = OLD_KEY) -> object:
    return certificate_1.read_facts(tags, name, version, key, FACTS)


def test_a_certificate_of_format_1_has_a_fixed_signature_and_is_read_with_its_key() -> None:
    """The value is that of the releases that signed format 1."""
    tags = format_1_tags(FACTS_OF_7, OLD_KEY)
    assert tags[certificate_1.SIGNATURE_TAG] == "e9ab206d39faaaab248d4da53013ca469a6a9eaab78870ea0423282274410cdf"
    assert tags[certificate_1.KEY_ID_TAG] == "88307f2b72780cc6"
    assert read_1(tags) == {name: getattr(FACTS_OF_7, name) for name in FACTS}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({certificate_1.SIGNATURE_TAG: "0" * 64}, APART),
        ({certificate_1.SIGNATURE_TAG: "\ud800"}, APART),
        ({certificate_1.CERTIFICATE_TAG: "{}"}, APART),
        ({certificate_1.KEY_ID_TAG: "0" * 16}, "made with another key"),
        ({"moderation.model_digest": "f" * 64}, "tag moderation.model_digest was edited"),
    ],
)
def test_a_forged_certificate_of_format_1_is_refused(changes: dict[str, str], cause: str) -> None:
    with pytest.raises(ModelRefused, match=cause):
        read_1({**format_1_tags(FACTS_OF_7, OLD_KEY), **changes})


def test_a_copied_certificate_of_format_1_and_a_short_key_are_refused() -> None:
    with pytest.raises(ModelRefused, match="made for comment-moderation version 7 and copied here"):
        read_1(format_1_tags(FACTS_OF_7, OLD_KEY), version="8")
    with pytest.raises(ConfigurationError, match="MODERATION_CERTIFICATE_KEY: it has 5 bytes and needs 32"):
        read_1(format_1_tags(FACTS_OF_7, OLD_KEY), key=b"short")
