"""Every error this project raises on purpose, as one tree.

    ModerationError                what went wrong with which thing, and what to do next
    ├── InvalidRecord              poison: the record becomes a dead letter, never retried
    ├── ConfigurationError         stop: a setting is unknown, malformed or contradictory
    ├── SourceError                stop: a file of comments cannot be read at all
    ├── TrainingError              stop: the examples cannot carry a model
    ├── GoalUnmet                  stop: a policy goal cannot be met; carries the best that can
    ├── ModelRefused               stop, or keep serving the old model: an artifact failed verification
    ├── RegistryUnavailable        transient: keep what is open and ask again, with bounded back-off
    ├── StackError                 stop: a part of the local stack does not start, or does not end
    ├── LedgerUnsafe               stop: the database could lose what it acknowledged, or is not migrated
    ├── SourceRefused              stop: the topic is not the one the ledger accounts for, or has lost records
    ├── OutdatedApproval           stop: what a person approved is not what would happen by now; ask again
    ├── LakeDamaged                stop: a file of the lake is missing or altered, or offsets are in no file
    ├── TooManyDeadLetters         stop: the producer is broken, or speaks another language; nothing was dropped
    ├── FenceLost                  leave the process: another worker owns the partition now
    ├── PublishingFailed           leave the process: the brokers did not take what is stored; it is sent again
    └── WorkerStuck                leave the process: it makes no progress, and something in it never will

Only RegistryUnavailable may be retried unchanged; the others need another input. The last three heal with another
start: the supervisor starts the process again, the group gives it what is free, the ledger says where to go on.
Anything outside the tree is a defect of ours and ends the process.
"""

from __future__ import annotations


class ModerationError(Exception):
    """Base of the tree.

    Attributes:
        thing: what is affected, named so that a reader can find it (a file, a setting, a record).
        cause: what is wrong with it.
        remedy: what to do next; empty when the caller knows nothing better than the cause.
    """

    def __init__(self, thing: str, cause: str, remedy: str = "") -> None:
        self.thing = thing
        self.cause = cause
        self.remedy = remedy
        super().__init__(thing, cause, remedy)

    def __str__(self) -> str:
        message = f"{self.thing}: {self.cause}."
        return f"{message} {self.remedy}" if self.remedy else message


class InvalidRecord(ModerationError):
    """A record that cannot be a comment or an action. ``reason`` is the stable code kept in the dead letter."""

    def __init__(self, reason: str, cause: str) -> None:
        self.reason = reason
        super().__init__("record", cause, "It is kept as a dead letter; mend the producer and replay it.")


class ConfigurationError(ModerationError):
    """A setting or an option is unknown, malformed or contradicts another one."""


class SourceError(ModerationError):
    """A file of comments cannot be read: absent, not a known schema, or without a usable row."""


class TrainingError(ModerationError):
    """The labelled examples cannot carry a model: too few, or all of one class."""


class GoalUnmet(ModerationError):
    """No threshold reaches a policy goal.

    Attributes:
        goal: the goal as stated, e.g. ``precision>=0.9``.
        best: the best value any threshold reaches, in the goal's own unit.
    """

    def __init__(self, goal: str, best: float, cause: str, remedy: str) -> None:
        self.goal = goal
        self.best = best
        super().__init__(f"goal {goal}", cause, remedy)


class ModelRefused(ModerationError):
    """A model artifact is missing, damaged, altered, of another kernel, or holds a type that is not trusted."""


class RegistryUnavailable(ModerationError):
    """The registry cannot be reached, or does not do what it is asked. Keep what is open; ask again."""


class OutdatedApproval(ModerationError):
    """What a person was shown and approved is not what would happen now: aliases or files have changed since."""


class StackError(ModerationError):
    """A part of the local stack does not start, does not answer in time, or does not end."""


class LedgerUnsafe(ModerationError):
    """The database is not what the guarantees stand on: a durability setting is off, or the schema is missing."""


class SourceRefused(ModerationError):
    """A topic made anew under a known name, or records the ledger still needs are gone from the topic."""


class LakeDamaged(ModerationError):
    """A file that the manifest names is missing or is not what was written, or a range is not whole."""


class TooManyDeadLetters(ModerationError):
    """So many records cannot be comments that a person must look. Each is kept; decisions go on after a restart."""


class FenceLost(ModerationError):
    """Another worker has moved a partition on since this one read its position; nothing of the batch was kept."""


class PublishingFailed(ModerationError):
    """The brokers did not take a stored decision in time; the ledger still holds it for the next start."""


class WorkerStuck(ModerationError):
    """The worker has work and does none, or a part of it that it cannot do without has ended."""


class DefectsFound(ModerationError):
    """A reconciliation found something lost, unexplained, phantom or residual: a guarantee was broken."""
