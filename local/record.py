"""What a running stack is: its ports and its parts, kept so that every command sees the same ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from local.credentials import write_private
from moderation.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Record:
    """Ports and parts of a stack.

    Attributes:
        ports: the port of each name.
        addresses: where people find each program, by program, in start order.
    """

    ports: Mapping[str, int] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)


def load_record(path: Path) -> Record | None:
    """The record of a stack that is up; None if there is none.

    Raises:
        ConfigurationError: the file is damaged.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return Record({str(k): int(v) for k, v in held["ports"].items()}, dict(held["addresses"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"record {path}", "the file is damaged", "Stop the stack: moderation down.") from error


def save_record(path: Path, record: Record) -> None:
    """Write the record whole or not at all."""
    write_private(path, json.dumps(asdict(record), indent=1))
