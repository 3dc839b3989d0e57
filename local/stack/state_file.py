"""What a stack is: its ports and its parts, kept so that every command sees the same ones.

The ports outlive ``down``: a stack that comes up again has its old addresses if they are free still.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from local.stack.credentials import write_private
from moderation.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class StackState:
    """Ports and parts of a stack.

    Attributes:
        ports: the port of each name.
        addresses: where people find each program, by program, in start order.
        levels: how deep each program stands on others; the deepest is stopped first.
    """

    ports: Mapping[str, int] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_up(self) -> bool:
        """Whether the stack was brought up and not taken down since."""
        return bool(self.addresses)


def load_stack_state(path: Path) -> StackState | None:
    """The record of a stack; None if there is none.

    Raises:
        ConfigurationError: the file is damaged.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        ports, steps = ({str(k): int(v) for k, v in held[key].items()} for key in ("ports", "levels"))
        return StackState(ports, dict(held["addresses"]), steps)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"record {path}", "the file is damaged", "Stop the stack: moderation down.") from error


def save_stack_state(path: Path, record: StackState) -> None:
    """Write the record whole or not at all."""
    write_private(path, json.dumps(asdict(record), indent=1))
