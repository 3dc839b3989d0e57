"""History of promotions on real PostgreSQL and MLflow: nothing that served is missing, and nothing is there twice."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import orjson
import psycopg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from batch.promotion.history import read_history
from batch.promotion.run import Origin, plan_rollback, promote, roll_back
from batch.promotion.tasks import offer, show
from batch.promotion.tasks import outdated as outdated_shown
from batch.promotion.tasks import promote as promote_shown
from cli.main import app
from local.stack.commands import StackInfo
from local.stack.worker import settings_environment
from moderation.adapters.registry import Registry
from moderation.adapters.registry.history import HISTORY_MARKER
from moderation.adapters.sql.migrate import migrate_database
from moderation.adapters.sql.promotions import ServingPeriod
from moderation.bootstrap import register
from moderation.errors import ApprovalRefused, ConfigurationError, DatabaseUnavailable
from moderation.settings import Settings, required
from moderation.timestamps import now_us
from tests.support.model_life import LENIENT, STRICT, ModelLife, Templates
from tests.support.relay import Relay, relay_to
from tests.support.workers import base_settings

MINUTE_US = 60_000_000


@pytest.fixture
def relay(stack: StackInfo) -> Iterator[Relay]:
    with relay_to(stack.ports["postgres"]) as relay:
        yield relay


@pytest.fixture
def life(stack: StackInfo, relay: Relay, templates: Templates, tmp_path: Path) -> ModelLife:
    """A model with a topic of its own; its processes reach PostgreSQL through the relay."""
    settings = base_settings(stack, f"test-{uuid.uuid4().hex[:12]}-")
    url = required(settings.database_url, "database_url")
    migrate_database(url)
    relayed = url.replace(f":{stack.ports['postgres']}/", f":{relay.port}/")
    assert relayed != url
    return ModelLife(settings.model_copy(update={"database_url": SecretStr(relayed)}), tmp_path, templates)


def kinds(life: ModelLife) -> list[tuple[str, str | None, str, str, bool]]:
    """Return version, replaced version, kind, who and confirmation of each period, newest first."""
    return [
        (each.version, each.replaced, each.kind, each.promoted_by, each.is_confirmed)
        for each in read_history(life.settings)
    ]


def decide(settings: Settings, at: list[tuple[int, int, str, int]]) -> None:
    """Store decisions as a worker does: partition, offset, version and time of each version's first one."""
    topic, topic_id = f"{settings.topic_prefix}comments", uuid.uuid4()
    with psycopg.connect(required(settings.database_url, "database_url"), autocommit=True) as connection:
        for partition in {each[0] for each in at}:
            connection.execute(
                "INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next) "
                "VALUES (%s, %s, %s, 0, 1000, 1000)",
                (topic_id, partition, topic),
            )
        for partition, offset, version, time_us in at:
            connection.execute(
                "INSERT INTO speed.served (topic_id, partition, from_offset, model_version, policy_version, "
                "kernel_version) VALUES (%s, %s, %s, %s, 'p', 'k')",
                (topic_id, partition, offset, version),
            )
            connection.execute(
                'INSERT INTO speed.decisions (append_day, topic_id, partition, "offset", append_us, comment_id, '
                "community, event_time_us, record_id, score_ppm, verdict, model_version, policy_version, "
                "kernel_version, fate, stored_us) VALUES (to_timestamp(%s / 1e6)::date, %s, %s, %s, %s, 'c', 'x', 1, "
                "'\\x00', 1, 'allow', %s, 'p', 'k', 'counted', %s)",
                (time_us, topic_id, partition, offset, time_us, version, time_us),
            )


