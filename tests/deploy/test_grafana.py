"""Files in grafana/ equal the generated ones, and Grafana can load them: ids, data sources, variables, metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.source.__main__ import FOLDER, main
from grafana.source.alerts import ALERTS
from grafana.source.files import dashboards, files
from grafana.source.model import Prom, Sql
from grafana.source.provisioning import PASSWORD_FILE
from grafana.source.variables import Addresses
from tests.conftest import ROOT
from tests.deploy.worker_metrics import metrics

DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((FOLDER / "dashboards").glob("*.json"))}
SOURCES = yaml.safe_load((FOLDER / "provisioning/datasources/moderation.yaml").read_text())
PROVIDER = yaml.safe_load((FOLDER / "provisioning/dashboards/moderation.yaml").read_text())
GROUPS = yaml.safe_load((FOLDER / "provisioning/alerting/moderation.yaml").read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
EACH = pytest.mark.parametrize("name", list(DASHBOARDS))
_GLOBALS = {"__data", "__url_time_range", "__from", "__to"}
_WORDS_OF_PROMQL = {"by", "le", "and", "on", "or", "unless", "offset"}
_FUNCTIONS = {"sum", "max", "count", "rate", "increase", "changes", "histogram_quantile"}


def panels(name: str) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = DASHBOARDS[name]["panels"]
    return shown


def texts(value: object) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def written_files() -> list[Path]:
    """The files that Grafana reads."""
    return [path for name in ("dashboards", "provisioning") for path in (FOLDER / name).rglob("*") if path.is_file()]


def test_the_files_equal_the_generated_ones() -> None:
    made = {FOLDER / path: text for path, text in files(Addresses()).items()}
    assert set(written_files()) == made.keys(), "run: make generate"
    for path, text in made.items():
        assert path.read_text() == text, f"{path} differs; run: make generate"


def test_links_use_the_given_addresses(tmp_path: Path) -> None:
    main(["--out", str(tmp_path), "--mlflow-url", "https://mlflow.example/", "--model-name", "other"])
    written = json.loads((tmp_path / "dashboards/models.json").read_text())
    constants = {v["name"]: v["query"] for v in written["templating"]["list"] if v["type"] == "constant"}
    assert constants == {"mlflow": "https://mlflow.example", "model_name": "other"}


def test_uids_and_titles_are_unique() -> None:
    uids = [dashboard["uid"] for dashboard in DASHBOARDS.values()]
    uids += [rule["uid"] for rule in RULES] + [source["uid"] for source in SOURCES["datasources"]]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"[a-z-]{1,40}", uid) for uid in uids)
    for name in DASHBOARDS:
        for key in ("id", "title"):
            values = [panel[key] for panel in panels(name)]
            assert len(set(values)) == len(values)


@EACH
def test_dashboards_have_the_schema_version_and_are_not_editable(name: str) -> None:
    dashboard = DASHBOARDS[name]
    assert dashboard["schemaVersion"] == 42
    assert dashboard["editable"] is False
    assert dashboard["timezone"] == "utc"


@EACH
def test_every_query_goes_to_a_provisioned_data_source_of_its_type(name: str) -> None:
    provisioned = {source["uid"]: source["type"] for source in SOURCES["datasources"]}
    asked = [panel["datasource"] for panel in panels(name)]
    asked += [target["datasource"] for panel in panels(name) for target in panel["targets"]]
    asked += [v["datasource"] for v in DASHBOARDS[name]["templating"]["list"] if v["type"] == "query"]
    assert asked
    assert all(provisioned[source["uid"]] == source["type"] for source in asked)


@EACH
def test_variables_are_defined_in_order_and_used(name: str) -> None:
    variables = DASHBOARDS[name]["templating"]["list"]
    names = [variable["name"] for variable in variables]
    shown = " ".join(texts(panels(name)))
    used = set(re.findall(r"\$\{(\w+)", shown)) - _GLOBALS
    for place, variable in enumerate(variables):
        needed = set(re.findall(r"\$\{(\w+)", variable["query"]))
        assert needed <= set(names[:place])
        used |= needed
    assert used == set(names)
    linked = set(re.findall(r"var-(\w+)=", shown))
    assert linked <= set(names)


@EACH
def test_links_between_dashboards_lead_to_one_that_exists(name: str) -> None:
    uids = {dashboard["uid"] for dashboard in DASHBOARDS.values()}
    assert set(re.findall(r"/d/([\w-]+)", " ".join(texts(panels(name))))) <= uids


@EACH
def test_panels_have_descriptions_and_do_not_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(name):
        assert len(panel["description"]) > 80, panel["title"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells


def expressions() -> list[Prom]:
    queries = [query for dashboard in dashboards(Addresses()) for panel in dashboard.panels for query in panel.queries]
    return [query for query in [*queries, *(alert.query for alert in ALERTS)] if isinstance(query, Prom)]


@pytest.mark.parametrize("query", expressions(), ids=lambda query: query.text)
def test_queries_use_metrics_and_labels_of_the_worker(query: Prom) -> None:
    known = metrics()
    words = set(re.findall(r"[a-z_]\w*", re.sub(r"\[\w+\]|\boffset \w+|\"[\w|]+\"", "", query.text)))
    asked = {word for word in words if word.startswith("moderation_")}
    assert asked
    assert asked <= known.keys()
    labels = words - asked - _WORDS_OF_PROMQL - _FUNCTIONS
    allowed = set().union(*(known[name] for name in asked)) | {"instance"}
    assert labels <= allowed
    assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= labels


def test_metric_names_and_labels_are_those_of_the_worker() -> None:
    assert {
        "moderation_decisions_total": {"fate"},
        "moderation_stage_seconds_bucket": {"stage", "le"},
        "moderation_commit_latency_seconds_bucket": {"le"},
        "moderation_model_refusals_total": {"version"},
        "moderation_fence_losses_total": set(),
    }.items() <= metrics().items()


def test_rules_are_complete_and_link_to_a_panel() -> None:
    ids = {dashboard["uid"]: {panel["id"] for panel in dashboard["panels"]} for dashboard in DASHBOARDS.values()}
    provisioned = {source["uid"] for source in SOURCES["datasources"]}
    assert len(RULES) == len(ALERTS) == 24
    for rule in RULES:
        query, threshold = rule["data"]
        assert rule["panelId"] in ids[rule["dashboardUid"]]
        assert query["datasourceUid"] in provisioned
        assert (rule["condition"], threshold["model"]["expression"]) == (threshold["refId"], query["refId"])
        assert len(rule["annotations"]["runbook"]) > 150
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["noDataState"] in ("OK", "Alerting")
        assert "$" not in " ".join(texts([rule["annotations"], rule["labels"]])), "Grafana would read the environment"
    assert all(re.fullmatch(r"\d+[sm]", group["interval"]) for group in GROUPS)


def test_alert_queries_use_neither_variables_nor_a_time_range() -> None:
    for alert in ALERTS:
        if isinstance(alert.query, Sql):
            assert "$" not in alert.query.text


def test_connections_come_from_the_environment_and_the_password_from_a_file() -> None:
    postgres, prometheus = SOURCES["datasources"]
    assert postgres["secureJsonData"] == {"password": f"$__file{{{PASSWORD_FILE}}}"}
    assert all(re.fullmatch(r"\$[A-Z_]+", postgres[key]) for key in ("url", "user"))
    assert all(re.fullmatch(r"\$[A-Z_]+", postgres["jsonData"][key]) for key in ("database", "sslmode"))
    assert re.fullmatch(r"\$[A-Z_]+", prometheus["url"])
    assert "secureJsonData" not in prometheus
    everything = " ".join(path.read_text() for path in written_files())
    assert re.findall(r'(?i)password"?: *(?!\$__file)\S+', everything) == []
    assert "postgres://" not in everything


def test_the_dashboards_page_names_every_variable_dashboard_and_alert() -> None:
    page = (ROOT / "docs" / "dashboards.md").read_text()
    text = json.dumps([SOURCES, PROVIDER])
    for name in set(re.findall(r"\$([A-Z]\w+)", text)):
        assert f"`{name}`" in page, name
    assert PASSWORD_FILE in page
    for title in (*(each["title"] for each in DASHBOARDS.values()), *(rule["title"] for rule in RULES)):
        assert title in page, title
