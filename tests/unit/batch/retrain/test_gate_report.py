"""What ``gate.md`` says of the version that the gate compared with."""

from __future__ import annotations

from dataclasses import replace

from batch.retrain.gate import GateReport, gate_table

REPORT = GateReport("2", None, True, (), {"auc": 0.9}, {}, "passed")


def title(report: GateReport) -> str:
    return gate_table(report).splitlines()[0]


def test_the_page_of_the_gate_names_what_it_compared_with() -> None:
    assert title(replace(REPORT, production="1")) == "# The gate: version 2 against version 1"
    assert title(REPORT) == "# The gate: version 2 against nothing: no version serves"


def test_the_page_of_the_gate_says_that_the_bootstrap_model_is_replaced() -> None:
    expected = "# The gate: version 2 against nothing: version 1, which it is to replace, is the bootstrap model"
    assert title(replace(REPORT, bootstrap="1")) == expected
    assert replace(REPORT, bootstrap="1").fields()["bootstrap"] == "1"
