"""`moderation preview` on a real, reconciled day."""

from __future__ import annotations

import json
import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from grafana.preview.reading import QUERIES
from grafana.source import reconciliation
from grafana.source.files import dashboards
from grafana.source.variables import Addresses
from local.stack.worker import settings_environment
from moderation.errors import ConfigurationError
from tests.support.full_day import AIRFLOW_RUN, FilledDay
from tests.support.reconcile_day import DAY


class Page(HTMLParser):
    """Collects the addresses that a browser would load or follow, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.followed: set[str] = set()
        self.loaded: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "href" and tag == "a":
                self.followed.add(value or "")
            elif name in ("src", "href", "srcset", "action", "style") or name.startswith("on"):
                self.loaded.add(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def written(filled: FilledDay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, object], str]:
    for key, value in settings_environment(filled.day.settings).items():
        monkeypatch.setenv(key, value)
    out = tmp_path / "new" / "day.html"
    options = ["preview", "--out", str(out), "--date", DAY.isoformat(), "--json"]
    result = CliRunner().invoke(app, options, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), out.read_text()


def test_the_page_shows_the_data_of_the_views(filled: FilledDay, written: tuple[dict[str, object], str]) -> None:
    told, text = written
    defects = dict(zip(*_first(filled, "defects"), strict=True))
    assert told == {
        "out": told["out"],
        "topic": filled.day.layer.topic,
        "date": DAY.isoformat(),
        "defects": defects,
    }
    batch, speed, gap = _first(filled, "comments")[1]
    page = Page(text)
    assert f"{batch:,} − {speed:,} = +{gap:,} = " in page.text
    assert f"{sum(defects.values())}lost 1, unexplained 1, phantom 1, residual {defects['residual']}" in page.text
    [equation] = re.findall(rf"= \+{gap:,} = (.*?residual .\d+)", page.text)
    added = [int(part.split()[1].replace("\u2212", "-")) for part in equation.split(" · ")]
    assert sum(added) == gap
    assert "ghost" not in page.text  # a phantom's comment id is in the ledger only; its place names it
    for community in ("science", "cooking"):
        assert f"{community} batch " in page.text


def test_the_page_loads_nothing_and_leads_to_airflow_and_mlflow(
    filled: FilledDay, written: tuple[dict[str, object], str]
) -> None:
    page = Page(written[1])
    assert not page.loaded
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "form"}
    assert "url(" not in written[1]
    assert "@import" not in written[1]
    mlflow = filled.day.settings.mlflow_url
    assert page.followed == {
        "#content",
        AIRFLOW_RUN,
        mlflow,
        f"{mlflow}/#/models/{filled.day.settings.model_name}/versions/1",
    }


def test_the_page_uses_the_queries_of_the_dashboard() -> None:
    [dashboard] = [each for each in dashboards(Addresses()) if each.uid == reconciliation.UID]
    shown = {query for panel in dashboard.panels for query in panel.queries}
    assert set(QUERIES.values()) <= shown


@pytest.mark.usefixtures("written")
def test_a_day_that_was_never_reconciled_is_refused_with_those_that_were(tmp_path: Path) -> None:
    options = ["preview", "--out", str(tmp_path / "no.html"), "--date", date(2020, 2, 2).isoformat()]
    refused = CliRunner().invoke(app, options)
    assert isinstance(refused.exception, ConfigurationError)
    assert "2020-02-02: the day was never reconciled" in str(refused.exception)
    assert DAY.isoformat() in str(refused.exception)
    assert not (tmp_path / "no.html").exists()


@pytest.mark.usefixtures("written")
def test_without_a_date_the_newest_reconciled_day_is_shown(filled: FilledDay, tmp_path: Path) -> None:
    newest = filled.day.execute("SELECT max(day) FROM batch.runs WHERE topic = %s", filled.day.layer.topic)[0][0]
    result = CliRunner().invoke(app, ["preview", "--out", str(tmp_path / "a.html")], catch_exceptions=False)
    assert f"shows {newest}: " in result.stdout.replace("\n", "")
    assert f"<h1>Reconciliation of {newest}</h1>" in (tmp_path / "a.html").read_text()


def _first(filled: FilledDay, name: str) -> tuple[list[str], tuple[int, ...]]:
    topic, day = filled.day.layer.topic, DAY.isoformat()
    result = filled.ask(QUERIES[name], {"topic": topic, "day": day})
    return result.names, result.rows[0]
