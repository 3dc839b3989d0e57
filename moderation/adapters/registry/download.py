"""Model folders from the registry, kept by digest: what is in the cache is whole, or is not used."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path

from moderation.adapters.model_folder.folder import CARD, VERIFIED
from moderation.adapters.registry.client import Connection
from moderation.errors import ModelRefused

FOLDER = "data/model"
"""Where the model folder lies within the artifact."""
FILES = (CARD, *VERIFIED)
_REMEDY = "The registry's copy was damaged or exchanged: register the model again."


def download(connection: Connection, source: str, target: Path, thing: str) -> None:
    """Copy the card and the files it vouches for, see ``model_store``, into ``target``.

    Only these are asked for, by name: a listing that names others has no say in what is written.

    Args:
        connection: to the registry.
        source: address of the artifact, as the registry states it.
        target: an existing folder.
        thing: what to call the version in errors.

    Raises:
        ModelRefused: a file is absent.
        RegistryUnavailable: the registry does not answer, or not with the file.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with connection.asking(thing), tempfile.TemporaryDirectory(dir=target) as scratch:
        repository = get_artifact_repository(source, tracking_uri=connection.uri)
        listed = {entry.path for entry in repository.list_artifacts(FOLDER)}
        for name in FILES:
            if f"{FOLDER}/{name}" not in listed:
                raise ModelRefused(thing, f"the registry has no {name} of it", _REMEDY)
            arrived = repository.download_artifacts(f"{FOLDER}/{name}", scratch)  # type: ignore[no-untyped-call]
            shutil.move(arrived, target / name)


def fetch_into(cache: Path, connection: Connection, source: str, card_digest: str, thing: str) -> Path:
    """The model folder whose card has this digest, from the cache if it is whole there, else from the registry.

    Safe for many processes at once: a folder appears in the cache whole, by one rename.

    Args:
        cache: made if absent; its folders may be deleted at any time no model is being opened.
        connection: to the registry.
        source: address of the artifact.
        card_digest: SHA-256 of ``model.json``, hexadecimal.
        thing: what to call the version in errors.

    Raises:
        ModelRefused: what the registry holds is not what the digest says.
        RegistryUnavailable: the registry does not answer.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", card_digest):  # it becomes a path
        raise ModelRefused(thing, "it states no digest: it was not registered by this project", _REMEDY)
    kept = cache / card_digest
    if first_difference(kept, card_digest) is None:
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="incoming-") as scratch:
        incoming = Path(scratch, "model")
        incoming.mkdir()
        download(connection, source, incoming, thing)
        if (different := first_difference(incoming, card_digest)) is not None:
            raise ModelRefused(thing, f"{different} in the registry is not the one that was registered", _REMEDY)
        if first_difference(kept, card_digest) is None:  # another process was first
            return kept
        with contextlib.suppress(FileNotFoundError):
            kept.rename(Path(scratch, "damaged"))
        try:
            incoming.rename(kept)
        except OSError:  # another process was first after all
            if first_difference(kept, card_digest) is not None:
                raise
    return kept


def first_difference(folder: Path, card_digest: str) -> str | None:
    """Name of the first file that is absent or not what the card with this digest states; None for a whole folder."""
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
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
