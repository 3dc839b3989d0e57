"""Registry of model versions: register, certify, and set aliases of certified versions only."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from moderation.adapters.model_folder.folder import METRICS, open_model
from moderation.adapters.override import Override
from moderation.adapters.registry.certificate import (
    Certificate,
    GateEvidence,
    is_certified,
    tags_of,
)
from moderation.adapters.registry.download import download, first_difference
from moderation.adapters.registry.history import ModelHistory
from moderation.adapters.registry.keys import CertificateKeys
from moderation.adapters.registry.model_version import (
    CHALLENGER,
    GATE_REASONS_TAG,
    GATE_TAG,
    GOALS_LOWERED_TAG,
    OVERRIDE_ENDED_TAG,
    OVERRIDE_TAG,
    PREVIOUS,
    PRODUCTION,
    PROMOTED_TAG,
    ModelVersion,
)
from moderation.adapters.registry.recertify import Recertified, recertify, versions_of
from moderation.adapters.registry.run_artifacts import RunArtifacts
from moderation.adapters.registry.upload import newest_run_us, upload
from moderation.adapters.registry.version_reader import VersionReader
from moderation.errors import ModelRefused, NotInRegistry
from moderation.text import Lexicon
from moderation.training.gate import GateState

__all__ = [
    "CHALLENGER",
    "GATE_REASONS_TAG",
    "GATE_TAG",
    "GOALS_LOWERED_TAG",
    "OVERRIDE_TAG",
    "PREVIOUS",
    "PRODUCTION",
    "ModelVersion",
    "Registry",
]
_GATE_TAG_VALUES: Mapping[GateState, str] = {"passed": "passed", "stopped": "failed", "too few comments": "too_few"}
_MOST_TAG_CHARACTERS = 5_000  # length of MLflow's column


class Registry(VersionReader):
    """The versions of one registered model on an MLflow server, for those who register, certify and promote.

    Args:
        tracking_uri: ``http`` or ``https`` address of the MLflow server.
        model_name: the registered model.
        keys: public keys that verify certificates, and the key that signs them in the batch layer.
        overrides_allowed: whether an override lets a version without certificate serve.

    Raises:
        ConfigurationError: the address or MLflow is missing or malformed.
    """

    def __init__(
        self, tracking_uri: str, model_name: str, keys: CertificateKeys, *, overrides_allowed: bool = True
    ) -> None:
        super().__init__(tracking_uri, model_name, keys, overrides_allowed=overrides_allowed)
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
        lake_url: str = "",
    ) -> ModelVersion:
        """Register a model folder as a new version, without certificate and alias.

        Args:
            folder: written by :func:`moderation.adapters.model_folder.folder.save_model`; verified before the upload.
            lexicon: shared lexicon of the process.
            max_bytes: size limit of a file.
            run_name: name of the MLflow run.
            reason: why the model was trained; the description of the version.
            params: parameters of the run, besides data digest, seed, folds, goals and thresholds.
            lake_url: address of the lake, if the model was trained on it.

        Raises:
            ModelRefused: the folder does not verify.
        """
        opened = open_model(folder, lexicon, max_bytes)
        facts = self._facts(folder, opened, version="")
        metrics = json.loads((folder / METRICS).read_bytes())
        described = {"run_name": run_name, "reason": reason, "lake_url": lake_url}
        uploaded = upload(self._connection, folder, opened, facts, metrics, params=params or {}, **described)
        return ModelVersion(
            self.model_name, str(uploaded.version), uploaded.run_id or "", facts.model_digest, facts.card_digest
        )

    def certify(self, version: ModelVersion, lexicon: Lexicon, max_bytes: int, *, gate: GateEvidence) -> Certificate:
        """Verify the artifact in the registry and sign it. Idempotent.

        The artifact is downloaded, not read from a cache, compared with ``version.card_digest`` and opened, which
        checks digests, trusted types, kernel version and golden rows.

        Args:
            version: as :meth:`register` returned it, so that the registered files are certified.
            lexicon: shared lexicon of the process.
            max_bytes: size limit of a file.
            gate: what the gate found; part of the certificate.

        Raises:
            ModelRefused: the stored artifact differs from the registered one, or does not verify.
            ConfigurationError: this program has no signing key.
        """
        key = self.keys.to_sign()
        with tempfile.TemporaryDirectory(prefix="moderation-certify-") as scratch:
            folder = Path(scratch)
            download(self._connection, self._source(version.version), folder, str(version), max_bytes)
            if (different := first_difference(folder, version.card_digest)) is not None:
                raise ModelRefused(
                    str(version),
                    f"{different} in the registry is not the one that was registered",
                    "Register it again.",
                )
            facts = self._facts(folder, open_model(folder, lexicon, max_bytes), version.version)
        certificate = Certificate.of(facts, gate)
        for name, value in tags_of(certificate, key).items():
            with self._connection.asking(str(version)):
                self._connection.client.set_model_version_tag(self.model_name, version.version, name, value)
        return certificate

    def certify_all(self) -> list[Recertified]:
        """Sign every certified version with the present key, see :func:`recertify`. Idempotent.

        Raises:
            ConfigurationError: this program has no signing key.
        """
        return recertify(self._connection, self.model_name, self.keys)

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

    def note_gate(self, version: ModelVersion, state: GateState, reasons: Sequence[str]) -> None:
        """Store the result of the gate in the tags of a version."""
        self.tag(version, GATE_REASONS_TAG, "; ".join(reasons) or "none")
        self.tag(version, GATE_TAG, _GATE_TAG_VALUES[state])

    def tag(self, version: ModelVersion, name: str, value: str) -> None:
        """Set a tag of a version; a value that is too long for MLflow is cut."""
        with self._connection.asking(str(version)):
            self._connection.client.set_model_version_tag(
                self.model_name, version.version, name, value[:_MOST_TAG_CHARACTERS]
            )

    def set_override(self, version: ModelVersion, override: Override) -> None:
        """Let a version without certificate serve until the end of the override.

        Raises:
            ModelRefused: the version has a certificate.
        """
        if is_certified(self.tags(version)):
            raise ModelRefused(str(version), "it has a certificate, so an override has no effect", "Promote it.")
        self.tag(version, OVERRIDE_TAG, str(override))

    def end_override(self, version: ModelVersion) -> bool:
        """Remove the override of a version; return whether it had one.

        Its value stays as tag ``moderation.override_ended``, with which reconciliation opens the version.
        """
        if (value := self.tags(version).get(OVERRIDE_TAG)) is None:
            return False
        self.tag(version, OVERRIDE_ENDED_TAG, value)
        with self._connection.asking(str(version)):
            self._connection.client.delete_model_version_tag(self.model_name, version.version, OVERRIDE_TAG)
        return True

    def tag_of_all(self, name: str) -> dict[str, str]:
        """Read a tag of every version that has it, by version number."""
        found = versions_of(self._connection, self.model_name)
        return {str(each.version): each.tags[name] for each in found if name in each.tags}

    def newest_run_us(self, run_name: str) -> int | None:
        """Start time of the last run of this name that registered a version, in microseconds; None without one."""
        return newest_run_us(self._connection, self.model_name, run_name)

    def _set_alias(self, alias: str, number: str) -> None:
        with self._connection.asking(f"alias {alias}"):
            self._connection.client.set_registered_model_alias(self.model_name, alias, number)

    def _note_promoted(self, version: ModelVersion) -> None:
        with self._connection.asking(self.model_name):
            self._connection.client.set_registered_model_tag(self.model_name, PROMOTED_TAG, version.version)
