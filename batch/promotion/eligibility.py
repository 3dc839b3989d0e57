"""Decide whether a version may be promoted: certificate, newest run of the gate, open defects."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from moderation.adapters.kafka.topics import COMMENTS
from moderation.adapters.promotion_log import PromotionLog
from moderation.adapters.reconciliation.runs import NIGHT_HOURS, open_defects
from moderation.adapters.registry import ModelVersion, Registry
from moderation.adapters.registry.certificate import Certificate, GateVerdict, is_certified
from moderation.adapters.registry.registry import GATE_REASONS_TAG, GATE_TAG, OVERRIDE_TAG
from moderation.adapters.sql.connection import connected
from moderation.errors import NotInRegistry, PromotionRefused
from moderation.settings import Settings, required
from moderation.timestamps import now_us

GATE_REPORT = "gate.json"
"""Artifact of a version's run: the report of the gate with its limits, see :mod:`batch.retrain.gate`."""
_MOST_REASONS = 1_000  # characters


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a version may not be promoted, and what to do next."""

    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a version.

    Attributes:
        verdict: of the gate, in the verified certificate; None without certificate.
        gate: state of the newest run of the gate, as tag ``moderation.gate`` has it; None if there was none.
        gate_reasons: why that run did not let it pass.
        is_report_certified: whether ``gate.json`` is the one that the certificate names; True if it names none.
        has_served: whether a record says that it was production.
        is_first: whether no version serves, or the bootstrap model.
        is_overridden: whether an operator lets it serve by override.
        defects: days with defects in their last reconciliation, and their number.
    """

    verdict: GateVerdict | None
    gate: str | None = None
    gate_reasons: str = ""
    is_report_certified: bool = True
    has_served: bool = False
    is_first: bool = False
    is_overridden: bool = False
    defects: Sequence[tuple[date, int]] = ()


def refusal_of(number: str, evidence: Evidence) -> Refusal | None:
    """Return why a version may not be promoted; None if it may.

    Args:
        number: of the version.
        evidence: what is known of it.
    """
    judge = f"`moderation gate {number}`"
    if evidence.gate not in (None, "passed"):
        state = "had too few comments" if evidence.gate == "too_few" else "stopped it"
        reasons = evidence.gate_reasons[:_MOST_REASONS] or "no reasons were stored"
        return Refusal(
            f"the newest run of the gate {state}: {reasons}",
            f"Retrain, or remove the causes and judge it again with {judge}.",
        )
    if evidence.verdict is None:
        serves = "it serves by override only, and " if evidence.is_overridden else ""
        return Refusal(f"{serves}the gate has not judged it, so it has no certificate", f"Judge it with {judge}.")
    if not evidence.is_report_certified:
        return Refusal(
            f"{GATE_REPORT} of its run is not the report that its certificate names", f"Judge it again with {judge}."
        )
    if evidence.verdict in ("first version", "bootstrap") and not evidence.is_first and not evidence.has_served:
        return Refusal(
            f"its certificate has the verdict {evidence.verdict}: the gate has not compared it with what serves",
            f"Judge it with {judge}.",
        )
    if evidence.defects:
        days = ", ".join(f"{day}: {count:,}" for day, count in evidence.defects)
        return Refusal(
            f"the last reconciliations found defects ({days})",
            "Find their cause with `moderation reconcile` and docs/runbooks.md, reconcile these days again, "
            "then promote.",
        )
    return None


def read_refusal(
    settings: Settings,
    model_registry: Registry,
    log: PromotionLog,
    version: ModelVersion,
    serving: ModelVersion | None,
) -> Refusal | None:
    """Read what is known of a version, and return why it may not be promoted; None if it may.

    Args:
        settings: name database and topic.
        model_registry: of the model.
        log: its promotions.
        version: to promote.
        serving: production version; None without one.

    Raises:
        ModelRefused: its certificate does not verify.
        RegistryUnavailable: MLflow does not answer.
        DatabaseUnavailable: PostgreSQL does not answer.
    """
    tags = model_registry.tags(version)
    certificate = model_registry.certificate(version.version) if is_certified(tags) else None
    return refusal_of(
        version.version,
        Evidence(
            verdict=None if certificate is None else certificate.gate.verdict,
            gate=tags.get(GATE_TAG),
            gate_reasons=tags.get(GATE_REASONS_TAG, ""),
            is_report_certified=certificate is None or _is_report_certified(model_registry, version, certificate),
            has_served=log.has_served(version.version),
            is_first=serving is None or model_registry.is_bootstrap(serving),
            is_overridden=bool(tags.get(OVERRIDE_TAG, "").strip()),
            defects=_defects(settings),
        ),
    )


def require_eligible(
    settings: Settings,
    model_registry: Registry,
    log: PromotionLog,
    version: ModelVersion,
    serving: ModelVersion | None,
) -> None:
    """Refuse a version that may not be promoted; see :func:`read_refusal` for the arguments.

    Raises:
        PromotionRefused: the version may not be promoted.
        ModelRefused: its certificate does not verify.
        RegistryUnavailable: MLflow does not answer.
        DatabaseUnavailable: PostgreSQL does not answer.
    """
    if (refusal := read_refusal(settings, model_registry, log, version, serving)) is not None:
        raise PromotionRefused(f"promotion of {version}", refusal.cause, refusal.remedy)


def _is_report_certified(model_registry: Registry, version: ModelVersion, certificate: Certificate) -> bool:
    if not certificate.gate.evidence_digest:
        return True
    try:
        content = model_registry.run_artifacts.read(version.run_id, GATE_REPORT)
    except NotInRegistry:
        return False
    return hashlib.sha256(content).hexdigest() == certificate.gate.evidence_digest


def _defects(settings: Settings) -> list[tuple[date, int]]:
    since_us = now_us() - NIGHT_HOURS * 3_600_000_000
    with connected(required(settings.database_url, "database_url")) as connection:
        return open_defects(connection, settings.topic_prefix + COMMENTS.name, since_us)
