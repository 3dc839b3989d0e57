"""A worker without MLflow, or without the alias, starts from the version that decided last, kept in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from local.stack.commands import StackInfo
from moderation.adapters.model_folder.folder import OpenModel
from moderation.adapters.override import Override
from moderation.adapters.sql.migrate import migrate_database
from moderation.bootstrap import ProductionModel, production_model
from moderation.errors import ModelRefused, NotInRegistry, RegistryUnavailable
from moderation.settings import Settings, required
from moderation.timestamps import HOUR_US, MINUTE_US, now_us
from stream.worker.messages import ServingModel
from stream.worker.metrics import RegistryState
from stream.worker.model_watch import ModelWatch
from tests.support.model_life import LENIENT, STRICT, ModelLife, Templates
from tests.support.workers import base_settings

AWAY = "http://127.0.0.1:1"


@pytest.fixture
def life(stack: StackInfo, templates: Templates, topic_prefix: str, tmp_path: Path) -> ModelLife:
    return ModelLife(base_settings(stack, topic_prefix), tmp_path, templates)


@pytest.fixture
def database(life: ModelLife) -> Iterator[psycopg.Connection]:
    url = required(life.settings.database_url, "database_url")
    migrate_database(url)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def on_another_machine(life: ModelLife, folder: Path, **changes: object) -> Settings:
    return life.settings.model_copy(update={"state_folder": folder, "mlflow_url": AWAY, **changes})


def decided(database: psycopg.Connection, settings: Settings, *versions: tuple[int, str, int]) -> None:
    """Store that versions decided: partition, version, append time of its first decision."""
    topic_id = uuid.uuid4()
    for partition in {partition for partition, _, _ in versions}:
        database.execute(
            "INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next) "
            "VALUES (%s, %s, %s, 0, 1000, 0)",
            (topic_id, partition, settings.topic_prefix + "comments"),
        )
    now = now_us()
    day = datetime.fromtimestamp(now / 1e6, UTC).date()
    for number, (partition, version, append_us) in enumerate(versions):
        first = number * 100
        database.execute(
            "INSERT INTO speed.served (topic_id, partition, from_offset, model_version, policy_version, "
            "kernel_version) VALUES (%s, %s, %s, %s, 'p', '1')",
            (topic_id, partition, first, version),
        )
        database.execute(
            'INSERT INTO speed.decisions (append_day, topic_id, partition, "offset", comment_id, record_id, community, '
            "event_time_us, append_us, score_ppm, verdict, fate, model_version, policy_version, kernel_version) "
            "VALUES (%s, %s, %s, %s, 'c', '\\x00', 'r', %s, %s, 0, 'allow', 'counted', %s, 'p', '1')",
            (day, topic_id, partition, first + 5, now, now + append_us, version),
        )


def opened(production: ProductionModel) -> tuple[str, object]:
    first = production.open_first()
    assert first is not None
    return first[0], first[1].policy


def test_an_empty_state_folder_starts_from_the_version_that_decided_last(
    life: ModelLife, database: psycopg.Connection, tmp_path: Path
) -> None:
    worker = production_model(life.settings)
    for policy in (LENIENT, STRICT):
        version = life.register(policy)
        worker.open_version(version.version)
        worker.keep(version.version)
    fresh = production_model(on_another_machine(life, tmp_path / "fresh"))
    assert fresh.open_first() is None, "no version has decided, so the worker waits for the alias"
    decided(database, life.settings, (0, "1", 100), (1, "1", 200), (0, "2", 300), (1, "2", 400), (0, "1", 500))
    assert opened(fresh) == ("1", LENIENT)
    assert opened(production_model(on_another_machine(life, tmp_path / "fresh"))) == ("1", LENIENT)
    decided(database, life.settings, (0, "2", 600))
    assert opened(fresh) == ("2", STRICT), "the state folder has another version than the one that decided last"


def test_the_version_that_decided_last_is_known_after_decisions_were_retired(
    life: ModelLife, database: psycopg.Connection, tmp_path: Path
) -> None:
    worker = production_model(life.settings)
    for policy in (LENIENT, STRICT):
        version = life.register(policy)
        worker.open_version(version.version)
        worker.keep(version.version)
    decided(database, life.settings, (0, "2", 200))
    decided(database, life.settings, (0, "1", 100))  # of a topic that was re-created
    own = "topic_id IN (SELECT topic_id FROM speed.source_offsets WHERE topic = %s)"
    topic = (life.settings.topic_prefix + "comments",)
    database.execute(f"DELETE FROM speed.decisions WHERE model_version = '1' AND {own}", topic)
    database.execute(f"UPDATE speed.decisions SET \"offset\" = 990 WHERE model_version = '2' AND {own}", topic)
    assert opened(production_model(on_another_machine(life, tmp_path / "last"))) == ("2", STRICT)
    database.execute(f"DELETE FROM speed.decisions WHERE {own}", topic)
    database.execute(
        f"UPDATE speed.source_offsets o SET newest_event_us = (SELECT 10 + s.model_version::int FROM speed.served s "
        f"WHERE s.topic_id = o.topic_id) WHERE {own}",
        topic,
    )
    assert opened(production_model(on_another_machine(life, tmp_path / "none"))) == ("2", STRICT)


def test_a_kept_model_is_verified_by_certificate_and_digest(
    life: ModelLife, database: psycopg.Connection, tmp_path: Path
) -> None:
    worker, version = production_model(life.settings), life.register(LENIENT)
    worker.open_version(version.version)
    worker.keep(version.version)
    worker.keep(version.version)
    decided(database, life.settings, (0, "1", 100))
    other = on_another_machine(life, tmp_path / "a", verify_keys="A" * 43, signing_key=None)
    with pytest.raises(ModelRefused, match="made with another key"):
        production_model(other).open_first()
    small = production_model(on_another_machine(life, tmp_path / "b", model_max_bytes=1_000))
    with pytest.raises(ModelRefused, match="more than the limit of 1,000"):
        small.open_first()
    database.execute(
        "UPDATE speed.kept_models SET certificate = certificate || %s WHERE model_name = %s",
        ('{"moderation.policy_version": "edited"}', life.name),
    )
    with pytest.raises(ModelRefused, match="tag moderation.policy_version was edited"):
        production_model(on_another_machine(life, tmp_path / "c")).open_first()
    worker.keep(version.version)
    assert opened(production_model(on_another_machine(life, tmp_path / "d"))) == ("1", LENIENT)


def test_a_kept_file_that_was_edited_is_refused(life: ModelLife, database: psycopg.Connection, tmp_path: Path) -> None:
    worker, version = production_model(life.settings), life.register(LENIENT, own_files=True)
    worker.open_version(version.version)
    worker.keep(version.version)
    decided(database, life.settings, (0, "1", 100))
    database.execute(
        "UPDATE speed.kept_model_files SET content = %s WHERE card_digest = %s AND name = 'policy.json'",
        (b"{}", version.card_digest),
    )
    with pytest.raises(ModelRefused, match=r"policy.json in speed.kept_model_files is not the one that was registered"):
        production_model(on_another_machine(life, tmp_path / "fresh")).open_first()


def test_a_version_that_is_kept_nowhere_is_named(life: ModelLife, database: psycopg.Connection, tmp_path: Path) -> None:
    decided(database, life.settings, (0, "9", 100))
    with pytest.raises(NotInRegistry, match=r"version 9: it decided last, and neither this machine nor table"):
        production_model(on_another_machine(life, tmp_path / "fresh")).open_first()
    with pytest.raises(RegistryUnavailable):
        production_model(on_another_machine(life, tmp_path / "fresh")).resolve()


def test_an_override_is_neither_kept_nor_served_without_the_registry(
    life: ModelLife, database: psycopg.Connection, tmp_path: Path
) -> None:
    worker, version = production_model(life.settings), life.register(LENIENT, certified=False)
    until_us = (now_us() + HOUR_US) // MINUTE_US * MINUTE_US
    life.registry.set_override(version, Override("ticket 7", until_us))
    worker.open_version(version.version)
    worker.keep(version.version)
    assert worker.open_last_good() is None
    row = database.execute("SELECT count(*) FROM speed.kept_models WHERE model_name = %s", (life.name,)).fetchone()
    assert row == (0,)


def test_after_the_end_of_an_override_the_certified_version_that_decided_last_serves(
    life: ModelLife, database: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    worker = production_model(life.settings)
    certified, uncertified = life.register(LENIENT), life.register(STRICT, certified=False)
    until_us = (now_us() + HOUR_US) // MINUTE_US * MINUTE_US
    override = Override("ticket 7", until_us)
    time_us = until_us - 1

    def serving(number: str, model: OpenModel) -> ServingModel:
        return ServingModel(model.kernel, model.policy, number, override=model.override)

    def first() -> ServingModel | None:
        opened = worker.open_first()
        return None if opened is None else serving(*opened)

    def watch() -> ModelWatch:
        return ModelWatch(
            worker.resolve,
            lambda number: serving(number, worker.open_version(number)),
            3_600,
            first,
            override_of=worker.override_of,
            clock=lambda: time_us,
        )

    life.registry.set_override(uncertified, override)
    life.point("production", uncertified)
    alone = watch()
    alone.start()
    assert alone.model.versions.override == str(override)
    time_us = until_us
    life.registry.tag(uncertified, "moderation.override", "ticket 7 until 2026-01-01T00:00Z")
    alone._check_override()
    assert (alone.model.model_version, alone.model.is_override_over) == ("2", True)
    assert "serves on, because no certified version can be opened" in caplog.text
    alone.stop()

    life.registry.set_override(uncertified, override)
    time_us = until_us - 1
    both = watch()
    life.point("production", certified)
    both.start()
    life.point("production", uncertified)
    both._poll()
    assert both.model.override == override
    decided(database, life.settings, (0, "1", 100))
    life.registry.end_override(uncertified)
    time_us = until_us
    both._check_override()
    both.stop()
    assert both.model.model_version == "1"
    assert both.model.versions.override is None
    assert both.registry_state is RegistryState.REFUSED
    assert "version 2 serves no longer by override" in caplog.text


def test_deleted_versions_aliases_and_renamed_models_leave_the_model_serving_and_the_alias_is_followed_again(
    life: ModelLife,
) -> None:
    worker, versions = production_model(life.settings), [life.register(LENIENT), life.register(STRICT)]
    life.point("production", versions[0])

    def open_version(number: str) -> ServingModel:
        model = worker.open_version(number)
        return ServingModel(model.kernel, model.policy, number)

    watch = ModelWatch(worker.resolve, open_version, 3_600)
    watch.start()
    watch.stop()

    def state() -> RegistryState:
        watch._poll()
        assert watch.model.model_version == "1"
        return watch.registry_state

    life.client.delete_registered_model_alias(life.name, "production")
    assert state() is RegistryState.NO_ALIAS
    life.point("production", versions[0])
    assert state() is RegistryState.FOLLOWED
    life.client.rename_registered_model(life.name, f"{life.name}-renamed")
    assert state() is RegistryState.NO_ALIAS
    life.client.rename_registered_model(f"{life.name}-renamed", life.name)
    life.point("production", versions[0])
    assert state() is RegistryState.FOLLOWED
    life.client.delete_model_version(life.name, "1")
    assert state() in (RegistryState.NO_ALIAS, RegistryState.NO_VERSION)
    life.point("production", versions[1])
    watch._poll()
    assert (watch.model.model_version, watch.registry_state) == ("2", RegistryState.FOLLOWED)
    life.client.delete_registered_model(life.name)
    watch._poll()
    assert (watch.model.model_version, watch.registry_state) == ("2", RegistryState.NO_ALIAS)
