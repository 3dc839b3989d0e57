"""Page of `moderation preview` in a real browser: light, dark and narrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from grafana.preview import read_preview, render
from grafana.source.variables import Addresses
from local.stack.commands import StackInfo
from moderation.settings import required
from tests.conftest import ROOT
from tests.support.full_day import filled_day
from tests.support.reconcile_day import DAY

pytestmark = pytest.mark.long

PICTURE = ROOT / "docs" / "images" / "reconciliation.png"


@pytest.fixture(scope="module")
def written(stack: StackInfo, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Page of a filled day, on topics without a prefix."""
    folder = tmp_path_factory.mktemp("preview")
    with filled_day(stack, "", folder) as filled:
        settings = filled.day.settings
        url = required(settings.database_url, "database_url")
        page = folder / "reconciliation.html"
        page.write_text(render(read_preview(url, filled.day.layer.topic, DAY, Addresses())))
    return page


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Browser page without scripts."""
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


def test_the_page_works_without_scripts_and_network(page: Page, written: Path, pytestconfig: pytest.Config) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(written.as_uri())
    expect(page.get_by_role("heading", name=f"Reconciliation of {DAY}")).to_be_visible()
    expect(page.get_by_role("region", name="Gap by cause").get_by_role("row", name="left over")).to_be_visible()
    expect(page.get_by_role("img", name="science: batch")).to_be_visible()
    assert asked == [written.as_uri()]
    if pytestconfig.getoption("--screenshots"):
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE, full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_schemes(page: Page, written: Path, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(written.as_uri())
    ground, text = (
        page.locator("body").evaluate(f"element => getComputedStyle(element).{name}")
        for name in ("backgroundColor", "color")
    )
    is_dark = sum(_channels(ground)) < sum(_channels(text))
    assert is_dark == (scheme == "dark")


def test_a_narrow_screen_scrolls_its_tables_and_not_the_page(page: Page, written: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(written.as_uri())
    width = page.locator("html").evaluate("element => element.scrollWidth")
    assert width <= 390


def _channels(colour: str) -> list[int]:
    return [int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
