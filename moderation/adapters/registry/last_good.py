"""The version that was opened last, stored in the model cache, for starts while the registry is unavailable.

The file contains the certificate of the version with its signature, so that write access to the file does not allow to
serve another model. There is one file for each registered model; processes that share a cache replace it atomically.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from urllib.parse import quote

from moderation.adapters.registry.certificate import Certificate, read_certificate, tags_of
from moderation.errors import ModelRefused


def keep(cache: Path, certificate: Certificate, key: bytes) -> None:
    """Store the certificate of a version whose files are in the cache.

    Raises:
        OSError: the file cannot be written.
    """
    kept = {"version": certificate.version, "tags": tags_of(certificate, key)}
    handle, scratch = tempfile.mkstemp(dir=cache, prefix="last-good-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(kept, file)
    Path(scratch).replace(_path(cache, certificate.model_name))


def read(cache: Path, model_name: str, key: bytes) -> Certificate | None:
    """Read the certificate of the version opened last; None if there was none.

    Raises:
        ModelRefused: the file is damaged, edited, or signed with another key.
    """
    path = _path(cache, model_name)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        version, tags = str(kept["version"]), {str(name): str(value) for name, value in kept["tags"].items()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelRefused(str(path), f"it cannot be read ({error})", "Delete it.") from error
    return read_certificate(tags, model_name, version, key)


def _path(cache: Path, model_name: str) -> Path:
    return cache / f"last-good-{quote(model_name, safe='')}.json"