def test_every_promotion_and_rollback_is_recorded_once(life: ModelLife) -> None:
    first, second = life.register(LENIENT), life.register(STRICT)
    promote(life.settings, first.version, by="a", reason="the first", origin=Origin("command", "1"))
    life.registry.note_gate(second, "passed", [])
    shown = Origin("http://airflow.example/run", "promote_model manual__1")
    for _ in range(2):  # the task is repeated
        promote(life.settings, second.version, by="b", reason="fewer reviews", origin=shown)
    plan = plan_rollback(life.settings)
    for _ in range(2):
        roll_back(life.settings, plan, by="c", reason="too strict", origin=Origin("run", "rollback_model 1"))
    assert kinds(life) == [
        ("1", "2", "rollback", "c", True),
        ("2", "1", "promote", "b", True),
        ("1", None, "promote", "a", True),
    ]
    newest, promoted, _ = read_history(life.settings)
    assert newest.until_us is None
    assert promoted.until_us == newest.since_us
    assert (promoted.reason, promoted.gate, promoted.gate_reasons) == ("fewer reviews", "passed", "")
    assert (promoted.requested_from, promoted.model_digest) == (shown.requested_from, second.model_digest)


def test_the_model_s_page_in_mlflow_shows_the_history_and_keeps_its_own_text(life: ModelLife) -> None:
    life.client.update_registered_model(life.name, "What this model is.")
    for policy in (LENIENT, STRICT):
        promote(life.settings, life.register(policy).version, by="a|b", reason="[x](javascript:y)")
    text = str(life.client.get_registered_model(life.name).description)
    assert text.startswith(f"What this model is.\n\n{HISTORY_MARKER}\n## History\n- ")
    assert text.count("version 2 replaced version 1, promote, by `a¦b`: `[x](javascript:y)`. Gate: passed.") == 1


def test_the_first_version_is_recorded(stack: StackInfo, life: ModelLife, templates: Templates) -> None:
    templates.of(LENIENT)
    folder = templates.folders[LENIENT, ""]
    life.client.delete_registered_model(life.name)
    registered = [
        register(folder, life.settings, "start", by="x", requested_from="moderation train --register") for _ in range(2)
    ]
    assert registered == [("1", True, True), ("2", False, False)]
    assert kinds(life) == [("1", None, "first", "x", True)]


