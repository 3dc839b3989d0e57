"""SQLAlchemy metadata of the tables about models. Migrations create them; a test compares."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from moderation.adapters.sql.tables import metadata

served = Table(
    "served",
    metadata,
    Column("topic_id", Uuid, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("from_offset", BigInteger, primary_key=True, comment="first offset this version decided"),
    Column("model_version", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("kernel_version", Text, nullable=False),
    Column(
        "rules_version", Integer, nullable=False, server_default="1", comment="of parsing and event time; see contracts"
    ),
    Column("earliest_event_us", BigInteger, nullable=False, server_default="0", comment="earlier is past_dated"),
    Column(
        "override",
        Text,
        comment="reason and end of the override by which an uncertified version served; null for a certified one",
    ),
    Column(
        "model_digest",
        Text,
        comment="SHA-256 of the model file: another registry may give the number to another model; "
        "null where it was not stored",
    ),
    schema="speed",
)

kept_models = Table(
    "kept_models",
    metadata,
    Column("model_name", Text, primary_key=True),
    Column("model_version", Text, primary_key=True),
    Column(
        "card_digest",
        Text,
        nullable=False,
        comment="SHA-256 of model.json, which has the digests of all other files",
    ),
    Column("certificate", JSONB, nullable=False, comment="tags of the version that contain its signed certificate"),
    Column("kept_us", BigInteger, nullable=False, comment="when a worker stored it, or a newer certificate of it"),
    comment="versions that served; a worker without registry starts from the last of them",
    schema="speed",
)

kept_model_files = Table(
    "kept_model_files",
    metadata,
    Column("card_digest", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("part", Integer, primary_key=True, comment="from 0; a part has at most 8 MiB"),
    Column("content", LargeBinary, nullable=False),
    comment="files of kept models by the digest of their card; nothing deletes them",
    schema="speed",
)
