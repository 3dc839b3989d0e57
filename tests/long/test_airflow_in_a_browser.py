"""Airflow as an operator sees it: a real browser, the printed password, a run of archive_topics that succeeds."""

from __future__ import annotations

import re

import pytest
from confluent_kafka import Producer
from playwright.sync_api import Page, expect

from moderation.adapters.topics import producer_settings
from moderation.contracts import Action, ActionKind, to_json
from tests.conftest import ROOT
from tests.long.conftest import Printed

pytestmark = pytest.mark.long

PICTURE = ROOT / "docs" / "images" / "airflow_archive_topics.png"
_RUN_MS = 180_000


def send_an_action(bootstrap: str) -> None:
    """Of a comment that nobody sent; the other test of this stack counts comments."""
    producer = Producer(producer_settings(bootstrap, 30))
    action = Action("no comment", ActionKind.APPROVE, "m1", "", 1_700_000_000_000_000, 1.0)
    producer.produce("actions", to_json(action), key=action.comment_id)
    assert producer.flush(30) == 0


def test_an_operator_logs_in_triggers_the_archive_and_sees_it_succeed(
    page: Page, up: Printed, pytestconfig: pytest.Config
) -> None:
    assert up.password, "the first up prints it"
    send_an_action(up.kafka)
    page.goto(up.airflow)
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", up.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()

    page.goto(f"{up.airflow}/dags/archive_topics")
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Trigger", exact=True).click()
    expect(page).to_have_url(re.compile(r"/dags/archive_topics/runs/manual__"))
    for task in ("archive_comments", "archive_actions"):
        expect(page.get_by_role("row").filter(has_text=task)).to_contain_text("Success", timeout=_RUN_MS)
    if pytestconfig.getoption("--screenshots"):
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE)
