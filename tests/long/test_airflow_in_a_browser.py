"""Airflow as an operator sees it: a real browser, the printed password, a run of archive_topics that succeeds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Producer
from playwright.sync_api import Page, expect, sync_playwright

from moderation.adapters.topics import producer_settings
from tests.conftest import ROOT

pytestmark = pytest.mark.long

PICTURE = ROOT / "docs" / "images" / "airflow_archive_topics.png"
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_PATIENCE_MS = 60_000
_RUN_MS = 180_000


@dataclass(frozen=True)
class Printed:
    """What `moderation up` printed: addresses, and a password the first time."""

    airflow: str
    kafka: str
    password: str | None


def moderation(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-P", "-m", "cli.main", *arguments, "--data-folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout


def printed_by_up(folder: Path) -> Printed:
    text = moderation(folder, "up")
    patterns = (r"^Airflow +(\S+)", r"^Kafka +(\S+)", r"user admin has the password (\S+) \(shown this once\)")
    airflow, kafka, password = (re.search(pattern, text, re.MULTILINE) for pattern in patterns)
    assert airflow, text
    assert kafka, text
    return Printed(airflow[1], kafka[1], password[1] if password else None)


def send_a_comment(bootstrap: str) -> None:
    producer = Producer(producer_settings(bootstrap, 30))
    producer.produce("comments", b"{}", key="c1")
    assert producer.flush(30) == 0


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Printed]:
    folder = tmp_path / "stack"
    try:
        first = printed_by_up(folder)
        assert printed_by_up(folder) == Printed(first.airflow, first.kafka, None)
        yield first
    finally:
        moderation(folder, "down", "--purge")


@pytest.fixture
def page() -> Iterator[Page]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium is installed; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_default_timeout(_PATIENCE_MS)
        expect.set_options(timeout=_PATIENCE_MS)
        yield page
        browser.close()


def test_an_operator_logs_in_triggers_the_archive_and_sees_it_succeed(
    page: Page, up: Printed, pytestconfig: pytest.Config
) -> None:
    assert up.password, "the first up prints it"
    send_a_comment(up.kafka)
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
