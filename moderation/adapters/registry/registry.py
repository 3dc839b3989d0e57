"""Versions of the moderation model: registered, certified, named by aliases, opened only if certified."""

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
from moderation.adapters.registry.client import Connection, NotInRegistry
from moderation.adapters.registry.download import download, fetch_into, first_difference, sha256_of
from moderation.adapters.registry.run_artifacts import RunArtifacts
from moderation.adapters.registry.upload import newest_run_us, upload
from moderation.errors import ModelRefused
from moderation.text import Lexicon

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

PRODUCTION, PREVIOUS, CHALLENGER = "production", "previous", "challenger"
"""Aliases: which version serves, which one served before it, which one waits for a person's approval."""
GATE_TAG, GATE_REASONS_TAG = PREFIX + "gate", PREFIX + "gate_reasons"
PROMOTED_TAG = PREFIX + "promoted"
"""Of the registered model: which version this project made ``production`` last. A person's hand moves only aliases."""
OVERRIDE_TAG = PREFIX + "override"
"""A person's reason to let a version serve that nobody certified; without a reason it is no override."""
_MOST_TAG_CHARACTERS = 5_000  # MLflow's column is no longer
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version of the registered model.

    Attributes:
        name: the registered model.
        version: its number, as text.
        run_id: the MLflow run that logged it; empty if none did.
        model_digest: SHA-256 of ``model.skops``, hexadecimal, as the registry states it; empty if it does not.
        card_digest: SHA-256 of ``model.json``, which states the digests of all other files; likewise.
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

    Every method that asks the server raises ``RegistryUnavailable`` when it does not answer (within seconds when it
    is down) and ``ConfigurationError`` when MLflow does not accept a name. Safe for threads.

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
        """Register a model folder as a new version. It is not certified and no alias names it.

        Args:
            folder: as written by ``model_store.save_model``; verified before anything is sent.
            lexicon: the process's, to share.
            max_bytes: largest file that is read.
            run_name: of the MLflow run, for people.
            reason: why the model was made; the version's description.
            params: logged with the run beside data digest, seed, folds, goals and thresholds.

        Raises:
            ModelRefused: the folder does not verify.
        """
        opened = open_model(folder, lexicon, max_bytes)
        facts = self._facts(folder, opened, version="")
        metrics = json.loads((folder / METRICS).read_bytes())
        found = upload(
            self._connection, folder, opened, facts, metrics, run_name=run_name, reason=reason, params=params or {}
        )
        return ModelVersion(
            self.model_name, str(found.version), found.run_id or "", facts.model_digest, facts.card_digest
        )

    def certify(self, version: ModelVersion, lexicon: Lexicon, max_bytes: int) -> Certificate:
        """Check what the registry stores and sign it.

        The artifact is downloaded again, never taken from a cache, compared with ``version.card_digest`` and opened:
        digests, trusted types, kernel version, golden rows. Safe to repeat.

        Args:
            version: as :meth:`register` returned it, so that what is certified is what was registered.
            lexicon: the process's, to share.
            max_bytes: largest file that is read.

        Raises:
            ModelRefused: the stored artifact is not the registered one, or does not verify.
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
        """Give a certified version an alias that no version has; an alias in use stays where it is.

        Returns:
            Whether the alias was given.

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
        """Give a certified version an alias; the version that has it loses it.

        Raises:
            ModelRefused: the version is not certified.
        """
        self.certificate(version.version)
        self._set_alias(alias, version.version)

    def take_alias(self, alias: str, version: ModelVersion) -> None:
        """Take an alias off a version, if that version has it."""
        named = self.resolve(alias)
        if named is not None and named.version == version.version:
            with self._connection.asking(f"alias {alias}"):
                self._connection.client.delete_registered_model_alias(self.model_name, alias)

    def promote(self, version: ModelVersion) -> ModelVersion | None:
        """Make a certified version ``production``; the one that was becomes ``previous``. Safe to repeat.

        Returns:
            The version that is ``previous`` now; None if none served before.

        Raises:
            ModelRefused: the version is not certified.
        """
        self.certificate(version.version)
        serving = self.resolve(PRODUCTION)
        if serving is None or serving.version != version.version:
            if serving is not None:  # first: a promotion that dies half-way can still be rolled back
                self._set_alias(PREVIOUS, serving.version)
            self._set_alias(PRODUCTION, version.version)
        self._note_promoted(version)
        self.take_alias(CHALLENGER, version)
        return self.resolve(PREVIOUS)

    def roll_back(self) -> tuple[ModelVersion, ModelVersion | None]:
        """Make the version that served before serve again; what served becomes ``previous``: twice is as before.

        Returns:
            The version that serves now, and the one that did.

        Raises:
            NotInRegistry: none served before, see :meth:`before`.
            ModelRefused: it is not certified any more.
        """
        back, serving = self.before(), self.resolve(PRODUCTION)
        self.promote(back)
        return back, serving

    def before(self) -> ModelVersion:
        """The version that served before the one that is ``production``.

        It is ``previous``; but where a person moved ``production`` by hand, ``previous`` is older than that move, and
        it is the one that this project made ``production`` last.

        Raises:
            NotInRegistry: there is none.
        """
        with self._connection.asking(self.model_name):
            known = self._connection.client.get_registered_model(self.model_name)
        serving, promoted = known.aliases.get(PRODUCTION), known.tags.get(PROMOTED_TAG)
        found = promoted if promoted not in (None, serving) else known.aliases.get(PREVIOUS)
        if found is None or found == serving:
            raise NotInRegistry(
                f"alias {PREVIOUS} of {self.model_name}", "no version has it", "Promote a version by its number."
            )
        return self.version(found)

    def note_gate(self, version: ModelVersion, reasons: Sequence[str]) -> None:
        """Say in the version's tags what the gate found: nothing against it, or these reasons."""
        self.tag(version, GATE_REASONS_TAG, "; ".join(reasons) or "none")
        self.tag(version, GATE_TAG, "failed" if reasons else "passed")

    def tag(self, version: ModelVersion, name: str, value: str) -> None:
        """Set a tag of a version; what is too long for MLflow is cut."""
        with self._connection.asking(str(version)):
            self._connection.client.set_model_version_tag(
                self.model_name, version.version, name, value[:_MOST_TAG_CHARACTERS]
            )

    def tags(self, version: ModelVersion) -> dict[str, str]:
        """All tags of a version, as they are now."""
        return dict(self._find(version.version).tags)

    def resolve(self, alias: str) -> ModelVersion | None:
        """The version an alias names now; None if it names none. Nothing of it is verified yet."""
        try:
            with self._connection.asking(f"alias {alias} of {self.model_name}"):
                aliases = self._connection.client.get_registered_model(self.model_name).aliases
        except NotInRegistry:
            return None
        return self.version(aliases[alias]) if alias in aliases else None

    def version(self, number: str) -> ModelVersion:
        """A version by its number. Nothing of it is verified yet.

        Raises:
            NotInRegistry: there is no such version.
        """
        found = self._find(number)
        digests = found.tags.get(MODEL_DIGEST_TAG, ""), found.tags.get(CARD_DIGEST_TAG, "")
        return ModelVersion(self.model_name, str(found.version), found.run_id or "", *digests)

    def newest_run_us(self, run_name: str) -> int | None:
        """When the last run of this name that registered a version began, in microseconds; None if none did."""
        return newest_run_us(self._connection, self.model_name, run_name)

    def certificate(self, number: str) -> Certificate:
        """The certificate of a version, verified; its files are not looked at.

        Raises:
            ModelRefused: there is no such version, or its certificate is missing, edited, copied or another key's.
        """
        return read_certificate(self._find(number).tags, self.model_name, number, self._key)

    def fetch(self, version: ModelVersion, cache: Path) -> Path:
        """The version's model folder, by ``version.card_digest`` from ``cache`` or from the registry.

        Returns:
            A folder that is whole: every file is what its card states. Read it, don't write into it.

        Raises:
            ModelRefused: what the registry holds is not what the digest says.
        """
        source = self._source(version.version)
        return fetch_into(cache, self._connection, source, version.card_digest, str(version))

    def open_certified(
        self, version: ModelVersion, lexicon: Lexicon, max_bytes: int, cache: Path, *, to_serve: bool = False
    ) -> OpenModel:
        """Verify the certificate, then the files against it, then open them.

        A version without any certificate opens if a person has set the tag ``moderation.override`` to a reason, which
        is logged. Its files are verified all the same, against the digests it was registered with.

        Args:
            version: as :meth:`resolve` or :meth:`version` told it; its tags are read anew.
            lexicon: the process's, to share.
            max_bytes: largest file that is read.
            cache: folder of downloaded models, see :meth:`fetch`.
            to_serve: keep it as the version that :meth:`open_last_good` opens.

        Raises:
            ModelRefused: naming what does not verify. Nothing was opened unless its golden rows are what differs.
        """
        certificate = self._overridden(version.version) or self.certificate(version.version)
        source = self._source(version.version)
        folder = fetch_into(cache, self._connection, source, certificate.card_digest, str(version))
        opened = self._open(folder, certificate, lexicon, max_bytes)
        if to_serve:
            last_good.keep(cache, certificate, self._key)
        return opened

    def open_last_good(self, lexicon: Lexicon, max_bytes: int, cache: Path) -> tuple[str, OpenModel] | None:
        """Open the version that :meth:`open_certified` opened last to serve, without asking the server.

        Args:
            lexicon: the process's, to share.
            max_bytes: largest file that is read.
            cache: folder of downloaded models.

        Returns:
            Version number and model; None if none was opened with this cache.

        Raises:
            ModelRefused: what is kept does not verify.
        """
        certificate = last_good.read(cache, self.model_name, self._key)
        if certificate is None:
            return None
        folder = cache / certificate.card_digest
        if (different := first_difference(folder, certificate.card_digest)) is not None:
            raise ModelRefused(str(folder), f"{different} is not what its certificate says", "Delete the folder.")
        return certificate.version, self._open(folder, certificate, lexicon, max_bytes)

    def _open(self, folder: Path, certificate: Certificate, lexicon: Lexicon, max_bytes: int) -> OpenModel:
        opened = open_model(folder, lexicon, max_bytes)
        if self._facts(folder, opened, certificate.version) != certificate:
            thing = f"{certificate.model_name} version {certificate.version}"
            raise ModelRefused(thing, "its files are not what its certificate says", "Certify it again.")
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
        """What a version without certificate says of itself, if a person lets it serve."""
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
