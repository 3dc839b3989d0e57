"""Report tests that exceed their time budget: 10 s, or ``@pytest.mark.budget(seconds)``.

The report does not fail a test, because tests take longer on a busy machine.
"""

from __future__ import annotations

import pytest

SECONDS = 10.0
_PROPERTY = "budget_seconds"


def pytest_runtest_setup(item: pytest.Item) -> None:
    mark = item.get_closest_marker("budget")
    if mark is None and item.get_closest_marker("long") is not None:
        mark = pytest.mark.budget(120).mark
    item.user_properties.append((_PROPERTY, float(mark.args[0]) if mark is not None else SECONDS))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    over = [
        (report.duration, seconds, report.nodeid)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, seconds in report.user_properties
        if name == _PROPERTY and isinstance(seconds, float) and report.duration > seconds
    ]
    if over:
        terminalreporter.section("over budget (seconds taken, budget)")
        for taken, seconds, nodeid in sorted(over, reverse=True):
            terminalreporter.line(f"{taken:7.1f} {seconds:7.0f} {nodeid}")
