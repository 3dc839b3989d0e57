"""Certificates, format 2: signed facts about a verified model version, and what its gate found.

A certificate contains the digests of all files of the model folder, the model name, the version number and the gate's
verdict, so it is valid for one version only. The batch layer signs it with Ed25519; every program verifies it with the
public keys of :mod:`moderation.adapters.registry.keys`. Certificate, key id and signature are one tag, so they change
together. Readable tags are compared with the certificate.

moderation.certificate_2   {"certificate": {…}, "key_id": "…", "signature": "…"}, canonical JSON
moderation.<field>         a digest or version of the certificate, readable
moderation.gate_verdict, gate_limits, gate_evidence, gate_judged_us   what the gate found, readable
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from moderation.adapters.registry import certificate_1
from moderation.adapters.registry.keys import VERIFY, KeyRing, SigningKey
from moderation.errors import ModelRefused

PREFIX = "moderation."
CERTIFICATE_TAG = PREFIX + "certificate_2"
MODEL_DIGEST_TAG, CARD_DIGEST_TAG = PREFIX + "model_digest", PREFIX + "card_digest"
FORMAT = 2
GATE_VERDICT_TAG = PREFIX + "gate_verdict"
_LABEL = b"moderation certificate 2\n"
_NAMES = ("model_name", "version")
_REMEDY = "Certify the version again if it is correct; otherwise move the alias to a certified version."

_REMEDY_FORMAT_1 = (
    "Run `moderation certify --all` in the batch layer, with MODERATION_SIGNING_KEY and the former "
    "MODERATION_CERTIFICATE_KEY; workers then open the version without a restart."
)

GateVerdict = Literal["passed", "first version", "bootstrap", "judged before gates were signed"]
"""``passed``: the gate compared it and had no reason against it. ``first version``: better than chance by its own
measurements, while nothing served. ``bootstrap``: decides before there are labels. The last one: certified by an
earlier release.

An override never becomes a certificate."""
BOOTSTRAP: GateVerdict = "bootstrap"


@dataclass(frozen=True, slots=True)
class GateEvidence:
    """What the gate found, as the certificate states it.

    Attributes:
        verdict: the verdict.
        limits: the limits that the version was judged by; values are JSON scalars. Empty if no gate judged it.
        evidence_digest: SHA-256 of ``gate.json`` of the version's run, hexadecimal; empty without one.
        judged_us: time of the verdict in microseconds since the epoch; None if it is not known.
    """

    verdict: GateVerdict
    limits: Mapping[str, Any] = field(default_factory=dict, hash=False)
    evidence_digest: str = ""
    judged_us: int | None = None

    def readable_tags(self) -> dict[str, str]:
        """Verdict, limits, digest and time as readable tags."""
        return {
            GATE_VERDICT_TAG: self.verdict,
            PREFIX + "gate_limits": _canonical(dict(self.limits)),
            PREFIX + "gate_evidence": self.evidence_digest or "none",
            PREFIX + "gate_judged_us": "unknown" if self.judged_us is None else str(self.judged_us),
        }


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Digests and versions of a model version. Digests are SHA-256, hexadecimal.

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

    def readable_tags(self) -> dict[str, str]:
        """Digests and versions as readable tags, without model name and version number."""
        return {PREFIX + name: getattr(self, name) for name in FACTS if name not in _NAMES}


FACTS = tuple(each.name for each in fields(ModelFacts))
"""Names of the facts, in order."""


@dataclass(frozen=True, slots=True)
class Certificate(ModelFacts):
    """Facts of a verified version, and what its gate found.

    Attributes:
        gate: verdict, limits and evidence.
    """

    gate: GateEvidence

    @classmethod
    def of(cls, facts: ModelFacts, gate: GateEvidence) -> Certificate:
        """Return the certificate of a version with these facts."""
        return cls(**{name: getattr(facts, name) for name in FACTS}, gate=gate)

    @property
    def facts(self) -> ModelFacts:
        """The facts without the gate."""
        return ModelFacts(*(getattr(self, name) for name in FACTS))

    def to_json(self) -> str:
        """The canonical JSON text, which is signed."""
        return _canonical(self._to_fields())

    def _to_fields(self) -> dict[str, Any]:
        facts = {name: getattr(self, name) for name in FACTS}
        return {"format": FORMAT, **facts, "gate": {**asdict(self.gate), "limits": dict(self.gate.limits)}}

    def signed(self, key: SigningKey) -> str:
        """Sign it; returns the value of ``CERTIFICATE_TAG``."""
        stated = {"certificate": self._to_fields(), "key_id": key.key_id, "signature": key.sign(_signed_bytes(self))}
        return _canonical(stated)


def tags_of(certificate: Certificate, key: SigningKey) -> dict[str, str]:
    """All tags of a certified version, the certificate last, so that an incomplete set is not a certificate."""
    readable = {**certificate.readable_tags(), **certificate.gate.readable_tags()}
    return {**readable, CERTIFICATE_TAG: certificate.signed(key)}


def certificate_tags(certificate: Certificate, tags: Mapping[str, str]) -> dict[str, str]:
    """Of a version's tags, those of its certificate: enough to read it again elsewhere."""
    readable = {**certificate.readable_tags(), **certificate.gate.readable_tags()}
    return {name: tags[name] for name in (*readable, CERTIFICATE_TAG)}


