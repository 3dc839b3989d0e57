"""Model life in a browser: archive, retrain and approve in Airflow, move aliases in MLflow; the worker follows."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Producer
from playwright.sync_api import Page, expect

from batch.reconcile.run import reconcile_day
from cli.options import connected_settings
from local.stack.layout import StackLayout
from local.stack.mlflow_accounts import ADMIN, passwords
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import producer_settings
from moderation.bootstrap import register, registry, train_to_folder
from moderation.contracts import ActionKind, Comment, to_json
from moderation.datasets.synthetic import labelled_history
from moderation.policy import parse_goal
from moderation.settings import Settings, required
from moderation.timestamps import now_us
from tests.conftest import ROOT
from tests.long.conftest import Printed, printed_stack
from tests.support.forbidden_acts import basic
from tests.support.labelled import END, TRAFFIC, send

pytestmark = pytest.mark.proof  # test_airflow has a person answer by Airflow's API, test_model_dags has one reject

PICTURES = ROOT / "docs" / "images"
_RUN_MS = 900_000  # a busy machine takes minutes for a retraining and its gate


def mlflow_login(layout: StackLayout) -> dict[str, str]:
    """Return the header with which the administrator of the stack's MLflow logs in."""
    return basic(ADMIN, passwords(layout)[ADMIN])


class People:
    """Actions of an ML engineer and an operator in the two UIs.

    Args:
        page: a browser's.
        airflow: address.
        mlflow: address.
        login: header with which its administrator logs in there.
        picture: keeps a screenshot under a name.
    """

    def __init__(
        self, page: Page, airflow: str, mlflow: str, login: Mapping[str, str], picture: Callable[[str], None]
    ) -> None:
        self._page = page
        self._airflow = airflow
        self._mlflow = mlflow
        # Chromium shows a dialog of its own for basic authentication.
        page.route(f"{mlflow}/**", lambda route: route.continue_(headers={**route.request.headers, **login}))
        self._picture = picture

    def log_in(self, password: str) -> None:
        self._page.goto(self._airflow)
        self._page.fill("input[name=username]", "admin")
        self._page.fill("input[name=password]", password)
        self._page.get_by_role("button", name="Sign in").click()
        expect(self._page.get_by_role("heading", name="Welcome")).to_be_visible()

    def trigger(self, dag_id: str, picture: str = "", **form: str) -> None:
        """Fill in a DAG's form and start it; its run is shown."""
        self._page.goto(f"{self._airflow}/dags/{dag_id}")
        self._page.get_by_role("button", name="Trigger").first.click()
        dialog = self._page.get_by_role("dialog")
        for name, value in form.items():
            dialog.locator(f"input[name=element_{name}]").fill(value)
        if picture:
            self._picture(picture)
        dialog.get_by_test_id("trigger-dag-submit").click()
        expect(self._page).to_have_url(re.compile(rf"/dags/{dag_id}/runs/manual__"))

    def follows(self, dag_id: str) -> None:
        """Show the run that an asset event started."""
        link = self._page.locator(f"a[href*='/dags/{dag_id}/runs/asset_triggered__']").first

        def is_listed() -> bool:
            self._page.goto(f"{self._airflow}/dags/{dag_id}/runs")
            self._page.wait_for_load_state("networkidle")
            return link.is_visible()

        wait_until(is_listed, seconds=120, description=f"the run of {dag_id} that the asset started")
        link.click()
        expect(self._page).to_have_url(re.compile(rf"/dags/{dag_id}/runs/asset_triggered__"))

    def sees(self, task: str, state: str) -> None:
        """Wait until a task of the run that is shown is in a state."""
        row = self._page.get_by_role("row").filter(has=self._page.get_by_role("link", name=task, exact=True))
        expect(row).to_contain_text(state, timeout=_RUN_MS)

    def approve(self) -> None:
        self._page.goto(f"{self._airflow}/required_actions")
        self._page.get_by_role("link").filter(has_text="Is version").first.click()
        expect(self._page.get_by_test_id("hitl-option-Approve")).to_be_visible()
        expect(self._page.get_by_text("It passed.")).to_be_visible()
        self._picture("approve_promotion.png")
        self._page.get_by_test_id("hitl-option-Approve").click()
        expect(self._page.get_by_text("approve response successful")).to_be_visible()

    def sees_alias(self, version: str, alias: str) -> None:
        self._page.goto("about:blank")
        self._page.goto(f"{self._mlflow}/#/models/comment-moderation/versions/{version}")
        expect(self._page.get_by_role("heading", name=f"Version {version}")).to_be_visible()
        expect(self._page.get_by_text(f"@ {alias}")).to_be_visible()
        if alias == "production":
            self._picture("mlflow_production.png")

    def gives_alias(self, version: str, alias: str) -> None:
        """Move an alias by hand in the MLflow UI."""
        self._page.goto("about:blank")
        self._page.goto(f"{self._mlflow}/#/models/comment-moderation/versions/{version}")
        expect(self._page.get_by_role("heading", name=f"Version {version}")).to_be_visible()
        self._page.locator("button[data-component-id*=modelversionviewaliaseditor]").click()
        dialog = self._page.get_by_role("dialog")
        dialog.get_by_role("combobox").fill(alias)
        self._page.keyboard.press("Enter")
        dialog.get_by_role("button", name="Save aliases").click()
        expect(dialog).to_be_hidden()


