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
    """Passwords, one per account, and keys. ``repr`` does not show them.

    Attributes:
        supervisor: opens the supervisor's port.
        databases: password of each database role, by role.
        secrets: passwords and keys of other programs, by name.
    """

    supervisor: str = field(repr=False)
    databases: dict[str, str] = field(repr=False)
    secrets: dict[str, str] = field(repr=False, default_factory=dict)


def load_or_create(path: Path, roles: tuple[str, ...]) -> Credentials:
    """Read the passwords, or create them the first time; a role without a password gets one.

    Raises:
        ConfigurationError: the file is damaged, or other accounts may read it.
    """
    if credentials := load(path):
        missing = {role: new_secret() for role in roles if role not in credentials.databases}
        if not missing:
            return credentials
        updated = replace(credentials, databases=credentials.databases | missing)
    else:
        updated = Credentials(new_secret(), {role: new_secret() for role in roles})
    write_private(path, json.dumps(asdict(updated), indent=1))
    return updated


def new_secret() -> str:
    """Return a random password of letters, digits, ``-`` and ``_``."""
    return secrets.token_urlsafe(_BYTES)


def ensure_secrets(path: Path, wanted: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """Return the secrets with the given names; missing ones are created and stored.

    Args:
        path: a file that :func:`load_or_create` created.
        wanted: function that creates each secret, by name.

    Raises:
        ConfigurationError: the file is absent or damaged, or other accounts may read it.
    """
    credentials = load(path)
    if credentials is None:
        raise ConfigurationError(f"credentials {path}", "the file is absent", "Start the stack: moderation up.")
    missing = {name: make() for name, make in wanted.items() if name not in credentials.secrets}
    if missing:
        credentials = replace(credentials, secrets=credentials.secrets | missing)
        write_private(path, json.dumps(asdict(credentials), indent=1))
    return {name: credentials.secrets[name] for name in wanted}


def write_private(path: Path, text: str) -> None:
    """Write a file atomically; only its owner can read it at any time."""
    scratch = path.with_name(path.name + ".new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def load(path: Path) -> Credentials | None:
    """Read the passwords; None if there are none yet.

    Raises:
        ConfigurationError: the file is damaged, or other accounts may read it.
    """
    if not path.exists():
        return None
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(
            f"credentials {path}",
            "other accounts may read this file",
            f"Run chmod 600 {path}, or delete the stack with its data: `moderation down --purge`.",
        )
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        databases, stored_secrets = fields["databases"], fields.get("secrets", {})
        return Credentials(
            str(fields["supervisor"]),
            {str(k): str(v) for k, v in databases.items()},
            {str(k): str(v) for k, v in stored_secrets.items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"credentials {path}",
            "the file is damaged",
            "The database cannot be opened without it. Delete the stack with its data: `moderation down --purge`.",
        ) from error
