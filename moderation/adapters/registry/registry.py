"""Registry of model versions: register, certify, set aliases, and open certified versions only."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from moderation.adapters.model_folder.folder import CARD, METRICS, MODEL, POLICY, OpenModel, open_model
from moderation.adapters.registry import last_good
from moderation.adapters.registry.certificate import (
    CARD_DIGEST_TAG,
    CERTIFICATE_TAG,
    MODEL_DIGEST_TAG,
    PREFIX,
    Certificate,
    check_key,
    read_certificate,
    tags_of,
)
from moderation.adapters.registry.client import Connection
from moderation.adapters.registry.download import download, fetch_into, first_difference, sha256_of
from moderation.adapters.registry.history import ModelHistory
from moderation.adapters.registry.run_artifacts import RunArtifacts
from moderation.adapters.registry.upload import newest_run_us, upload
from moderation.errors import ModelRefused, NotInRegistry
from moderation.text import Lexicon

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

PRODUCTION, PREVIOUS, CHALLENGER = "production", "previous", "challenger"
"""Aliases: the serving version, the one that served before, and the one that waits for approval."""
GATE_TAG, GATE_REASONS_TAG = PREFIX + "gate", PREFIX + "gate_reasons"
PROMOTED_TAG = PREFIX + "promoted"
"""Tag of the registered model: the version that this project promoted last. A manual change moves only aliases."""
OVERRIDE_TAG = PREFIX + "override"
"""Tag with an operator's reason to serve a version without certificate; without a reason it has no effect."""
_MOST_TAG_CHARACTERS = 5_000  # length of MLflow's column
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version of the registered model.

    Attributes:
        name: the registered model.
        version: version number, as text.
        run_id: the MLflow run that logged it; empty without one.
        model_digest: SHA-256 of ``model.skops``, hexadecimal, from the tags of the version; empty without the tag.
        card_digest: SHA-256 of ``model.json``, which contains the digests of all other files; likewise.
    """

    name: str
    version: str
    run_id: str
    model_digest: str
    card_digest: str

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


class Registry:
    """The versions of one registered model on an MLflow server.

    Every method that contacts the server raises ``RegistryUnavailable`` if it does not answer (within seconds if it
    is down) and ``ConfigurationError`` if MLflow does not accept a name. Thread-safe.

    Args:
        tracking_uri: ``http`` or ``https`` address of the MLflow server.
        model_name: the registered model.
        key: signs and verifies certificates; 32 bytes or more.

    Raises:
        ConfigurationError: the address, the key, or MLflow is missing or malformed.
    """

    def __init__(self, tracking_uri: str, model_name: str, key: bytes) -> None:
        check_key(key)
        self.model_name = model_name
        self._key = key
        self._connection = Connection(tracking_uri)
        self.run_artifacts = RunArtifacts(self._connection, model_name)
        self.history = ModelHistory(self._connection, model_name)

    def register(
        self,
        folder: Path,
        lexicon: Lexicon,
        max_bytes: int,
        *,
        run_name: str,
        reason: str,
        params: Mapping[str, str] | None = None,
    ) -> ModelVersion:
        """Register a model folder as a new version, without certificate and alias.

        Args:
            folder: written by :func:`moderation.adapters.model_folder.folder.save_model`; verified before the upload.
            lexicon: shared lexicon of the process.
            max_bytes: size limit of a file.
            run_name: name of the MLflow run.
            reason: why the model was trained; the description of the version.
            params: parameters of the run, besides data digest, seed, folds, goals and thresholds.

        Raises:
            ModelRefused: the folder does not verify.
        """
        opened = open_model(folder, lexicon, max_bytes)
        facts = self._facts(folder, opened, version="")
        metrics = json.loads((folder / METRICS).read_bytes())
        uploaded = upload(
            self._connection, folder, opened, facts, metrics, run_name=run_name, reason=reason, params=params or {}
        )
        return ModelVersion(
            self.model_name, str(uploaded.version), uploaded.run_id or "", facts.model_digest, facts.card_digest
        )

    def certify(self, version: ModelVersion, lexicon: Lexicon, max_bytes: int) -> Certificate:
        """Verify the artifact in the registry and sign it. Idempotent.

        The artifact is downloaded, not read from a cache, compared with ``version.card_digest`` and opened, which
        checks digests, trusted types, kernel version and golden rows.

        Args:
            version: as :meth:`register` returned it, so that the registered files are certified.
            lexicon: shared lexicon of the process.
            max_bytes: size limit of a file.

        Raises:
            ModelRefused: the stored artifact differs from the registered one, or does not verify.
        """
        with tempfile.TemporaryDirectory(prefix="moderation-certify-") as scratch:
            folder = Path(scratch)
            download(self._connection, self._source(version.version), folder, str(version))
            if (different := first_difference(folder, version.card_digest)) is not None:
                raise ModelRefused(
                    str(version),
                    f"{different} in the registry is not the one that was registered",
                    "Register it again.",
                )
            certificate = self._facts(folder, open_model(folder, lexicon, max_bytes), version.version)
        for name, value in tags_of(certificate, self._key).items():
            with self._connection.asking(str(version)):
                self._connection.client.set_model_version_tag(self.model_name, version.version, name, value)
        return certificate

    def ensure_alias(self, alias: str, version: ModelVersion) -> bool:
        """Set an alias on a certified version unless another version has it.

        Returns:
            Whether the alias was set.

        Raises:
            ModelRefused: the version is not certified.
        """
        self.certificate(version.version)
        if self.resolve(alias) is not None:
            return False
        self._set_alias(alias, version.version)
        if alias == PRODUCTION:
            self._note_promoted(version)
        return True

    def give_alias(self, alias: str, version: ModelVersion) -> None:
        """Set an alias on a certified version; it moves from any other version.

        Raises:
            ModelRefused: the version is not certified.
        """
        self.certificate(version.version)
        self._set_alias(alias, version.version)

    def take_alias(self, alias: str, version: ModelVersion) -> None:
        """Remove an alias from a version if that version has it."""
        named = self.resolve(alias)
        if named is not None and named.version == version.version:
            with self._connection.asking(f"alias {alias}"):
                self._connection.client.delete_registered_model_alias(self.model_name, alias)

    def promote(self, version: ModelVersion) -> ModelVersion | None:
        """Make a certified version ``production``; the former one becomes ``previous``. Idempotent.

        Returns:
            The version that is ``previous`` now; None if none served before.

        Raises:
            ModelRefused: the version is not certified.
        """
        self.certificate(version.version)
        serving = self.resolve(PRODUCTION)
        if serving is None or serving.version != version.version:
            if serving is not None:  # first, so that an interrupted promotion can be rolled back
                self._set_alias(PREVIOUS, serving.version)
            self._set_alias(PRODUCTION, version.version)
        self._note_promoted(version)
        self.take_alias(CHALLENGER, version)
        return self.resolve(PREVIOUS)

    def roll_back(self) -> tuple[ModelVersion, ModelVersion | None]:
        """Promote the version that served before; the serving one becomes ``previous``.

        Returns:
            The version that serves now, and the one that served.

        Raises:
            NotInRegistry: none served before, see :meth:`before`.
            ModelRefused: the version is no longer certified.
        """
        back, serving = self.before(), self.resolve(PRODUCTION)
        self.promote(back)
        return back, serving

    def before(self) -> ModelVersion:
        """Return the version that served before the one that is ``production``.

        This is ``previous``, unless an operator moved ``production`` by hand: then ``previous`` is older than that
        move, and the result is the version that this project promoted last.

        Raises:
            NotInRegistry: there is no such version.
        """
        with self._connection.asking(self.model_name):
            model = self._connection.client.get_registered_model(self.model_name)
        serving, promoted = model.aliases.get(PRODUCTION), model.tags.get(PROMOTED_TAG)
        number = promoted if promoted not in (None, serving) else model.aliases.get(PREVIOUS)
        if number is None or number == serving:
            raise NotInRegistry(
                f"alias {PREVIOUS} of {self.model_name}", "no version has it", "Promote a version by its number."
            )
        return self.version(number)

    def note_gate(self, version: ModelVersion, reasons: Sequence[str]) -> None:
        """Store the result of the gate in the tags of a version; no reasons mean that it passed."""
        self.tag(version, GATE_REASONS_TAG, "; ".join(reasons) or "none")
        self.tag(version, GATE_TAG, "failed" if reasons else "passed")

    def tag(self, version: ModelVersion, name: str, value: str) -> None:
        """Set a tag of a version; a value that is too long for MLflow is cut."""
        with self._connection.asking(str(version)):
            self._connection.client.set_model_version_tag(
                self.model_name, version.version, name, value[:_MOST_TAG_CHARACTERS]
            )

    def tags(self, version: ModelVersion) -> dict[str, str]:
        """Read all tags of a version."""
        return dict(self._find(version.version).tags)

    def resolve(self, alias: str) -> ModelVersion | None:
        """Read the version of an alias; None if it is not set. The version is not verified."""
        try:
            with self._connection.asking(f"alias {alias} of {self.model_name}"):
                aliases = self._connection.client.get_registered_model(self.model_name).aliases
        except NotInRegistry:
            return None
        return self.version(aliases[alias]) if alias in aliases else None

    def version(self, number: str) -> ModelVersion:
        """Read a version by its number. The version is not verified.

        Raises:
            NotInRegistry: there is no such version.
        """
        stored = self._find(number)
        digests = stored.tags.get(MODEL_DIGEST_TAG, ""), stored.tags.get(CARD_DIGEST_TAG, "")
        return ModelVersion(self.model_name, str(stored.version), stored.run_id or "", *digests)

    def newest_run_us(self, run_name: str) -> int | None:
        """Start time of the last run of this name that registered a version, in microseconds; None without one."""
        return newest_run_us(self._connection, self.model_name, run_name)

    def certificate(self, number: str) -> Certificate:
        """Read and verify the certificate of a version; its files are not read.

        Raises:
            ModelRefused: there is no such version, or its certificate is missing, edited, copied or signed with another
                key.
        """
        return read_certificate(self._find(number).tags, self.model_name, number, self._key)

    def fetch(self, version: ModelVersion, cache: Path) -> Path:
        """Return the model folder of a version, by ``version.card_digest`` from ``cache`` or from the registry.

        Returns:
            A complete folder whose files match the card. It is read-only.

        Raises:
            ModelRefused: the files in the registry do not match the digest.
        """
        source = self._source(version.version)
        return fetch_into(cache, self._connection, source, version.card_digest, str(version))

    def open_certified(
        self, version: ModelVersion, lexicon: Lexicon, max_bytes: int, cache: Path, *, to_serve: bool = False
    ) -> OpenModel:
        """Verify the certificate, verify the files against it, and open them.

        A version without certificate opens if an operator has set the tag ``moderation.override`` to a reason, which
        is logged. Its files are then verified against the digests from its registration.

        Args:
            version: from :meth:`resolve` or :meth:`version`; its tags are read again.
            lexicon: shared lexicon of the process.
            max_bytes: size limit of a file.
            cache: folder of downloaded models, see :meth:`fetch`.
            to_serve: store it as the version that :meth:`open_last_good` opens.

        Raises:
            ModelRefused: something does not verify; the message names it. The model is opened only to score the golden
                rows.
        """
        certificate = self._overridden(version.version) or self.certificate(version.version)
        source = self._source(version.version)
        folder = fetch_into(cache, self._connection, source, certificate.card_digest, str(version))
        opened = self._open(folder, certificate, lexicon, max_bytes)
        if to_serve:
            last_good.keep(cache, certificate, self._key)
        return opened

    def open_last_good(self, lexicon: Lexicon, max_bytes: int, cache: Path) -> tuple[str, OpenModel] | None:
        """Open the version that :meth:`open_certified` opened last to serve, without contacting the server.

        Args:
            lexicon: shared lexicon of the process.
            max_bytes: size limit of a file.
            cache: folder of downloaded models.

        Returns:
            Version number and model; None if none was opened with this cache.

        Raises:
            ModelRefused: the stored version does not verify.
        """
        certificate = last_good.read(cache, self.model_name, self._key)
        if certificate is None:
            return None
        folder = cache / certificate.card_digest
        if (different := first_difference(folder, certificate.card_digest)) is not None:
            raise ModelRefused(str(folder), f"{different} does not match its certificate", "Delete the folder.")
        return certificate.version, self._open(folder, certificate, lexicon, max_bytes)

    def _open(self, folder: Path, certificate: Certificate, lexicon: Lexicon, max_bytes: int) -> OpenModel:
        opened = open_model(folder, lexicon, max_bytes)
        if self._facts(folder, opened, certificate.version) != certificate:
            thing = f"{certificate.model_name} version {certificate.version}"
            raise ModelRefused(thing, "its files do not match its certificate", "Certify it again.")
        return opened

    def _facts(self, folder: Path, opened: OpenModel, version: str) -> Certificate:
        files = opened.card["files"]
        return Certificate(
            model_name=self.model_name,
            version=version,
            card_digest=sha256_of(folder / CARD),
            model_digest=files[MODEL],
            policy_digest=files[POLICY],
            metrics_digest=files[METRICS],
            kernel_version=str(opened.card["kernel_version"]),
            policy_version=opened.policy.policy_version,
            data_digest=str(opened.card["training"].get("data_digest", "unknown")),
        )

    def _overridden(self, number: str) -> Certificate | None:
        """The digests in the tags of a version without certificate, if an operator has set the override tag."""
        tags = self._find(number).tags
        reason = tags.get(OVERRIDE_TAG, "").strip()
        if CERTIFICATE_TAG in tags or not reason:
            return None
        _log.warning("%s version %s has no certificate; it is opened by override: %s", self.model_name, number, reason)
        stated = {field.name: tags.get(PREFIX + field.name, "") for field in fields(Certificate)}
        return Certificate(**{**stated, "model_name": self.model_name, "version": number})

    def _set_alias(self, alias: str, number: str) -> None:
        with self._connection.asking(f"alias {alias}"):
            self._connection.client.set_registered_model_alias(self.model_name, alias, number)

    def _note_promoted(self, version: ModelVersion) -> None:
        with self._connection.asking(self.model_name):
            self._connection.client.set_registered_model_tag(self.model_name, PROMOTED_TAG, version.version)

    def _find(self, number: str) -> MlflowVersion:
        with self._connection.asking(f"{self.model_name} version {number}"):
            return self._connection.client.get_model_version(self.model_name, number)

    def _source(self, number: str) -> str:
        with self._connection.asking(f"{self.model_name} version {number}"):
            return self._connection.client.get_model_version_download_uri(self.model_name, number)
