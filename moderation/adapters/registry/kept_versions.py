"""Open versions that workers stored in the ledger's database, without the registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from moderation.adapters.model_folder.folder import OpenModel
from moderation.adapters.registry.download import FILES
from moderation.adapters.registry.model_version import PRODUCTION
from moderation.adapters.registry.version_reader import VersionReader
from moderation.adapters.sql import kept_models
from moderation.adapters.sql.connection import connected
from moderation.errors import ModelRefused, PastVersionRefused
from moderation.text import Lexicon


class KeptVersions:
    """The stored versions of a model.

    Args:
        models: verifies their certificates.
        database_url: returns the libpq connection string of the ledger's database.
        lexicon: shared lexicon of the process.
        max_bytes: size limit of a file.
        cache: folder of downloaded models.
    """

    def __init__(
        self, models: VersionReader, database_url: Callable[[], str], lexicon: Lexicon, max_bytes: int, cache: Path
    ) -> None:
        self._models = models
        self._database_url = database_url
        self._lexicon = lexicon
        self._max_bytes = max_bytes
        self._cache = cache

    def open(self, number: str, *, to_serve: bool) -> OpenModel | None:
        """Open a version; None if it is not stored.

        Args:
            number: version number.
            to_serve: see :meth:`VersionReader.open_kept`.

        Raises:
            ModelRefused: its certificate or a file does not verify.
            DatabaseUnavailable: the database cannot be reached.
        """
        with connected(self._database_url(), name="moderation model") as connection:
            kept = kept_models.find(connection, self._models.model_name, number)
            if kept is None:
                return None

            def fill(folder: Path) -> None:
                kept_models.read_files(connection, kept.card_digest, folder, FILES, self._max_bytes)

            return self._models.open_kept(
                number, kept.certificate, fill, self._lexicon, self._max_bytes, self._cache, to_serve=to_serve
            )

    def open_past(self, number: str, open_registered: Callable[[str], OpenModel]) -> OpenModel:
        """Open a version that decided in the past from the registry, or from the database if the registry refuses it.

        Args:
            number: version number.
            open_registered: opens a version from the registry.

        Raises:
            PastVersionRefused: neither opens.
            ModelRefused: neither opens, and the version has the alias ``production``: a setting is wrong.
            RegistryUnavailable: the registry does not answer.
            DatabaseUnavailable: the database cannot be reached.
        """
        try:
            return open_registered(number)
        except ModelRefused as refusal:
            try:
                kept = self.open(number, to_serve=False)
            except ModelRefused:
                kept = None
            if kept is not None:
                return kept
            serving = self._models.resolve(PRODUCTION)
            if serving is not None and serving.version == number:
                raise
            raise PastVersionRefused(refusal.thing, refusal.cause, refusal.remedy) from refusal