def is_certified(tags: Mapping[str, str]) -> bool:
    """Whether tags contain a certificate of any format, valid or not."""
    return CERTIFICATE_TAG in tags or certificate_1.CERTIFICATE_TAG in tags


def signing_key_id(tags: Mapping[str, str]) -> str:
    """Return the id of the key that a certificate names; empty without a certificate."""
    try:
        return str(json.loads(tags[CERTIFICATE_TAG])["key_id"])
    except (KeyError, ValueError, TypeError, RecursionError):
        return ""


def read_certificate(tags: Mapping[str, str], model_name: str, version: str, ring: KeyRing) -> Certificate:
    """Read and verify the certificate in the tags of a version.

    Args:
        tags: all tags of the version.
        model_name: registered model of the version.
        version: version number.
        ring: public keys of this installation.

    Raises:
        ModelRefused: there is no certificate, it has another format, it was made with a key that is not in the ring,
            edited, or copied from another model or version, or a readable tag differs.
    """
    thing = f"{model_name} version {version}"
    if (stated := tags.get(CERTIFICATE_TAG)) is None:
        if certificate_1.CERTIFICATE_TAG in tags:
            raise ModelRefused(thing, "its certificate has format 1, and this release reads format 2", _REMEDY_FORMAT_1)
        raise ModelRefused(thing, "it has no certificate: it was not verified", _REMEDY)
    certificate, key_id, signature = _parse(stated, thing)
    if key_id not in ring.key_ids:
        known = ", ".join(ring.key_ids)
        cause = f"its certificate was made with another key ({key_id}; {VERIFY} has {known})"
        raise ModelRefused(
            thing, cause, f"Add the public key to {VERIFY}, or run `moderation certify --all` with the present key."
        )
    if not ring.verify(key_id, signature, _signed_bytes(certificate)):
        raise ModelRefused(
            thing, f"tag {CERTIFICATE_TAG} was edited: certificate and signature do not belong together", _REMEDY
        )
    if (certificate.model_name, certificate.version) != (model_name, version):
        made_for = f"{certificate.model_name} version {certificate.version}"
        raise ModelRefused(thing, f"its certificate was made for {made_for} and copied here", _REMEDY)
    for name, value in {**certificate.readable_tags(), **certificate.gate.readable_tags()}.items():
        if tags.get(name) != value:
            raise ModelRefused(thing, f"tag {name} was edited: it is not what was certified", _REMEDY)
    return certificate


def _signed_bytes(certificate: Certificate) -> bytes:
    return _LABEL + certificate.to_json().encode()


def _parse(text: str, thing: str) -> tuple[Certificate, str, str]:
    """Return certificate, key id and signature; nothing is verified."""
    try:
        stated = json.loads(text)
        _require_fields(stated, {"certificate", "key_id", "signature"})
        body = stated["certificate"]
        if isinstance(body, dict) and body.get("format") != FORMAT:
            raise ValueError(f"its format is {body.get('format')!r}; this release reads format {FORMAT}")
        _require_fields(body, {"format", "gate", *FACTS})
        texts = [stated["key_id"], stated["signature"], *(body[name] for name in FACTS)]
        if not all(isinstance(each, str) for each in texts):
            raise ValueError("a field is not a string")
        certificate = Certificate.of(ModelFacts(*(body[name] for name in FACTS)), _gate(body["gate"]))
        certificate.to_json()  # refuses numbers that JSON does not have
        return certificate, texts[0], texts[1]
    except (ValueError, RecursionError) as error:
        raise ModelRefused(thing, f"tag {CERTIFICATE_TAG} is not a certificate ({error})", _REMEDY) from error


def _gate(stated: Any) -> GateEvidence:
    _require_fields(stated, {each.name for each in fields(GateEvidence)})
    if stated["verdict"] not in get_args(GateVerdict):
        raise ValueError(f"no gate has the verdict {stated['verdict']!r}")
    judged_us = stated["judged_us"]
    if not isinstance(stated["limits"], dict) or not isinstance(stated["evidence_digest"], str):
        raise ValueError("the gate's limits or evidence are malformed")
    if judged_us is not None and type(judged_us) is not int:
        raise ValueError("the gate's time is not an integer")
    return GateEvidence(**stated)


def _require_fields(stated: Any, names: set[str]) -> None:
    if not isinstance(stated, dict) or stated.keys() != names:
        raise ValueError("unknown or missing fields")


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
