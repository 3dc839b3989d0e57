"""State file of a stack: its ports and parts, so that all commands use the same ones.

The ports remain after ``down``. A stack that is started again has the same addresses if they are still free.
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
        ports: port by name.
        addresses: address for users by program, in start order.
        levels: dependency depth by program; the deepest is stopped first.
    """

    ports: Mapping[str, int] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_up(self) -> bool:
        """Whether the stack was started and not stopped since."""
        return bool(self.addresses)


def load_stack_state(path: Path) -> StackState | None:
    """Read the state of a stack; None if there is none.

    Raises:
        ConfigurationError: the file is damaged.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        ports, levels = ({str(k): int(v) for k, v in fields[key].items()} for key in ("ports", "levels"))
        return StackState(ports, dict(fields["addresses"]), levels)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"state file {path}", "the file is damaged", "Stop the stack: moderation down."
        ) from error


def save_stack_state(path: Path, state: StackState) -> None:
    """Write the state atomically."""
    write_private(path, json.dumps(asdict(state), indent=1))
