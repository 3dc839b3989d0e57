"""Detect side effects: compare tables, topics, registered versions and lake files before and after a command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import psycopg
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from mlflow import MlflowClient
from psycopg import sql

from batch.rescore.artifacts import ROOT
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.lake.store import LakeStore
from moderation.settings import Settings, required


@dataclass(frozen=True)
class SystemState:
    """State of the system at one moment.

    Attributes:
        tables: digest of all rows by table of schemas ``speed`` and ``batch``.
        ends: ends of partitions by topic and partition, for topics with the settings' prefix.
        versions: state, tags and aliases by version number.
        lake: SHA-256 of every file except results of rescoring.
    """

    tables: Mapping[str, str]
    ends: Mapping[tuple[str, int], int]
    versions: Mapping[str, tuple[str, Mapping[str, str], list[str]]]
    lake: Mapping[str, str]

    def differences(self, other: SystemState) -> list[str]:
        """Return the names of fields that differ."""
        return [field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)]


def read_system_state(settings: Settings) -> SystemState:
    """Read the state of the system that the settings name."""
    store = LakeStore(settings.lake_url)
    files = {path: store.sha256(path) for path in store.sizes() if not path.startswith(f"{ROOT}/")}
    return SystemState(_tables(settings), _ends(settings), _versions(settings), files)


def _tables(settings: Settings) -> dict[str, str]:
    found = {}
    with psycopg.connect(required(settings.database_url, "database_url")) as connection:
        names = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('speed', 'batch')"
        ).fetchall()
        for schema, table in names:
            digest = sql.SQL("SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {} t")
            row = connection.execute(digest.format(sql.Identifier(schema, table))).fetchone()
            assert row is not None
            found[f"{schema}.{table}"] = row[0]
    return found


def _ends(settings: Settings) -> dict[tuple[str, int], int]:
    admin = AdminClient(kafka_of(settings).librdkafka({"log_level": 4}))
    topics = {
        name: topic
        for name, topic in admin.list_topics(timeout=10).topics.items()
        if name.startswith(settings.topic_prefix)
    }
    places = [TopicPartition(name, partition) for name, topic in topics.items() for partition in topic.partitions]
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = admin.list_offsets(dict.fromkeys(places, latest))
    return {(place.topic, place.partition): future.result(30).offset for place, future in asked.items()}


def _versions(settings: Settings) -> dict[str, tuple[str, Mapping[str, str], list[str]]]:
    client = MlflowClient(settings.mlflow_url)
    aliases: Mapping[str, str] = client.get_registered_model(settings.model_name).aliases
    return {
        str(each.version): (
            str(each.status),
            dict(each.tags),
            sorted(alias for alias, number in aliases.items() if str(number) == str(each.version)),
        )
        for each in client.search_model_versions(f"name = '{settings.model_name}'")
    }
