"""Read secrets from files, and check the form of secrets. No message repeats a part of a secret."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from moderation.errors import ConfigurationError

LEAST_TOKEN_CHARACTERS = 16
"""Least length of a bearer token."""
_MOST_BYTES = 64 * 1024


def read_secret(path: Path, key: str) -> str:
    """Read the file of a secret. One line end after the secret is removed.

    Args:
        path: the file.
        key: the setting that names it, for messages.

    Raises:
        ConfigurationError: the file is missing, unreadable, empty, too large, or accounts other than its owner and
            group may read it.
    """
    thing = f"{key}={path}"
    try:
        with path.open("rb") as file:
            mode, content = os.fstat(file.fileno()).st_mode, file.read(_MOST_BYTES + 1)
    except OSError as error:
        remedy = "Create the file, or fix the path and the rights of its folders."
        raise ConfigurationError(thing, f"the file cannot be read: {error.strerror}", remedy) from error
    if mode & 0o027:
        raise ConfigurationError(
            thing,
            f"the file has mode {mode & 0o777:04o}: accounts other than its owner may read or change it",
            f"Run chmod 400 {path}; for a mounted secret set its mode to 0400 or 0440 (Kubernetes: defaultMode).",
        )
    try:
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigurationError(thing, "the file is not UTF-8 text", "Write the secret as text.") from None
    if not text or len(content) > _MOST_BYTES:
        cause = "the file is empty" if not text else f"the file has more than {_MOST_BYTES} bytes"
        raise ConfigurationError(thing, cause, "Write the secret, and nothing else, into the file.")
    return text


def fault_of_token(text: str) -> str | None:
    """Return why a text cannot be a bearer token; None if it can."""
    if not re.fullmatch(r"[!-~]+", text):
        return "a token consists of visible ASCII characters without spaces"
    if len(text) < LEAST_TOKEN_CHARACTERS:
        return f"it has {len(text)} characters, at least {LEAST_TOKEN_CHARACTERS} are needed"
    return None


def fault_of_database_url(text: str) -> str | None:
    """Return why libpq would not read an address; None if it would. The result does not repeat any part of it."""
    if not text.startswith(("postgresql://", "postgres://")):
        return "it is not an address that begins with postgresql://"
    if re.search(r"\s", text):
        return "it contains white space; encode special characters, e.g. %20"
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        return "it contains a % that is not followed by two hexadecimal digits; encode % as %25"
    try:
        parts = urlsplit(text)
        hosts = parts.netloc.rpartition("@")[2].split(",")
    except ValueError:
        return "it is malformed; encode special characters of the password, e.g. [ as %5B"
    if "@" in parts.netloc.rpartition("@")[0]:
        return "user or password contain an @; encode it as %40"
    if parts.fragment or any(not re.fullmatch(r"(\[[^\]]*\]|[^:/]*)(:\d{1,5})?", host) for host in hosts):
        return "its host or port is malformed; encode special characters of the password, e.g. / as %2F and # as %23"
    return None
