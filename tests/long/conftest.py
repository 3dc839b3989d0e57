"""A stack with Airflow as `moderation up` starts it, and a browser."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_PATIENCE_MS = 60_000


@dataclass(frozen=True)
class Printed:
    """Output of `moderation up`: addresses, and a password the first time.

    Attributes:
        folder: the stack's data folder.
        airflow: address of Airflow's UI.
        kafka: address of the broker.
        password: Airflow's password, if it was printed.
    """

    folder: Path
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
    return Printed(folder, airflow[1], kafka[1], password[1] if password else None)


@contextlib.contextmanager
def printed_stack(folder: Path) -> Iterator[Printed]:
    """Run a stack until the block ends; a second `up` changes nothing."""
    try:
        first = printed_by_up(folder)
        assert printed_by_up(folder) == Printed(folder, first.airflow, first.kafka, None)
        yield first
    finally:
        moderation(folder, "down", "--purge", "--yes")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, without a display.

    Its driver keeps an event loop running in this thread, in which `asyncio.run` fails: it ends with the module, so
    that the tests of other modules in the same process do not meet it.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium is installed; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Page of a user who is not logged in."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    expect.set_options(timeout=_PATIENCE_MS)
    yield page
    context.close()