def test_a_promotion_is_not_lost_if_postgres_is_away_when_the_alias_moved(
    life: ModelLife, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = life.register(LENIENT)
    moved = Registry.promote

    def move_and_lose(*given: object) -> object:
        result = moved(*given)  # type: ignore[arg-type]
        relay.close()
        return result

    monkeypatch.setattr(Registry, "promote", move_and_lose)
    with pytest.raises(DatabaseUnavailable):
        promote(life.settings, version.version, by="a", reason="now", origin=Origin("run", "1"))
    monkeypatch.setattr(Registry, "promote", moved)
    assert life.aliases() == {"production": "1"}
    with pytest.raises(DatabaseUnavailable):  # before the alias moves: it does not
        promote(life.settings, life.register(STRICT).version, by="b", reason="next")
    assert life.aliases() == {"production": "1"}
    relay.open()
    assert kinds(life) == [("1", None, "promote", "a", True)]


def test_a_rollback_works_without_postgres_and_is_recorded_afterwards(
    life: ModelLife, relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    for policy in (LENIENT, STRICT):
        promote(life.settings, life.register(policy).version, by="a", reason="better")
    relay.close()
    with caplog.at_level(logging.WARNING):
        assert roll_back(life.settings, by="night shift", reason="it removes all").version == "1"
    assert "`moderation history` stores its record later" in caplog.text
    assert life.aliases() == {"production": "1", "previous": "2"}
    relay.open()
    for _ in range(2):
        assert kinds(life)[0] == ("1", "2", "rollback", "night shift", True)
        assert len(kinds(life)) == 3


def test_the_task_of_a_rollback_is_retried_without_postgres_and_moves_nothing_again(
    life: ModelLife, relay: Relay
) -> None:
    for policy in (LENIENT, STRICT):
        promote(life.settings, life.register(policy).version, by="a", reason="better")
    plan = plan_rollback(life.settings)
    relay.close()
    with pytest.raises(DatabaseUnavailable):
        roll_back(life.settings, plan, by="a", reason="worse")
    relay.open()
    assert not roll_back(life.settings, plan, by="a", reason="worse").is_new
    assert life.aliases() == {"production": "1", "previous": "2"}
    assert [each[2] for each in kinds(life)] == ["rollback", "promote", "promote"]


def test_versions_that_served_are_joined_with_their_promotions_and_moves_by_hand_are_visible(
    life: ModelLife,
) -> None:
    first, second = life.register(LENIENT), life.register(STRICT)
    life.point("production", first)
    promote(life.settings, second.version, by="a", reason="better")
    moved_us = read_history(life.settings)[0].since_us
    assert moved_us is not None
    decide(
        life.settings,
        [
            (0, 0, "1", moved_us - 1_000 * MINUTE_US),
            (0, 10, "2", moved_us + 1_000_000),
            (1, 20, "1", moved_us + 5_000_000),  # a worker that has not loaded version 2 yet
            (1, 30, "2", moved_us + 9_000_000),
            (0, 40, "1", moved_us + 30_000_000),  # somebody moved the alias back in the UI
            (1, 50, "1", moved_us + 31_000_000),
        ],
    )
    newest, promoted, oldest = read_history(life.settings)
    assert (newest.version, newest.kind, newest.promoted_by) == ("1", "by hand", "by hand in MLflow")
    assert newest.from_offsets == {"0": 40, "1": 50}
    assert (promoted.version, promoted.promoted_by, promoted.from_offsets) == ("2", "a", {"0": 10, "1": 30})
    assert (promoted.until_us, promoted.is_confirmed) == (newest.since_us, True)
    assert (oldest.version, oldest.kind, oldest.from_offsets) == ("1", "not recorded", {"0": 0})


def test_without_any_record_it_is_unknown_how_versions_came_to_serve(life: ModelLife) -> None:
    """A release that recorded no promotions may have promoted them: nobody need have moved the alias by hand."""
    start_us = now_us()
    decide(life.settings, [(0, 0, "1", start_us), (1, 0, "1", start_us + 7), (0, 9, "2", start_us + 9)])
    periods = [(each.version, each.kind, each.promoted_by) for each in read_history(life.settings)]
    assert periods == [("2", "not recorded", "not recorded"), ("1", "not recorded", "not recorded")]


def test_the_command_lists_the_history(life: ModelLife, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in settings_environment(life.settings).items():
        monkeypatch.setenv(key, value)
    runner = CliRunner()
    assert "has served" in runner.invoke(app, ["history"]).stdout
    version = life.register(LENIENT).version
    promoted = runner.invoke(app, ["promote", "--version", version, "--reason", "a [red]start", "--json"])
    assert promoted.exit_code == 0, promoted.output
    stated = orjson.loads(runner.invoke(app, ["history", "--json"]).stdout)
    assert (stated["model_name"], stated["topic"]) == (life.name, f"{life.settings.topic_prefix}comments")
    (period,) = stated["periods"]
    assert (period["version"], period["kind"], period["requested_from"]) == ("1", "promote", "moderation promote")
    assert set(period) == set(ServingPeriod.__slots__)
    shown = runner.invoke(app, ["history"]).stdout
    assert "[red]" in shown, "the text is shown as it is, in a narrow column"


class Approval:
    """Runs the tasks of ``promote_model`` as functions, in the environment of the model."""

    def __init__(self, life: ModelLife, monkeypatch: pytest.MonkeyPatch, *, four_eyes: bool = False) -> None:
        settings = life.settings.model_copy(update={"approver_must_differ": four_eyes})
        for key, value in settings_environment(settings).items():
            monkeypatch.setenv(key, value)
        monkeypatch.setenv("MODERATION_APPROVER_MUST_DIFFER", str(four_eyes).lower())

    def promote(self, shown: dict[str, object], by: str) -> str:
        answer = {"chosen_options": ["Approve"], "responded_by_user": {"id": by, "name": by}}
        return str(promote_shown(shown, answer, "http://airflow.example/run", "promote_model 1")["version"])


BY_HAND = {"version": "challenger", "reason": "try it"}
BY_ASSET = {"version": "challenger", "reason": None}


@pytest.fixture
def challenger(life: ModelLife) -> str:
    """Number of the challenger; version 1 serves."""
    life.registry.ensure_alias("production", life.register(LENIENT))
    version = life.register(STRICT)
    life.registry.give_alias("challenger", version)
    return version.version


def test_a_version_that_passed_is_shown_with_the_reason_of_its_retraining(
    life: ModelLife, challenger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    approval = Approval(life, monkeypatch)
    event = offer({"version": challenger, "is_passed": True, "reasons": []}, "nightly", None)
    assert isinstance(event, dict)
    shown = show(BY_ASSET, None, [event])
    assert isinstance(shown, dict)
    assert (shown["version"], shown["reason"]) == ("2", "version 2 passed the gate: nightly")
    assert approval.promote(shown, "anybody") == "2"
    assert read_history(life.settings)[0].reason == "version 2 passed the gate: nightly"
    assert show(BY_ASSET, None, [event]) == "version 2 serves already"


def test_an_approval_is_out_of_date_as_soon_as_a_newer_version_passed(
    life: ModelLife, challenger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Approval(life, monkeypatch)
    event = offer({"version": challenger, "is_passed": True, "reasons": []}, "nightly", None)
    assert isinstance(event, dict)
    shown = show(BY_ASSET, None, [event])
    assert isinstance(shown, dict)
    assert outdated_shown(shown) is None
    life.registry.give_alias("challenger", life.register(LENIENT))
    assert "which is version 3 by now" in str(outdated_shown(shown))
    assert show(BY_ASSET, None, [event]) == "version 2 passed the gate, but version 3 is challenger by now"


def test_a_version_that_did_not_pass_starts_nothing(life: ModelLife) -> None:
    judged = {"version": "2", "is_passed": False, "reasons": ["its AUC is lower"]}
    assert offer(judged, "nightly", None) == "the gate did not let version 2 pass: its AUC is lower"


def test_a_run_by_hand_needs_a_reason(life: ModelLife, challenger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Approval(life, monkeypatch)
    with pytest.raises(ConfigurationError, match="reason of the promotion: it is empty"):
        show({"version": "challenger", "reason": None}, "somebody")


def test_with_four_eyes_who_triggered_may_not_approve(
    life: ModelLife, challenger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    approval = Approval(life, monkeypatch, four_eyes=True)
    by_hand = show(BY_HAND, "ann")
    event = {"version": challenger, "reason": "r", "requested_by": "ann"}
    retrained, forged = show(BY_ASSET, None, [event]), show(BY_ASSET, None, [event | {"from_rest_api": True}])
    scheduled = show(BY_ASSET, None, [event | {"requested_by": None}])
    assert isinstance(by_hand, dict)
    assert isinstance(retrained, dict)
    assert isinstance(forged, dict)
    assert isinstance(scheduled, dict)
    for shown, by in ((by_hand, "ann"), (retrained, "ann"), (forged, "ben")):
        with pytest.raises(ApprovalRefused, match="MODERATION_APPROVER_MUST_DIFFER"):
            approval.promote(shown, by)
    with pytest.raises(ApprovalRefused, match="nobody else approved it"):
        promote(life.settings.model_copy(update={"approver_must_differ": True}), by="ann", reason="alone")
    assert life.aliases()["production"] == "1"
    assert approval.promote(scheduled, "ann") == "2"


def test_without_four_eyes_who_triggered_may_approve(
    life: ModelLife, challenger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown_by_hand = Approval(life, monkeypatch), show(BY_HAND, "ann")
    approval, shown = shown_by_hand
    assert isinstance(shown, dict)
    assert approval.promote(shown, "ann") == "2"
