"""Traffic of the demonstration: a history, a live part, and a rest that is sent after the new model was promoted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moderation.datasets.history import LabelledComment
from moderation.datasets.importer import plain_import
from moderation.datasets.recorded import read_history, write_history
from moderation.datasets.synthetic import TrafficConfig, generate
from moderation.timestamps import DAY_US, HOUR_US, day_of, moment_of, now_us
from stream.source import CsvExport, History, SendPlan
from stream.source.arrivals import arrivals_of

HISTORY, LIVE, REST = "history-sent", "live-sent", "rest-sent"
"""Folders of the parts' delivery logs, in order."""
DAYS, HISTORY_DAYS, REST_DAYS = 16, 8, 1
_SHARES = (0.8, 0.95)
_WEEK_DAYS = 7
_MATURE_DAYS = 2  # the default maturity of a retraining's labels


def generated(before_us: int) -> TrafficConfig:
    """Return the generated traffic. Its last label is mature at ``before_us``, and at most a week longer.

    It begins on the same day of the week each time, so it is the same but for the times. After the history, moderators
    remove other kinds of comments than before, so a retraining has something to learn.
    """
    origin = TrafficConfig().start_us
    latest_us = before_us - (DAYS + _MATURE_DAYS) * DAY_US
    weeks = (latest_us - origin) // (_WEEK_DAYS * DAY_US)
    return TrafficConfig(
        seed=1,
        start_us=origin + weeks * _WEEK_DAYS * DAY_US,
        days=DAYS,
        comments_per_day=900,
        late_share=0.01,
        duplicate_share=0.01,
        edit_share=0.01,
        broken_share=0.01,
        policy_change_from_day=HISTORY_DAYS,
    )


@dataclass(frozen=True, slots=True)
class DemoTraffic:
    """The parts of the traffic.

    Attributes:
        origin: generated history or export.
        start_us: event time of the first day.
        history_end_us, live_end_us: arrival times at which history and live part end.
        history_arrivals, live_arrivals: numbers of arrivals, actions included.
    """

    origin: CsvExport | History
    start_us: int
    history_end_us: int
    live_end_us: int
    history_arrivals: int
    live_arrivals: int

    def plan(self, part: str, folder: Path) -> SendPlan:
        """Return the plan of a part, as fast as the brokers accept it; ``folder`` is that of the demonstration."""
        skip, limit = {
            HISTORY: (0, self.history_arrivals),
            LIVE: (self.history_arrivals, self.live_arrivals),
            REST: (self.history_arrivals + self.live_arrivals, None),
        }[part]
        return SendPlan(self.origin, folder / part, skip=skip, limit=limit)

    def form(self) -> dict[str, Any]:
        """Return what the form of ``retrain_model`` must state.

        Generated traffic needs nothing: the form's defaults fit. Comments of an export are older than the form's
        interval.
        """
        if isinstance(self.origin, History):
            return {}
        end_us = -(-self.live_end_us // HOUR_US) * HOUR_US
        days = (day_of(end_us) - day_of(self.start_us)).days + 1
        return {"end": moment_of(end_us).isoformat(), "days": days}


def prepare(folder: Path, csv: Path | None) -> DemoTraffic:
    """Write the traffic, if it is generated, and find its parts.

    Args:
        folder: of the demonstration.
        csv: an r/science export; generated traffic if None.
    """
    origin: CsvExport | History
    if csv is None:
        config = generated(now_us())
        origin = History(folder / "traffic")
        write_history(origin.folder, generate(config), lambda records: None)
        start_us = config.start_us
        ends = [start_us + days * DAY_US for days in (HISTORY_DAYS, DAYS - REST_DAYS)]
    else:
        origin = CsvExport(csv)
        times = sorted(row.comment.event_time_us for row in labelled(origin))
        start_us = times[0]
        ends = [times[int(share * len(times))] for share in _SHARES]
    before = [0, 0]
    for arrival in arrivals_of(SendPlan(origin, folder), lambda bad: None):
        for number, end_us in enumerate(ends):
            before[number] += arrival.arrival_us < end_us
    return DemoTraffic(origin, start_us, ends[0], ends[1], before[0], before[1] - before[0])


def labelled(origin: CsvExport | History) -> Iterator[LabelledComment]:
    """Yield the comments with what moderators did."""
    if isinstance(origin, History):
        return read_history(origin.folder, lambda bad: None)
    return plain_import(origin.path, author_key=origin.author_key).comments()
