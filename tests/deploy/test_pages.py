"""Pages name tests, files, alerts and figures that exist."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from grafana.source.alerts import ALERTS
from tests.conftest import ROOT

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "mlflow/README.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
TESTS = {path.name for path in (ROOT / "tests").rglob("*.py")}
EVIDENCE = {path.stem: json.loads(path.read_text()) for path in (ROOT / "docs" / "evidence").glob("*.json")}
EACH = pytest.mark.parametrize("page", [str(path.relative_to(ROOT)) for path in PAGES])
_SECTION = ("**Meaning.**", "**First checks.**", "**What to do.**", "**Escalate**")


@EACH
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = re.findall(r"`(tests/[\w/.]+)`|`(test_\w+\.py)`", (ROOT / page).read_text())
    missing = [path or name for path, name in named if not ((ROOT / path).exists() if path else name in TESTS)]
    assert missing == []


@EACH
def test_every_test_function_that_a_page_names_exists(page: str) -> None:
    named = re.findall(r"`(tests/[\w/.]+\.py)::(\w+)`", (ROOT / page).read_text())
    missing = [(path, name) for path, name in named if f"\ndef {name}(" not in (ROOT / path).read_text()]
    assert missing == []


def test_the_page_on_security_names_a_test_for_every_attack_or_says_that_none_exists() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    table = page.split("## What stops them")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    for attack, defence, tests in rows:
        names = re.findall(r"`tests/[\w/.]+\.py::\w+`", tests)
        assert names or (tests == "none" and defence.startswith("nothing in this release")), attack


def test_the_guarantees_name_tests() -> None:
    """Else the check above could not fail."""
    assert len(re.findall(r"`tests/", (ROOT / "docs" / "guarantees.md").read_text())) > 5


@EACH
def test_every_module_that_a_page_names_exists(page: str) -> None:
    named = re.findall(r"`((?:[\w]+/)+\w+\.py)(?:`|:)", (ROOT / page).read_text())
    assert [name for name in named if not ((ROOT / name).exists() or (ROOT / "moderation" / name).exists())] == []


@EACH
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: str) -> None:
    path = ROOT / page
    text = re.sub(r"`[^`]*`", "", path.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, heading = target.partition("#")
        linked = path.parent / name if name else path
        assert linked.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}, target


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    page = (ROOT / "docs" / "runbooks.md").read_text()
    sections = dict(part.split("\n", 1) for part in page.split("\n## ")[1:])
    assert list(sections) == [alert.title for alert in ALERTS]
    for alert in ALERTS:
        assert f"**Meaning.** {alert.severity.capitalize()}." in sections[alert.title], alert.title
        assert all(part in sections[alert.title] for part in _SECTION), alert.title


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


def test_benchmarks_list_every_evidence_with_its_command_and_commit() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    for name, evidence in EVIDENCE.items():
        commit = evidence["commit"][:7]
        assert f"| [{name}](evidence/{name}.json) | `{evidence['command']}` | {commit} |" in page


def value(name: str, *keys: str | int) -> Any:
    """A figure of an evidence file."""
    figure = EVIDENCE[name]["figures"]
    for key in keys:
        figure = figure[key]
    return figure


def figures() -> list[str]:
    """Texts that docs/benchmarks.md must contain, made from the evidence."""
    texts = [
        f"AUC {value('training_rscience', 'metrics', 'auc_mean'):.3f}",
        f"trained in {value('training_rscience', 'seconds'):.1f} s",
        f"{value('generate', 'comments'):,} comments",
        f"ROC AUC {value('training_generated', 'metrics', 'auc_mean'):.3f}",
        f"{value('chaos', 'records'):,} records",
        f"p95 {value('chaos', 'swap_seconds', 'p95')} s",
        f"{value('archive', 'rows'):,} comments in {value('archive', 'seconds'):.1f} s",
        f"{value('archive', 'peak_rss_bytes') / 1e6:.0f} MB resident",
        f"{value('batch', 'rescore_per_s'):,} comments per second",
        f"{value('batch', 'peak_rss_bytes') / 1e9:.1f} GB for the process tree",
        f"{value('worst_text', 'worst_ms_per_1000_characters')} ms for 1,000 characters",
        f"{value('footprint', 'bytes_per_comment', 'ledger'):.0f} bytes in the ledger",
        f"{value('footprint', 'bytes_per_comment', 'wal'):.0f} bytes of write-ahead log",
        f"used a CPU second for {1e6 / value('own_data', 'import', 1, 'cpu_seconds'):,.0f} rows",
        f"it read {value('own_data', 'import', 1, 'rows_per_s'):,} rows per second",
        *(
            f"| {measured['cpu_seconds']:.0f} | {measured['peak_rss_bytes'] / 1e6:,.0f} MB |"
            for measured in (*value("own_data", "import"), value("own_data", "train", 1))
        ),
    ]
    pairs = zip(value("batch", "rows"), value("batch", "reconcile_seconds"), strict=True)
    texts += [f"{rows:,} in {seconds:.1f} s" for rows, seconds in list(pairs)[1:]]
    for design in ("worker", "worker2", "confluent_loop", "faust_per_event", "talk_design"):
        cpu = value("stream", "cpu_seconds_per_1000", design)
        row = f"| {value('stream', f'{design}_per_s'):,} | {cpu['own']:.3f} + {cpu['broker_and_database']:.3f} |"
        texts.append(row)
    for load in ("lone", "50", "90"):
        latency = value("stream", "latency", load)
        texts.append(f"| {latency['p50_ms']:.0f} ms | {latency['p99_ms']:.0f} ms |")
    for what in ("kernel", "tokenizer", "tfidf_lr", "spacy_pipe"):
        warm, fresh = (value("kernel_rscience", f"{what}_{state}_per_s") for state in ("warm", "fresh"))
        texts.append(f"| {warm:,.0f} | {fresh:,.0f} |")
    return texts


def test_figures_of_the_benchmarks_are_those_of_the_evidence() -> None:
    page = " ".join((ROOT / "docs" / "benchmarks.md").read_text().split())
    assert [text for text in figures() if text not in page] == []


def test_figures_of_the_readme_are_those_of_the_demo() -> None:
    page = (ROOT / "README.md").read_text()
    compared, reconciled, loop = (value("demo", each) for each in ("comparison", "reconciled", "loop"))
    for text in (
        f"| {compared['records']:,} |",
        f"| {compared['decisions']:,} + {compared['dead_letters']:,} |",
        f"| {value('demo', 'archived', 'records'):,} · {value('demo', 'archived', 'defects')} |",
        f"| {reconciled['days']} |",
        f"| {reconciled['batch_comments']:,} · {reconciled['speed_comments']:,} · "
        f"{reconciled['causes']['late']} late, {reconciled['causes']['duplicate']} duplicate |",
        f"p50 {value('demo', 'latency_p50_ms'):.0f} ms, p99 {value('demo', 'latency_p99_ms'):.0f} ms",
        f"| {value('demo', 'live_auc'):.3f} |",
        f"on {loop['comments']} comments new to both | {loop['production_auc']:.3f} · {loop['auc']:.3f} |",
        f"after its approval | {loop['decided']} |",
    ):
        assert text in page, text
