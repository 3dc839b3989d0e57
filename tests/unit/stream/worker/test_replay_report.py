from __future__ import annotations

import pytest

from moderation.contracts import Content, ReplayOutcome
from moderation.ledger import ReplayClaim
from stream.worker import metrics
from stream.worker.replay_report import ReplayReport


def claim(offset: int) -> ReplayClaim:
    return ReplayClaim(None, 1, offset, Content(0, ""))


def test_ignored_replay_headers_are_all_counted_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    report = ReplayReport(lambda: now)
    before = metrics.REPLAYS.labels("mismatch")._value.get()
    report.note([(claim(0), ReplayOutcome.CLOSED), (claim(1), ReplayOutcome.REPEATED)])
    assert caplog.text == ""
    for offset in range(100):
        report.note([(claim(offset), ReplayOutcome.MISMATCH)])
    assert metrics.REPLAYS.labels("mismatch")._value.get() - before == 100
    assert caplog.text.count("replay_of") == 1
    now = 61.0
    report.note([(claim(100), ReplayOutcome.MALFORMED)])
    assert caplog.text.count("replay_of") == 2
    assert "100 headers replay_of ignored" in caplog.text
