"""Log of promotions: a record in PostgreSQL before the alias moves, tags in MLflow and a confirmation after it.

If PostgreSQL does not answer after the alias moved, the request remains without confirmation; if it did not answer
before, only the tags of the version contain the promotion. :meth:`PromotionLog.settle` completes both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from moderation.adapters.promotion_checks import RecordCheck, check_records
from moderation.adapters.registry.certificate import CERTIFICATE_TAG, PREFIX
from moderation.adapters.registry.promotion_record import PROMOTION_TAG, SignedRecord, digest_of
from moderation.adapters.registry.registry import (
    GATE_REASONS_TAG,
    GATE_TAG,
    PREVIOUS,
    PRODUCTION,
    ModelVersion,
    Registry,
)
from moderation.adapters.sql.connection import connected
from moderation.adapters.sql.promotions import (
    Kind,
    PromotionRecord,
    ServingPeriod,
    Sign,
    confirm,
    has_served,
    is_recorded,
    read_history,
    read_records,
    store_recovered,
    store_request,
)
from moderation.timestamps import now_us

NOT_JUDGED = "not judged"
ROLLBACK_REASON = "rollback from version "
"""Start of the reason of a version that serves again after a rollback."""
_RECOVERED_FROM = "tags of the version in MLflow"


def note_promotion(
    models: Registry, version: ModelVersion, what: Literal["promoted", "rolled_back"], by: str, reason: str
) -> None:
    """Store who promoted or rolled back a version, why and when, in the tags of the version."""
    for name, value in {"by": by, "reason": reason.strip(), "us": str(now_us())}.items():
        models.tag(version, f"{PREFIX}{what}_{name}", value)


class PromotionLog:
    """Promotions of one registered model.

    Every method raises ``DatabaseUnavailable`` if PostgreSQL does not answer, ``LedgerUnsafe`` if it is not migrated,
    and the errors of ``Registry``.

    Args:
        database_url: a libpq connection string.
        topic: full name of the topic whose workers serve the model.
        model_registry: of the model.
    """

    def __init__(self, database_url: str, topic: str, model_registry: Registry) -> None:
        self._url = database_url
        self._topic = topic
        self._registry = model_registry

    def request(
        self,
        version: ModelVersion,
        serving: ModelVersion | None,
        kind: Kind,
        *,
        by: str,
        reason: str,
        request_id: str,
        requested_from: str,
    ) -> None:
        """Store that a version is to replace the serving one, before the alias moves. Idempotent.

        Args:
            version: that gets the alias ``production``.
            serving: that has it; None if none has it.
            kind: of the promotion.
            by: who requested it.
            reason: why.
            request_id: of the DAG run, or of one call of the command.
            requested_from: URL of the Airflow run, or the command.

        Raises:
            ConfigurationError: this program has no signing key, and the request is no rollback. A rollback is stored
                without signature then, because the serving version does harm.
        """
        replaced = serving.version if serving else None
        unique = f"{request_id} version {version.version}"
        record = self._record(version, replaced, kind, by, reason, unique, requested_from, now_us())
        sign = self._sign(version, is_required=kind != "rollback")
        with connected(self._url) as connection:
            signed = store_request(connection, record, sign)
        self._tag(version, signed)

    def confirm(self, version: ModelVersion) -> bool:
        """Store that a version has the alias ``production`` now; return whether a request waited for it. Idempotent."""
        with connected(self._url) as connection:
            return confirm(
                connection,
                topic=self._topic,
                model_name=self._registry.model_name,
                version=version.version,
                moved_us=now_us(),
            )

    def settle(self) -> None:
        """Complete the record of the serving version after PostgreSQL was away. Idempotent."""
        serving = self._registry.resolve(PRODUCTION)
        if serving is None or self.confirm(serving):
            return
        tags = self._registry.tags(serving)
        promoted_us = tags.get(PREFIX + "promoted_us", "")
        if not promoted_us.isdecimal():
            return
        moved_us = int(promoted_us)
        with connected(self._url) as connection:
            name = self._registry.model_name
            if is_recorded(connection, topic=self._topic, model_name=name, version=serving.version, moved_us=moved_us):
                return
            by, reason = (tags.get(f"{PREFIX}promoted_{each}", "unknown") for each in ("by", "reason"))
            kind: Kind = "rollback" if reason.startswith(ROLLBACK_REASON) else "promote"
            previous = self._registry.resolve(PREVIOUS)
            replaced = previous.version if previous else None
            request_id = f"{name} version {serving.version} at {moved_us}"
            record = self._record(serving, replaced, kind, by, reason, request_id, _RECOVERED_FROM, moved_us)
            signed = store_recovered(connection, record, self._sign(serving, is_required=False))
        self._tag(serving, signed)

    def verify(self) -> list[RecordCheck]:
        """Verify the signature of every record; see :func:`check_records`."""
        with connected(self._url) as connection:
            records = read_records(connection, self._topic, self._registry.model_name)
        return check_records(records, self._registry.tag_of_all(PROMOTION_TAG), self._registry.keys.ring)

    def has_served(self, version: str) -> bool:
        """Return whether a confirmed record says that a version was production."""
        with connected(self._url) as connection:
            return has_served(connection, topic=self._topic, model_name=self._registry.model_name, version=version)

    def periods(self, most: int = 100) -> list[ServingPeriod]:
        """Read which version served when, newest first, with who promoted it.

        Args:
            most: maximum number of periods.
        """
        with connected(self._url) as connection:
            return read_history(connection, self._topic, self._registry.model_name, most)

    def _sign(self, version: ModelVersion, *, is_required: bool) -> Sign:
        """Return a function that signs the columns of a record with the digests of card and certificate."""
        key = self._registry.keys.to_sign() if is_required else self._registry.keys.signing
        certificate = self._registry.tags(version).get(CERTIFICATE_TAG, "")
        digests = {"card_digest": version.card_digest, "certificate_digest": digest_of(certificate)}

        def sign(columns: Mapping[str, Any]) -> SignedRecord | None:
            return None if key is None else SignedRecord.of({**columns, **digests}, key)

        return sign

    def _tag(self, version: ModelVersion, signed: SignedRecord | None) -> None:
        if signed is not None:
            self._registry.tag(version, PROMOTION_TAG, signed.to_tag())

    def _record(
        self,
        version: ModelVersion,
        replaced: str | None,
        kind: Kind,
        by: str,
        reason: str,
        request_id: str,
        requested_from: str,
        at_us: int,
    ) -> PromotionRecord:
        tags = self._registry.tags(version)
        gate = tags.get(GATE_TAG, tags.get(PREFIX + "gate_verdict", NOT_JUDGED))
        return PromotionRecord(
            request_id=request_id,
            topic=self._topic,
            model_name=self._registry.model_name,
            version=version.version,
            replaced=replaced,
            kind=kind,
            requested_by=by,
            reason=reason.strip(),
            gate=gate,
            gate_reasons=tags.get(GATE_REASONS_TAG, "") if tags.get(GATE_TAG, "passed") != "passed" else "",
            model_digest=version.model_digest,
            requested_from=requested_from,
            requested_us=at_us,
        )
