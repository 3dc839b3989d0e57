"""The version that was opened last, stored in the model cache, for starts while the registry is unavailable.

The file contains the signed certificate of the version as the registry had it, so that write access to the file does
not allow to serve another model. There is one file for each registered model; processes that share a cache replace it
atomically.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from moderation.adapters.registry.certificate import Certificate, certificate_tags, read_certificate
from moderation.adapters.registry.keys import KeyRing
from moderation.errors import ModelRefused


def keep(cache: Path, certificate: Certificate, tags: Mapping[str, str]) -> None:
    """Store the certificate of a version whose files are in the cache.

    Args:
        cache: folder of downloaded models.
        certificate: the verified certificate.
        tags: tags of the version that contain it.

    Raises:
        OSError: the file cannot be written.
    """
    kept = {"version": certificate.version, "tags": certificate_tags(certificate, tags)}
    handle, scratch = tempfile.mkstemp(dir=cache, prefix="last-good-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(kept, file)
    Path(scratch).replace(_path(cache, certificate.model_name))


def read(cache: Path, model_name: str, ring: KeyRing) -> Certificate | None:
    """Read the certificate of the version opened last; None if there was none.

    Raises:
        ModelRefused: the file is damaged, edited, or signed with a key that is not in the ring.
    """
    if (kept := read_tags(cache, model_name)) is None:
        return None
    version, tags = kept
    return read_certificate(tags, model_name, version, ring)


def read_tags(cache: Path, model_name: str) -> tuple[str, dict[str, str]] | None:
    """Read the number of the version opened last, and its tags, without verifying them; None if there was none.

    Raises:
        ModelRefused: the file is damaged.
    """
    path = _path(cache, model_name)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return str(kept["version"]), {str(name): str(value) for name, value in kept["tags"].items()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelRefused(str(path), f"it cannot be read ({error})", "Delete it.") from error


def _path(cache: Path, model_name: str) -> Path:
    return cache / f"last-good-{quote(model_name, safe='')}.json"
