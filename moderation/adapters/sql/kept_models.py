"""Models that served, stored in PostgreSQL: a new worker starts from the last one if the registry is not available.

The rows contain the signed certificate and the files; every reader verifies both, so that write access to the
tables does not allow to serve another model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg.types.json import Jsonb

from moderation.adapters.sql.connection import Connection
from moderation.errors import ModelRefused
from moderation.timestamps import now_us

PART_BYTES = 8 * 1024 * 1024
_STORE = """
INSERT INTO speed.kept_models (model_name, model_version, card_digest, certificate, kept_us)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (model_name, model_version) DO UPDATE
   SET card_digest = excluded.card_digest, certificate = excluded.certificate, kept_us = excluded.kept_us
"""
_STORE_PART = """
INSERT INTO speed.kept_model_files (card_digest, name, part, content) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
# Workers change the version of all partitions at nearly one time, so each decision of a later version is later. The
# first decisions of a version may be retired: then its last ones count, and without any the largest event time.
_SERVED_LAST = """
SELECT model_version
  FROM (SELECT DISTINCT ON (s.topic_id, s.partition) s.*, o.newest_event_us,
               coalesce((SELECT min(n.from_offset) FROM speed.served n
                          WHERE (n.topic_id, n.partition) = (s.topic_id, s.partition)
                            AND n.from_offset > s.from_offset), o.next) AS end_offset
          FROM speed.served s JOIN speed.source_offsets o USING (topic_id, partition)
         WHERE o.topic = %s AND s.override IS NULL
         ORDER BY s.topic_id, s.partition, s.from_offset DESC) newest
 ORDER BY coalesce(
          (SELECT min(d.append_us) FROM speed.decisions d
            WHERE (d.topic_id, d.partition) = (newest.topic_id, newest.partition)
              AND d."offset" >= newest.from_offset AND d."offset" < least(newest.from_offset + 100, end_offset)),
          (SELECT max(d.append_us) FROM speed.decisions d
            WHERE (d.topic_id, d.partition) = (newest.topic_id, newest.partition)
              AND d."offset" >= greatest(newest.from_offset, end_offset - 100) AND d."offset" < end_offset)
          ) DESC NULLS LAST, newest.newest_event_us DESC NULLS LAST
 LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class KeptModel:
    """A version that served.

    Attributes:
        card_digest: SHA-256 of ``model.json``, hexadecimal.
        certificate: tags of the version that contain its signed certificate.
    """

    card_digest: str
    certificate: Mapping[str, str]


def served_last(connection: Connection, topic: str) -> str | None:
    """Return the number of the certified version that decided last; None if none has.

    Args:
        connection: to the ledger.
        topic: full name of topic ``comments``.
    """
    row = connection.execute(_SERVED_LAST, (topic,)).fetchone()
    return None if row is None else str(row[0])


def keep(
    connection: Connection, model_name: str, version: str, kept: KeptModel, folder: Path, names: Sequence[str]
) -> bool:
    """Store a version unless it is stored with this certificate. Idempotent; safe for concurrent workers.

    Args:
        connection: to the ledger.
        model_name: the registered model.
        version: version number.
        kept: digest and certificate.
        folder: its files.
        names: names of the files.

    Returns:
        Whether anything was written.

    Raises:
        OSError: a file cannot be read.
    """
    if find(connection, model_name, version) == kept:
        return False
    with connection.transaction():
        for name in names:
            for part, content in enumerate(_parts(folder / name)):
                connection.execute(_STORE_PART, (kept.card_digest, name, part, content))
        connection.execute(_STORE, (model_name, version, kept.card_digest, Jsonb(dict(kept.certificate)), now_us()))
    return True


def find(connection: Connection, model_name: str, version: str) -> KeptModel | None:
    """Return digest and certificate of a stored version; None if it is not stored. Nothing is verified."""
    row = connection.execute(
        "SELECT card_digest, certificate FROM speed.kept_models WHERE (model_name, model_version) = (%s, %s)",
        (model_name, version),
    ).fetchone()
    return None if row is None else KeptModel(row[0], {str(name): str(value) for name, value in row[1].items()})


def read_files(connection: Connection, card_digest: str, folder: Path, names: Sequence[str], max_bytes: int) -> None:
    """Write the files of a stored version into a folder. Sizes are compared before any content is read.

    Args:
        connection: to the ledger.
        card_digest: SHA-256 of ``model.json``, hexadecimal.
        folder: an existing folder.
        names: names of the files.
        max_bytes: size limit of a file.

    Raises:
        ModelRefused: a file is missing or too large.
    """
    sizes: dict[str, int] = dict(
        connection.execute(
            "SELECT name, sum(octet_length(content)) FROM speed.kept_model_files WHERE card_digest = %s GROUP BY name",
            (card_digest,),
        ).fetchall()
    )
    thing = f"kept model {card_digest}"
    for name in names:
        if name not in sizes:
            raise ModelRefused(thing, f"table speed.kept_model_files has no {name} of it")
        if sizes[name] > max_bytes:
            raise ModelRefused(
                thing,
                f"its {name} has {sizes[name]:,} bytes, more than the limit of {max_bytes:,}",
                "Raise MODERATION_MODEL_MAX_BYTES if the file is right.",
            )
    for name in names:
        with (folder / name).open("wb") as file:
            part = 0
            while (content := _content(connection, card_digest, name, part)) is not None:
                file.write(content)
                part += 1


def _content(connection: Connection, card_digest: str, name: str, part: int) -> bytes | None:
    row = connection.execute(
        "SELECT content FROM speed.kept_model_files WHERE (card_digest, name, part) = (%s, %s, %s)",
        (card_digest, name, part),
        binary=True,
    ).fetchone()
    return None if row is None else bytes(row[0])


def _parts(path: Path) -> Sequence[bytes]:
    """Read a file in parts; an empty file has one empty part."""
    content = path.read_bytes()
    return [content[start : start + PART_BYTES] for start in range(0, len(content), PART_BYTES)] or [b""]
