"""Ownership of a lake: its file ``_owner.json`` names the database whose manifest lists the files.

Every command that writes into the lake calls :func:`require_ownership`. A database is identified by its manifest and by
the PostgreSQL server that has it. So a dump that was restored into another database is another owner.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID, uuid4, uuid5

import orjson

from moderation.adapters.lake.store import LakeStore
from moderation.adapters.sql.connection import Connection
from moderation.errors import LakeDamaged, LakeRefused
from moderation.timestamps import moment_of, now_us

OWNER_FILE = "_owner.json"
_FORMAT = 1
_CLAIM_LOCK = 7_205_761
"""Advisory lock for becoming the owner of a lake."""
_LAKE_FILE = re.compile(r"[^/]+/dt=\d{4}-\d\d-\d\d/[^/]+\.parquet")
_IDENTITY = """
SELECT m.manifest_id, current_database(), (SELECT oid FROM pg_database WHERE datname = current_database()),
       (SELECT system_identifier FROM pg_control_system())
  FROM batch.manifest_identity m
"""
_CLAIM = (
    "INSERT INTO batch.lake_claims (claimed_us, lake_url, owner, previous_owner, reason) VALUES (%s, %s, %s, %s, %s)"
)


@dataclass(frozen=True, slots=True)
class Owner:
    """A database that can own a lake.

    Attributes:
        identity: differs between any two databases, also if one is a restored dump of the other.
        database: its name.
    """

    identity: UUID
    database: str

    def __str__(self) -> str:
        """The name in messages."""
        return f"database {self.database} ({self.identity})"


@dataclass(frozen=True, slots=True)
class Ownership:
    """A lake compared with a database.

    Attributes:
        lake_url: URL of the lake.
        owner: the owner that the lake names; None if it names none.
        mine: the connected database.
        listed: number of files in its manifest.
        missing: those of them that the lake does not have, in order.
        unlisted: files of the lake that are not in the manifest, in order.
    """

    lake_url: str
    owner: Owner | None
    mine: Owner
    listed: int
    missing: list[str]
    unlisted: list[str]

    @property
    def is_mine(self) -> bool:
        """Whether the connected database owns the lake."""
        return self.owner is not None and self.owner.identity == self.mine.identity


def identity_of(connection: Connection) -> Owner:
    """Return the identity of the connected database.

    Raises:
        LakeRefused: the database has no identity, because its row was deleted.
    """
    row = connection.execute(_IDENTITY).fetchone()
    if row is None:
        raise LakeRefused(
            "table batch.manifest_identity",
            "it has no row, so this database has no identity",
            "Restore the row from a backup of the database.",
        )
    manifest_id, database, oid, system_identifier = row
    return Owner(uuid5(manifest_id, f"{system_identifier}/{oid}"), database)


def read_owner(store: LakeStore) -> Owner | None:
    """Read the owner that a lake names; None if it names none.

    Raises:
        LakeDamaged: the file cannot be read as an owner.
        StoreUnavailable: the storage does not answer.
        ConfigurationError: it refuses.
    """
    try:
        with store.open(OWNER_FILE) as file:
            content = file.read()
    except FileNotFoundError:
        return None
    try:
        fields = orjson.loads(content)
        return Owner(UUID(fields["owner"]), str(fields["database"]))
    except (ValueError, KeyError, TypeError) as error:
        raise LakeDamaged(
            f"lake file {store.url_of(OWNER_FILE)}",
            "it does not name the owner of the lake",
            "`moderation lake claim` writes it again.",
        ) from error


def require_ownership(store: LakeStore, connection: Connection) -> None:
    """Require that the connected database owns a lake; a lake without owner and without unlisted files gets it.

    Raises:
        LakeRefused: the lake belongs to another database, or names no owner and has files that the manifest lacks.
        LakeDamaged: see :func:`read_owner`.
        StoreUnavailable: the storage does not answer.
        ConfigurationError: it refuses.
    """
    mine = identity_of(connection)
    owner = read_owner(store)
    if owner is None:
        owner = _take_unowned(store, connection, mine)
    require_owner(store, owner, mine)


def _take_unowned(store: LakeStore, connection: Connection, mine: Owner) -> Owner | None:
    """Make a database the owner of a lake without owner; return the owner that the lake names then."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_CLAIM_LOCK,))
        if (owner := read_owner(store)) is not None:
            return owner  # another process of this database was faster
        unlisted = _lake_files(store.sizes()) - _listed(connection)
        if unlisted:
            raise LakeRefused(
                f"lake {store.url}",
                f"it names no owner, and {len(unlisted):,} of its files are not in the manifest of {mine}, the first "
                f"{min(unlisted)}",
                "If it is the lake of this database, run `moderation lake claim`; else set MODERATION_LAKE_URL to the "
                "database's own lake.",
            )
        _write(store, connection, mine, None, "the lake had no owner")
        return read_owner(store)  # another database may have written it as well


def require_owner(store: LakeStore, owner: Owner | None, mine: Owner) -> None:
    """Require that a lake names no other owner.

    Raises:
        LakeRefused: it names another one.
    """
    if owner is not None and owner.identity != mine.identity:
        raise LakeRefused(
            f"lake {store.url}",
            f"it belongs to {owner}, not to {mine}; nothing was changed",
            "Set MODERATION_LAKE_URL to a lake of this database. If this database and this lake replace the owner, or "
            "are copies, run `moderation lake claim`.",
        )


def inspect_ownership(store: LakeStore, connection: Connection) -> Ownership:
    """Compare a lake with the connected database.

    Raises:
        LakeRefused: see :func:`identity_of`.
        StoreUnavailable: the storage does not answer.
        ConfigurationError: it refuses.
    """
    listed, stored = _listed(connection), _lake_files(store.sizes())
    try:
        owner = read_owner(store)
    except LakeDamaged:
        owner = None
    return Ownership(
        store.url, owner, identity_of(connection), len(listed), sorted(listed - stored), sorted(stored - listed)
    )


def claim(store: LakeStore, connection: Connection, ownership: Ownership, reason: str) -> None:
    """Make the connected database the owner of a lake; the claim is recorded in ``batch.lake_claims``.

    Args:
        store: the lake.
        connection: to the new owner.
        ownership: what :func:`inspect_ownership` returned.
        reason: stored with the claim.

    Raises:
        StoreUnavailable: the storage does not answer.
        ConfigurationError: it refuses.
    """
    _write(store, connection, ownership.mine, ownership.owner, reason)


def _write(store: LakeStore, connection: Connection, owner: Owner, previous: Owner | None, reason: str) -> None:
    at_us = now_us()
    fields = {
        "format": _FORMAT,
        "owner": str(owner.identity),
        "database": owner.database,
        "claimed": moment_of(at_us).isoformat(timespec="seconds"),
        "meaning": "Only this database's manifest may add or remove files; see docs/lake.md.",
    }
    temporary = f"_owner-{uuid4().hex}.json"
    with store.creating(temporary) as file:
        file.write(orjson.dumps(fields, option=orjson.OPT_INDENT_2))
    store.publish(temporary, OWNER_FILE)
    previous_id = None if previous is None else previous.identity
    connection.execute(_CLAIM, (at_us, store.url, owner.identity, previous_id, reason))


def _listed(connection: Connection) -> set[str]:
    return {path for (path,) in connection.execute("SELECT path FROM batch.files")}


def _lake_files(paths: Iterable[str]) -> set[str]:
    return {path for path in paths if _LAKE_FILE.fullmatch(path)}
