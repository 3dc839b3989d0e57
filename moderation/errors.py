"""Every error this project raises on purpose, as one tree. The four bases say what may happen next.

    ModerationError                what went wrong with which thing, and what to do next
    ├── BadRecord                  the record becomes a dead letter; it is never tried again
    │   └── InvalidRecord
    ├── Unavailable                try again with back-off: database, broker, registry or store does not answer
    │   ├── RegistryUnavailable
    │   ├── BrokerUnavailable
    │   ├── TopicsMissing          a published topic does not exist; decisions are stored and published later
    │   └── TableLocked
    ├── NeedsOperator              stop: a setting, a refusal or damage; another start changes nothing
    │   ├── ConfigurationError     a setting is unknown, malformed or contradictory
    │   ├── DatasetError           a file of comments cannot be read at all
    │   ├── TrainingError          the examples cannot carry a model
    │   ├── GoalUnmet              a policy goal cannot be met; carries the best that can
    │   ├── ModelRefused           an artifact failed verification; a worker keeps serving the old model
    │   ├── StackError             a part of the local stack does not start, or does not end
    │   ├── LedgerUnsafe           the database could lose what it acknowledged, or is not migrated
    │   ├── TopicRefused           the topic is not the one the ledger accounts for, or has lost records
    │   ├── OutdatedApproval       what a person approved is not what would happen by now; ask again
    │   ├── LakeDamaged            a file of the lake is missing or altered, or offsets are in no file
    │   ├── TooManyDeadLetters     an operator's limit on unreadable records is reached; nothing was dropped
    │   ├── DefectsFound           a reconciliation found a broken guarantee
    │   └── ProcessDied            a process of the batch ended without an error: a crash, or too little memory
    └── RestartProcess             leave the process; the supervisor starts another, which goes on from the ledger
        ├── FenceLost              another worker owns the partition now
        ├── PublishingFailed       the brokers did not take what is stored; it is sent again
        ├── OffsetsGone            the topic no longer has an offset that is needed next; the next start names why
        └── WorkerStuck            the process makes no progress

Anything outside the tree is a defect of ours. What a defect means for a record under way is decided by
:mod:`moderation.adapters.error_origin`.
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


class BadRecord(ModerationError):
    """One record cannot be read, decided or stored. It becomes a dead letter."""


class Unavailable(ModerationError):
    """Something outside this process does not answer. The same call may succeed later."""


class NeedsOperator(ModerationError):
    """Nothing changes until a person does something; the message says what."""


class RestartProcess(ModerationError):
    """This process cannot go on; another one can."""


class InvalidRecord(BadRecord):
    """A record that cannot be a comment or an action. ``reason`` is the stable code kept in the dead letter."""

    def __init__(self, reason: str, cause: str) -> None:
        self.reason = reason
        super().__init__("record", cause, "It is kept as a dead letter; mend the producer and replay it.")


class ConfigurationError(NeedsOperator):
    """A setting or an option is unknown, malformed or contradicts another one."""


class DatasetError(NeedsOperator):
    """A file of comments cannot be read: absent, not a known schema, or without a usable row."""


class TrainingError(NeedsOperator):
    """The labelled examples cannot carry a model: too few, or all of one class."""


class GoalUnmet(NeedsOperator):
    """No threshold reaches a policy goal.

    Attributes:
        goal: the goal as stated, e.g. ``precision>=0.9``.
        best: the best value any threshold reaches, in the goal's own unit.
    """

    def __init__(self, goal: str, best: float, cause: str, remedy: str) -> None:
        self.goal = goal
        self.best = best
        super().__init__(f"goal {goal}", cause, remedy)


class ModelRefused(NeedsOperator):
    """A model artifact is missing, damaged, altered, of another kernel, or holds a type that is not trusted."""


class RegistryUnavailable(Unavailable):
    """The registry cannot be reached, or does not do what it is asked. Keep what is open; ask again."""


class BrokerUnavailable(Unavailable):
    """No Kafka broker answers."""


class TopicsMissing(Unavailable):
    """Published topics do not exist.

    Attributes:
        topics: their full names.
    """

    def __init__(self, topics: list[str]) -> None:
        self.topics = topics
        names = ", ".join(topics)
        super().__init__(
            f"topic {names}" if len(topics) == 1 else f"topics {names}",
            "not on the brokers, so decisions are stored in the ledger and published later",
            "Create what is missing with `moderation topics`; if a topic was deleted, send its earlier records again "
            "with `moderation republish`.",
        )


class TableLocked(Unavailable):
    """A lock on a table cannot be had in time; the message names the sessions that may hold it."""


class OutdatedApproval(NeedsOperator):
    """What a person was shown and approved is not what would happen now: aliases or files have changed since."""


class StackError(NeedsOperator):
    """A part of the local stack does not start, does not answer in time, or does not end."""


class LedgerUnsafe(NeedsOperator):
    """The database is not what the guarantees stand on: a durability setting is off, or the schema is missing."""


class TopicRefused(NeedsOperator):
    """A topic made anew under a known name, or records the ledger still needs are gone from the topic."""


class LakeDamaged(NeedsOperator):
    """A file that the manifest names is missing or is not what was written, or a range is not whole."""


class TooManyDeadLetters(NeedsOperator):
    """So many records cannot be comments that a person must look. Each is kept; decisions go on after a restart."""


class FenceLost(RestartProcess):
    """Another worker has moved a partition on since this one read its position; nothing of the batch was kept."""


class PublishingFailed(RestartProcess):
    """The brokers did not take a stored decision in time; the ledger still holds it for the next start."""


class OffsetsGone(RestartProcess):
    """A partition has no record at the offset that is needed next, neither before nor behind it."""


class WorkerStuck(RestartProcess):
    """The worker has work and does none, or a part of it that it cannot do without has ended."""


class DefectsFound(NeedsOperator):
    """A reconciliation found something lost, unexplained, phantom or residual: a guarantee was broken."""


class ProcessDied(NeedsOperator):
    """A process that recomputed files of the lake ended without an error: it crashed or ran out of memory."""
