"""Upgrade from commit f92ede9, whose certificates have format 1, as docs/deploy.md describes it, on real servers.

The commit is before rules version 2, the Ed25519 keys and migrations 0006 and later. Its day contains records that the
present rules read otherwise: the day must be recomputed by the rules that decided it.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from cli.main import app
from local.stack.commands import down, info
from local.stack.layout import StackLayout
from local.stack.wait import wait_until
from local.stack.worker import settings_environment, stack_settings
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.topics import producer_settings
from moderation.timestamps import MINUTE_US, day_start_us
from tests.support.former_release import FormerRelease, former_release, run

pytestmark = pytest.mark.long
COMMIT = "f92ede9"
TODAY = datetime.now(UTC).date()
OLD_DAY, NEW_DAY = TODAY - timedelta(days=3), TODAY - timedelta(days=2)
NO_DEFECTS = dict.fromkeys(("lost", "unexplained", "phantom", "residual"), 0)
Settings = Mapping[str, str]
Record = tuple[str, dict[str, Any]]


@dataclass
class Upgrade:
    """A stack of the former release, then of the present one.

    Attributes:
        release: the former release.
        layout: of the stack.
        settings: of the former release's programs.
    """

    release: FormerRelease
    layout: StackLayout
    settings: Settings

    def present(self, *arguments: str, env: Settings | None = None) -> dict[str, Any]:
        """Run a command of the present code with ``--json`` and return the object."""
        folder = [] if env else ["--data-folder", str(self.layout.root)]
        done = CliRunner().invoke(app, [*arguments, "--json", *folder], env=env, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query of the database."""
        with psycopg.connect(self.settings["MODERATION_DATABASE_URL"]) as connection:
            return connection.execute(question).fetchall()

    def send(self, records: list[Record]) -> None:
        """Send records of topic comments and wait until the worker accounted for all that were sent so far."""
        kafka = KafkaConnection.plaintext(self.settings["MODERATION_KAFKA_BOOTSTRAP"])
        before = self.accounted()
        producer = Producer(producer_settings(kafka, 30))
        for key, fields in records:
            producer.produce("comments", json.dumps(fields), key=key)
        assert producer.flush(30) == 0
        wanted = before + len(records)
        wait_until(lambda: self.accounted() >= wanted, seconds=90, description=f"{wanted} records accounted for")

    def accounted(self) -> int:
        """Return how many records the ledger accounts for."""
        return int(self.ask("SELECT coalesce(sum(next - first), 0) FROM speed.source_offsets")[0][0])


def comment(name: str, day: date, minute: float, **changes: Any) -> Record:
    """Return a comment of a day's minute with its key."""
    time_us = day_start_us(day) + round(minute * MINUTE_US)
    fields = {"schema_version": 1, "comment_id": name, "community": "science", "body": f"Nice study {name}."}
    return name, {**fields, "event_time_us": time_us, **changes}


def records_of_old_day() -> list[Record]:
    """Return comments of every fate, records that only the present rules read, and a time far ahead of the others.

    By the former rules that time moves the watermark at once, so later comments of its partition are late.
    """
    steady = [comment(f"o{n}", OLD_DAY, n) for n in range(200)]
    without_community = comment("nowhere", OLD_DAY, 100)
    del without_community[1]["community"]
    half_an_emoji = comment("half", OLD_DAY, 101, body="Nice \ud83d")
    ahead = comment("ahead", OLD_DAY, 900)
    after = [comment(f"a{n}", OLD_DAY, 201 + n) for n in range(100)]
    return [*steady, without_community, half_an_emoji, steady[150], steady[199], ahead, *after]


