"""Read model versions: resolve aliases, verify certificates, download and open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from moderation.adapters.model_folder.folder import CARD, METRICS, MODEL, POLICY, OpenModel, open_model
from moderation.adapters.override import Override
from moderation.adapters.registry import last_good
from moderation.adapters.registry.certificate import (
    BOOTSTRAP,
    CARD_DIGEST_TAG,
    MODEL_DIGEST_TAG,
    Certificate,
    ModelFacts,
    read_certificate,
)
from moderation.adapters.registry.client import Connection
from moderation.adapters.registry.download import fetch_into, first_difference, into_cache, sha256_of
from moderation.adapters.registry.keys import CertificateKeys
from moderation.adapters.registry.model_version import ModelVersion, overridden, override_to_serve
from moderation.errors import ModelRefused, NotInRegistry
from moderation.text import Lexicon

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion


class VersionReader:
    """Reads the versions of one registered model; workers need nothing else.

    Every method that contacts the server raises ``RegistryUnavailable`` if it does not answer (within seconds if it
    is down) and ``ConfigurationError`` if MLflow does not accept a name. Thread-safe.

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
        self.model_name = model_name
        self.keys = keys
        self._connection = Connection(tracking_uri)
        self._overrides_allowed = overrides_allowed

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

    def certificate(self, number: str) -> Certificate:
        """Read and verify the certificate of a version; its files are not read.

        Raises:
            ModelRefused: there is no such version, or its certificate is missing, edited, copied or signed with a key
                that is not in the ring.
        """
        return read_certificate(self._find(number).tags, self.model_name, number, self.keys.ring)

    def is_bootstrap(self, version: ModelVersion) -> bool:
        """Whether a version is the bootstrap model, by the verdict in its certificate; False without a valid one."""
        try:
            return self.certificate(version.version).gate.verdict == BOOTSTRAP
        except ModelRefused:
            return False

    def fetch(self, version: ModelVersion, cache: Path, max_bytes: int) -> Path:
        """Return the model folder of a version, by ``version.card_digest`` from ``cache`` or from the registry.

        Returns:
            A complete folder whose files match the card. It is read-only.

        Raises:
            ModelRefused: the files in the registry do not match the digest, or one is larger than ``max_bytes``.
        """
        source = self._source(version.version)
        return fetch_into(cache, self._connection, source, version.card_digest, str(version), max_bytes)

    def open_certified(
        self, version: ModelVersion, lexicon: Lexicon, max_bytes: int, cache: Path, *, to_serve: bool = False
    ) -> OpenModel:
        """Verify the certificate, verify the files against it, and open them.

        A version without certificate serves if an operator has set the tag ``moderation.override``, until the end that
        it states. Its files are then verified against the digests from its registration. To score comments again it
        opens after that end, too.

        Args:
            version: from :meth:`resolve` or :meth:`version`; its tags are read again.
            lexicon: shared lexicon of the process.
            max_bytes: size limit of a file.
            cache: folder of downloaded models, see :meth:`fetch`.
            to_serve: require that an override is in effect, and store a certified version as the one that
                :meth:`open_last_good` opens.

        Raises:
            ModelRefused: something does not verify; the message names it. The model is opened only to score the golden
                rows.
        """
        tags = self._find(version.version).tags
        certificate = None
        override = self._override(version.version, tags) if to_serve else None
        may_be_overridden = override is not None or not to_serve
        facts = overridden(self.model_name, version.version, tags) if may_be_overridden else None
        if facts is None:
            certificate = read_certificate(tags, self.model_name, version.version, self.keys.ring)
            facts = certificate.facts
        source = self._source(version.version)
        folder = fetch_into(cache, self._connection, source, facts.card_digest, str(version), max_bytes)
        opened = self._open(folder, facts, lexicon, max_bytes)
        if to_serve and certificate is not None:
            last_good.keep(cache, certificate, tags)
        return replace(opened, override=override)

    def override_of(self, number: str) -> Override | None:
        """Return the override by which a version may serve now; None if it has a certificate.

        Raises:
            ModelRefused: it has neither.
        """
        tags = self._find(number).tags
        if (override := self._override(number, tags)) is None:
            read_certificate(tags, self.model_name, number, self.keys.ring)
        return override

    def _override(self, number: str, tags: Mapping[str, str]) -> Override | None:
        return override_to_serve(self.model_name, number, tags, is_allowed=self._overrides_allowed)

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
        certificate = last_good.read(cache, self.model_name, self.keys.ring)
        if certificate is None:
            return None
        folder = cache / certificate.card_digest
        if (different := first_difference(folder, certificate.card_digest)) is not None:
            raise ModelRefused(str(folder), f"{different} does not match its certificate", "Delete the folder.")
        return certificate.version, self._open(folder, certificate.facts, lexicon, max_bytes)

    def certificate_to_serve(self, cache: Path) -> tuple[str, dict[str, str]] | None:
        """Return number and certificate tags of the version that :meth:`open_certified` opened last to serve.

        Nothing is verified. None if there was none.

        Raises:
            ModelRefused: the stored file is damaged.
        """
        return last_good.read_tags(cache, self.model_name)

    def open_kept(
        self,
        number: str,
        tags: Mapping[str, str],
        fill: Callable[[Path], None],
        lexicon: Lexicon,
        max_bytes: int,
        cache: Path,
        *,
        to_serve: bool = True,
    ) -> OpenModel:
        """Open a version whose certificate and files were stored outside the registry; the server is not contacted.

        Args:
            number: version number.
            tags: tags that contain the certificate.
            fill: writes the files into an empty folder.
            lexicon: shared lexicon of the process.
            max_bytes: size limit of a file.
            cache: folder of downloaded models.
            to_serve: make the version the one that :meth:`open_last_good` opens.

        Raises:
            ModelRefused: the certificate or a file does not verify.
        """
        certificate = read_certificate(tags, self.model_name, number, self.keys.ring)
        thing = f"{self.model_name} version {number}"
        folder = into_cache(cache, certificate.card_digest, thing, "speed.kept_model_files", fill)
        opened = self._open(folder, certificate.facts, lexicon, max_bytes)
        if to_serve:
            last_good.keep(cache, certificate, tags)
        return opened

    def _open(self, folder: Path, facts: ModelFacts, lexicon: Lexicon, max_bytes: int) -> OpenModel:
        opened = open_model(folder, lexicon, max_bytes)
        if self._facts(folder, opened, facts.version) != facts:
            thing = f"{facts.model_name} version {facts.version}"
            raise ModelRefused(thing, "its files do not match its certificate", "Certify it again.")
        return opened

    def _facts(self, folder: Path, opened: OpenModel, version: str) -> ModelFacts:
        files = opened.card["files"]
        return ModelFacts(
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

    def _find(self, number: str) -> MlflowVersion:
        with self._connection.asking(f"{self.model_name} version {number}"):
            return self._connection.client.get_model_version(self.model_name, number)

    def _source(self, number: str) -> str:
        with self._connection.asking(f"{self.model_name} version {number}"):
            return self._connection.client.get_model_version_download_uri(self.model_name, number)
