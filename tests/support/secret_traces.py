"""Search everything that a stack wrote, and the command lines of all processes, for the secrets of the stack."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from local.stack.layout import StackLayout

_LEAST_CHARACTERS = 12
"""A shorter value could occur by chance."""
_SAMPLE_SECONDS = 0.1


def secrets_of(layout: StackLayout) -> dict[str, bytes]:
    """Return every generated secret by its name: passwords and keys of accounts, servers and models."""
    found: dict[str, str] = {}

    def collect(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                collect(f"{name}.{key}", inner)
        else:
            found[name] = str(value)

    collect("credentials", json.loads(layout.credentials_file.read_text()))
    for path in layout.run.glob("*.key"):
        found[path.name] = path.read_text().strip()
    assert all(len(value) >= _LEAST_CHARACTERS for value in found.values()), sorted(found)
    return {name: value.encode() for name, value in found.items()}


def in_text(text: str, secrets: Mapping[str, bytes]) -> list[str]:
    """Return the names of the secrets that a text contains."""
    content = text.encode(errors="surrogateescape")
    return sorted(name for name, secret in secrets.items() if secret in content)


def in_files(layout: StackLayout, secrets: Mapping[str, bytes]) -> list[str]:
    """Return each file of the stack with a secret, except closed files of the closed folder ``run``.

    Args:
        layout: of the stack.
        secrets: values by name.
    """
    traces = []
    for path in layout.root.rglob("*"):
        try:
            if path.is_symlink() or not path.is_file():
                continue
            status = path.stat()
            is_closed = path.is_relative_to(layout.run) and status.st_mode & 0o077 == 0
            if is_closed or status.st_blocks == 0:
                continue
            content = path.read_bytes()
        except (FileNotFoundError, PermissionError):  # a log was rotated, a segment deleted
            continue
        names = [name for name, secret in secrets.items() if secret in content]
        traces += [f"{path.relative_to(layout.root)}: {name}" for name in names]
    return traces


def command_lines() -> Iterator[str]:
    """Yield the command line of every process of this machine, as every account can read it."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="surrogateescape")
        except OSError:  # the process has ended
            continue


class CommandLines:
    """Collects the command lines of all processes, ten times a second, until the block ends."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._collect, name="command-lines", daemon=True)

    def __enter__(self) -> CommandLines:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _collect(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self._seen.update(command_lines())

    @property
    def seen(self) -> Iterable[str]:
        """Every command line so far."""
        return tuple(self._seen)
