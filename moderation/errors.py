"""The tree of errors. The four bases state how a caller may react.

    ModerationError                the affected thing, the cause, and the remedy
    ├── BadRecord                  the record becomes a dead letter; it is not retried
    │   └── InvalidRecord
    ├── Unavailable                retry with back-off: a database, broker, registry or store does not answer
    │   ├── RegistryUnavailable
    │   ├── BrokerUnavailable
    │   ├── DatabaseUnavailable
    │   ├── StoreUnavailable       the storage of the lake
    │   ├── TopicsMissing          a published topic does not exist; decisions are stored and published later
    │   └── TableLocked
    ├── NeedsPerson              stop: a setting, a refusal or damage; a restart does not help
    │   ├── ConfigurationError     a setting is unknown, malformed or contradictory
    │   ├── DatasetError           a file of comments cannot be read at all
    │   ├── OutputFailed           a file or folder that a command writes cannot be written; nothing was replaced
    │   ├── TrainingError          the labelled examples are too few or of one class
    │   ├── GoalUnmet              a policy goal cannot be met; carries the best reachable value
    │   ├── ModelRefused           an artifact failed verification; a worker keeps serving the old model
    │   ├── RegistryRefused        the account of the registry lacks a right
    │   ├── StackError             a part of the local stack does not start, or does not end
    │   ├── LedgerUnsafe           the database could lose what it acknowledged, or is not migrated
    │   ├── TopicRefused           the topic is not the one the ledger accounts for, or has lost records
    │   ├── OutdatedApproval       the approved proposal is out of date; ask for approval again
    │   ├── ApprovalRefused        the approver may not approve this promotion; another user must
    │   ├── PromotionRefused       a version is not judged or stopped by the gate, or a defect is open
    │   ├── GateStopped            a first version was registered, but neither certified nor given an alias
    │   ├── LakeDamaged            a file of the lake is missing or altered, or offsets are in no file
    │   ├── LakeRefused            the lake belongs to another database; nothing was written
    │   ├── TooManyDeadLetters     an operator's limit on unreadable records is reached; nothing was dropped
    │   └── DefectsFound           a reconciliation found a broken guarantee
    └── RestartProcess             end the process; the supervisor starts another, which resumes from the ledger
        ├── FenceLost              another worker owns the partition now
        ├── PublishingFailed       the brokers did not accept stored decisions; the next start sends them again
        ├── OffsetsGone            the topic no longer has the next offset; the next start reports the reason
        ├── WorkerStuck            the process makes no progress
        └── ProcessDied            a batch process ended without an error: a crash, or out of memory

An error outside the tree is a defect of this project. :mod:`moderation.adapters.error_origin` decides whether a
record caused it.
"""

from __future__ import annotations


class ModerationError(Exception):
    """Base of the tree.

    Attributes:
        thing: the affected file, setting, topic or record, by name.
        cause: what is wrong with it.
        remedy: what to do next; empty if the cause suffices.
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
    """A record cannot be read, decided or stored. It becomes a dead letter."""


class Unavailable(ModerationError):
    """A service outside this process does not answer. The same call may succeed later."""


class NeedsPerson(ModerationError):
    """An operator must act; the message states how."""


class RestartProcess(ModerationError):
    """This process cannot continue; a new one can."""


class InvalidRecord(BadRecord):
    """A record that cannot be a comment or an action. ``reason`` is the stable code in the dead letter."""

    def __init__(self, reason: str, cause: str) -> None:
        self.reason = reason
        super().__init__("record", cause, "It is stored as a dead letter; fix the producer and replay it.")


class ConfigurationError(NeedsPerson):
    """A setting or an option is unknown, malformed or contradicts another one."""


class DatasetError(NeedsPerson):
    """A file of comments cannot be read: absent, not a known schema, or without a usable row."""


class OutputFailed(NeedsPerson):
    """A file or folder of results cannot be written: the disk is full, read-only, or the reader has gone."""


class TrainingError(NeedsPerson):
    """The labelled examples are too few to train a model, or all of one class."""


class GoalUnmet(NeedsPerson):
    """No threshold reaches a policy goal.

    Attributes:
        goal: the goal as stated, e.g. ``precision>=0.9``.
        best: the best value that any threshold reaches, in the unit of the goal.
    """

    def __init__(self, goal: str, best: float, cause: str, remedy: str) -> None:
        self.goal = goal
        self.best = best
        super().__init__(f"goal {goal}", cause, remedy)


class ModelRefused(NeedsPerson):
    """A model artifact is missing, damaged, altered, of another kernel version, or contains an untrusted type."""


class PastVersionRefused(ModelRefused):
    """A version that decided in the past cannot be opened any more: deleted, of another key or of another kernel."""


class NotInRegistry(ModelRefused):
    """The registry has no such model, version or file."""


class RegistryUnavailable(Unavailable):
    """The registry does not answer, or a request to it failed. Keep the open model and retry."""


class RegistryRefused(NeedsPerson):
    """The registry knows the account, and the account may not do what was requested."""


class BrokerUnavailable(Unavailable):
    """No Kafka broker answers."""


class DatabaseUnavailable(Unavailable):
    """PostgreSQL does not answer, or closes the connection."""


class StoreUnavailable(Unavailable):
    """The storage of the lake does not answer, or fails."""


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
            "Create missing topics with `moderation topics`; if a topic was deleted, send its earlier records again "
            "with `moderation republish`.",
        )


class TableLocked(Unavailable):
    """A table lock was not granted in time; the message names the sessions that may hold it."""


class OutdatedApproval(NeedsPerson):
    """The approved proposal no longer describes what would happen: aliases or files have changed since."""


class ApprovalRefused(NeedsPerson):
    """The approver requested the promotion, and a setting demands that another user approves it."""


class PromotionRefused(NeedsPerson):
    """A version may not be promoted: the gate has not judged it or stopped it, or a reconciliation has defects."""


class GateStopped(NeedsPerson):
    """The gate of a first version stopped it: it is registered, but neither certified nor given an alias."""


class StackError(NeedsPerson):
    """A part of the local stack does not start, does not answer in time, or does not end."""


class LedgerUnsafe(NeedsPerson):
    """The database does not meet the requirements: a durability setting is off, or the schema is missing."""


class TopicRefused(NeedsPerson):
    """A topic was re-created under a known name, or no longer has records that the ledger needs."""


class LakeDamaged(NeedsPerson):
    """A file in the manifest is missing or altered, or a range of offsets is incomplete."""


class LakeRefused(NeedsPerson):
    """The lake belongs to another database, or nobody has stated that it belongs to this one."""


class TooManyDeadLetters(NeedsPerson):
    """The share of unreadable records reached the limit. All are stored; decisions continue after a restart."""


class FenceLost(RestartProcess):
    """Another worker advanced the partition since this one read its position; the batch was rolled back."""


class PublishingFailed(RestartProcess):
    """The brokers did not accept a stored decision in time; the next start publishes it from the ledger."""


class OffsetsGone(RestartProcess):
    """A partition no longer has the next offset to read."""


class WorkerStuck(RestartProcess):
    """The worker makes no progress although records wait, or one of its essential tasks has ended."""


class DefectsFound(NeedsPerson):
    """A reconciliation found lost, unexplained, phantom or residual differences: a guarantee was broken."""


class ProcessDied(RestartProcess):
    """A process that recomputed lake files ended without an error: it crashed or ran out of memory."""