def first_model(settings: Settings, folder: Path) -> None:
    """Register a weak model of the first days; it serves because no other does."""
    rows = [
        (row.comment, row.action is not None and row.action.kind is ActionKind.REMOVE)
        for row in labelled_history(TRAFFIC)
    ]
    train_to_folder(rows[:700], folder, [parse_goal("review_share<=0.2")], settings, folds=2)
    assert register(folder, settings, "the first days").is_production


def accounted(settings: Settings) -> int:
    """Return how many records of comments the ledger accounts for."""
    return int(
        ask(settings, "select coalesce(sum(next - first), 0) from speed.source_offsets where topic = 'comments'")
    )


def ask(settings: Settings, question: str, *values: object) -> str:
    with psycopg.connect(required(settings.database_url, "database_url")) as connection:
        row = connection.execute(question, values).fetchone()
    return "" if row is None else str(row[0])


def decides_with(settings: Settings, version: str) -> None:
    """Send comments until the worker decides one with this version."""
    producer = Producer(producer_settings(kafka_of(settings), 30))

    def decided() -> bool:
        comment = Comment(f"now-{uuid.uuid4().hex}", "science", "Nice study.", now_us())
        producer.produce("comments", to_json(comment), key=comment.comment_id)
        assert producer.flush(30) == 0
        question = "select model_version from speed.decisions where comment_id = %s"
        wait_until(
            lambda: ask(settings, question, comment.comment_id) != "", seconds=60, description="the worker's decision"
        )
        return ask(settings, question, comment.comment_id) == version

    wait_until(decided, seconds=90, description=f"a decision of version {version}", interval_seconds=1)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Printed]:
    """Stack of the test; it is stopped with the test, because Airflow keeps a core busy."""
    with printed_stack(tmp_path / "stack") as printed:
        yield printed


@pytest.mark.budget(450)
def test_the_whole_model_life_works_in_the_browser(
    page: Page,
    up: Printed,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> None:
    def picture(name: str) -> None:
        if pytestconfig.getoption("--screenshots"):
            PICTURES.mkdir(exist_ok=True)
            page.screenshot(path=PICTURES / name)

    assert up.password
    settings = connected_settings(up.folder)
    found = registry(settings)
    first_model(settings, tmp_path / "model")
    sent = len(send(settings)["comments"])
    wait_until(lambda: accounted(settings) == sent, seconds=180, description="decisions on all that was sent")
    people = People(page, up.airflow, settings.mlflow_url, mlflow_login(StackLayout(up.folder)), picture)
    people.log_in(up.password)

    people.trigger("archive_topics")
    for task in ("archive_comments", "archive_actions"):
        people.sees(task, "Success")
    picture("airflow_archive_topics.png")
    assert reconcile_day(settings, date(2026, 1, 15)).is_sound, "or the gate would be closed"

    form = {"days": "21", "end": END.date().isoformat(), "newest_share": "0.3", "reason": "the first weeks"}
    people.trigger("retrain_model", "retrain_form.png", **form)
    for task in ("gate", "offer"):
        people.sees(task, "Success")
    people.sees_alias("2", "challenger")
    assert found.run_artifacts.run_params(found.version("2").run_id)["newest_share"] == "0.3"

    people.follows("promote_model")
    people.sees("approve", "Awaiting Input")
    decides_with(settings, "1")
    people.approve()
    page.goto(f"{up.airflow}/dags/promote_model/runs/{newest_run(page)}")
    people.sees("promote", "Success")
    people.sees_alias("2", "production")
    decides_with(settings, "2")

    people.gives_alias("1", "production")
    decides_with(settings, "1")
    people.trigger("rollback_model")
    people.sees("roll_back", "Success")
    decides_with(settings, "2")
    aliases = {name: found.resolve(name) for name in ("production", "previous", "challenger")}
    assert {name: version and version.version for name, version in aliases.items()} == {
        "production": "2",
        "previous": "1",
        "challenger": None,
    }


def newest_run(page: Page) -> str:
    """Return the id of the run whose task is shown."""
    match = re.search(r"/runs/([^/?]+)", page.url)
    assert match, page.url
    return match[1]
