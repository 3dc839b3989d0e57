"""Generated passwords of one stack, in one file that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from moderation.errors import ConfigurationError

_BYTES = 24


@dataclass(frozen=True, slots=True)
class Credentials:
    """Passwords, one per account, and keys. Never shown by ``repr``.

    Attributes:
        supervisor: opens the supervisor's port.
        databases: password of each database role, by role.
        secrets: passwords and keys of programs beside the servers, by name.
    """

    supervisor: str = field(repr=False)
    databases: dict[str, str] = field(repr=False)
    secrets: dict[str, str] = field(repr=False, default_factory=dict)


def load_or_create(path: Path, roles: tuple[str, ...]) -> Credentials:
    """Read the passwords, or make them the first time; a role that has none yet gets one.

    Raises:
        ConfigurationError: the file is damaged, or other accounts may read it.
    """
    if known := load(path):
        missing = {role: new_secret() for role in roles if role not in known.databases}
        if not missing:
            return known
        made = replace(known, databases=known.databases | missing)
    else:
        made = Credentials(new_secret(), {role: new_secret() for role in roles})
    write_private(path, json.dumps(asdict(made), indent=1))
    return made


def new_secret() -> str:
    """A password nobody can guess, of letters, digits, ``-`` and ``_``."""
    return secrets.token_urlsafe(_BYTES)


def ensure_secrets(path: Path, wanted: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """The secrets of the names wanted; one that is not there yet is made and kept.

    Args:
        path: a file that :func:`load_or_create` made.
        wanted: what makes each secret, by name.

    Raises:
        ConfigurationError: the file is absent or damaged, or other accounts may read it.
    """
    known = load(path)
    if known is None:
        raise ConfigurationError(f"credentials {path}", "the file is absent", "Start the stack: moderation up.")
    missing = {name: make() for name, make in wanted.items() if name not in known.secrets}
    if missing:
        known = replace(known, secrets=known.secrets | missing)
        write_private(path, json.dumps(asdict(known), indent=1))
    return {name: known.secrets[name] for name in wanted}


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner only from the first byte on."""
    scratch = path.with_name(path.name + ".new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def load(path: Path) -> Credentials | None:
    """Read the passwords; None if none were made yet.

    Raises:
        ConfigurationError: the file is damaged, or other accounts may read it.
    """
    if not path.exists():
        return None
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(
            f"credentials {path}", "other accounts may read this file", f"chmod 600 {path}, or purge the stack."
        )
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        databases, kept = held["databases"], held.get("secrets", {})
        return Credentials(
            str(held["supervisor"]),
            {str(k): str(v) for k, v in databases.items()},
            {str(k): str(v) for k, v in kept.items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"credentials {path}",
            "the file is damaged",
            "Without it the database cannot be opened; purge the stack (this deletes its data) and start anew.",
        ) from error