@pytest.fixture(scope="module")
def upgrade(
    small_corpus: tuple[list[str], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Upgrade, dict[str, Any]]]:
    """A stack on which the former release decided, archived and reconciled a day; and its report of the day."""
    folder = tmp_path_factory.mktemp("upgrade")
    release = former_release(COMMIT, folder)
    layout = StackLayout(release.data_folder)
    export = folder / "export.csv"
    with export.open("w", encoding="iso-8859-1", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["", "X", "BODY", "REMOVED"])
        rows.writerows([n, n, text, label] for n, (text, label) in enumerate(zip(*small_corpus, strict=True)))
    try:
        release.moderation("up", "--core")
        stack = Upgrade(release, layout, release.settings())
        trained = ("--csv", str(export), "--out", str(folder / "model"), "--folds", "3", "--register")
        assert release.reported("train", *trained)["registered"] == {"version": "1", "production": True}
        stack.send(records_of_old_day())
        release.reported("archive")
        yield stack, release.reported("reconcile", "--date", OLD_DAY.isoformat())
    finally:
        down(layout, purge=True)


@pytest.mark.budget(240)
def test_data_model_and_results_of_the_former_release_stay(upgrade: tuple[Upgrade, dict[str, Any]]) -> None:
    stack, old_report = upgrade
    assert (old_report["state"], old_report["defects"]) == ("final", NO_DEFECTS)
    assert old_report["causes"]["late"] > 10, "the time far ahead made later comments late"
    fates = dict(stack.ask("SELECT fate, count(*) FROM speed.decisions GROUP BY 1"))
    assert fates["duplicate"] == 1
    assert stack.ask("SELECT count(*) FROM speed.dead_letters") == [(2,)]

    # As docs/deploy.md says: the jobs run with the old key and the two new ones, while the old worker decides.
    own = settings_environment(stack_settings(stack.layout, info(stack.layout)))
    added = ("SIGNING_KEY", "VERIFY_KEYS", "MLFLOW_USERNAME", "MLFLOW_PASSWORD")
    jobs = {**stack.settings, **{f"MODERATION_{name}": own[f"MODERATION_{name}"] for name in added}}
    stack.present("migrate", env=jobs)
    assert stack.present("topics", env=jobs)["created"] == []
    certified = stack.present("certify", "--all", "--allow-refused", env=jobs)
    assert (certified["signed"], certified["refused"]) == (1, 0), certified
    stack.send([comment(f"b{n}", NEW_DAY, n) for n in range(40)])
    stack.release.moderation("down")
    run([sys.executable, "-P", "-m", "cli.main", "up", "--core", "--data-folder", str(stack.layout.root)])
    without_old_key = {name: value for name, value in jobs.items() if name != "MODERATION_CERTIFICATE_KEY"}
    assert stack.present("certify", "--all", env=without_old_key)["current"] == 1

    ahead = comment("far", NEW_DAY, 900)
    stack.send([*(comment(f"n{n}", NEW_DAY, 40 + n) for n in range(60)), ahead])
    stack.send([comment(f"n{n}", NEW_DAY, 40 + n) for n in range(60, 160)])
    decided = "SELECT model_version, count(*) FROM speed.decisions WHERE comment_id LIKE 'n%' GROUP BY 1"
    assert stack.ask(decided) == [("1", 160)], "the same version serves"
    stack.present("archive")

    again = stack.present("reconcile", "--date", OLD_DAY.isoformat())
    assert (again["state"], {*again["defects"].values()}) == ("final", {0})
    same = ("panes", "batch_comments", "speed_comments")
    assert {name: again[name] for name in same} == {name: old_report[name] for name in same}
    assert {cause: again["causes"][cause] for cause in old_report["causes"]} == old_report["causes"]
    new = stack.present("reconcile", "--date", NEW_DAY.isoformat())
    assert (new["state"], {*new["defects"].values()}) == ("final", {0})
    assert (new["speed_comments"], {*new["causes"].values()}) == (201, {0}), "by the present rules nothing is late"
    assert stack.present("lake", "verify")["defects"] == []

    [period] = stack.present("history")["periods"]
    assert (period["version"], period["kind"], period["promoted_by"]) == ("1", "not recorded", "not recorded")
    assert stack.present("status")["health"] == {"level": 0, "reasons": []}
