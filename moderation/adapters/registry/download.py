"""Download model folders to a cache by digest; only complete folders are used."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from moderation.adapters.model_folder.folder import CARD, VERIFIED
from moderation.adapters.registry.client import Connection
from moderation.errors import ModelRefused

FOLDER = "data/model"
"""Path of the model folder within the artifact."""
FILES = (CARD, *VERIFIED)
_REMEDY = "The copy in the registry was damaged or replaced: register the model again."


def download(connection: Connection, source: str, target: Path, thing: str, max_bytes: int) -> None:
    """Download the model card and the files it covers into ``target``.

    Only these names are requested: other names in the listing are ignored. Sizes are compared with the limit before the
    first byte is requested.

    Args:
        connection: to the registry.
        source: address of the artifact, as the registry reports it.
        target: an existing folder.
        thing: name of the version in error messages.
        max_bytes: size limit of a file.

    Raises:
        ModelRefused: a file is missing or too large, or the registry does not report its size.
        RegistryUnavailable: the registry does not answer, or does not return the file.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with connection.asking(thing), tempfile.TemporaryDirectory(dir=target) as scratch:
        repository = get_artifact_repository(source, tracking_uri=connection.uri)
        sizes = {entry.path: entry.file_size for entry in repository.list_artifacts(FOLDER) if not entry.is_dir}
        for name in FILES:
            _check_size(sizes, name, thing, max_bytes)
        for name in FILES:
            path = repository.download_artifacts(f"{FOLDER}/{name}", scratch)  # type: ignore[no-untyped-call]
            shutil.move(path, target / name)


def _check_size(sizes: Mapping[str, int | None], name: str, thing: str, max_bytes: int) -> None:
    path = f"{FOLDER}/{name}"
    if path not in sizes:
        raise ModelRefused(thing, f"the registry has no {name} of it", _REMEDY)
    size = sizes[path]
    if size is None:
        raise ModelRefused(thing, f"the registry does not report the size of its {name}", "Use another artifact store.")
    if size > max_bytes:
        raise ModelRefused(
            thing,
            f"its {name} has {size:,} bytes, more than the limit of {max_bytes:,}; nothing was downloaded",
            "Raise MODERATION_MODEL_MAX_BYTES if the file is right.",
        )


def fetch_into(cache: Path, connection: Connection, source: str, card_digest: str, thing: str, max_bytes: int) -> Path:
    """Return the model folder whose card has this digest, from the cache if it is complete there, else downloaded.

    Args:
        cache: created if absent; its folders may be deleted while no model is being opened.
        connection: to the registry.
        source: address of the artifact.
        card_digest: SHA-256 of ``model.json``, hexadecimal.
        thing: name of the version in error messages.
        max_bytes: size limit of a file.

    Raises:
        ModelRefused: the files in the registry do not match the digest, or one is too large.
        RegistryUnavailable: the registry does not answer.
    """
    return into_cache(
        cache, card_digest, thing, "the registry", lambda folder: download(connection, source, folder, thing, max_bytes)
    )


def into_cache(cache: Path, card_digest: str, thing: str, origin: str, fill: Callable[[Path], None]) -> Path:
    """Return the model folder whose card has this digest, from the cache if it is complete there, else filled.

    Safe for concurrent processes: a folder appears in the cache by one rename.

    Args:
        cache: created if absent.
        card_digest: SHA-256 of ``model.json``, hexadecimal.
        thing: name of the version in error messages.
        origin: where the files come from, in error messages.
        fill: writes the files into an empty folder.

    Raises:
        ModelRefused: the files do not match the digest.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", card_digest):  # it becomes a path
        raise ModelRefused(thing, "it has no digest tag: it was not registered by this project", _REMEDY)
    cached = cache / card_digest
    if first_difference(cached, card_digest) is None:
        return cached
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="incoming-") as scratch:
        incoming = Path(scratch, "model")
        incoming.mkdir()
        fill(incoming)
        if (different := first_difference(incoming, card_digest)) is not None:
            raise ModelRefused(thing, f"{different} in {origin} is not the one that was registered", _REMEDY)
        if first_difference(cached, card_digest) is None:  # another process was first
            return cached
        with contextlib.suppress(FileNotFoundError):
            cached.rename(Path(scratch, "damaged"))
        try:
            incoming.rename(cached)
        except OSError:  # another process was first after all
            if first_difference(cached, card_digest) is not None:
                raise
    return cached


def first_difference(folder: Path, card_digest: str) -> str | None:
    """Return the name of the first missing or different file of a folder; None if it matches the card's digest."""
    try:
        if sha256_of(folder / CARD) != card_digest:
            return CARD
        stated = json.loads((folder / CARD).read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return CARD
    for name in FILES[1:]:
        try:
            if sha256_of(folder / name) != stated.get(name):
                return name
        except OSError:
            return name
    return None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
