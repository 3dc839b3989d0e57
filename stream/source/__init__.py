"""Traffic source: send recorded or generated traffic to topics ``comments`` and ``actions``, paced and resumable.

:func:`send_all` runs it in this process; :mod:`stream.source.app` runs the same as a Faust app on a timer.
"""

from __future__ import annotations

from stream.source.delivery_log import Delivered, read_delivery_log
from stream.source.outcome import RefusedRecord, SendResult
from stream.source.pacing import AsFastAsPossible, AtRate, AtRecordedTimes, Pace
from stream.source.plan import Anchor, CsvExport, Generated, History, Origin, SendPlan
from stream.source.session import Session, send_all

__all__ = [
    "Anchor",
    "AsFastAsPossible",
    "AtRate",
    "AtRecordedTimes",
    "CsvExport",
    "Delivered",
    "Generated",
    "History",
    "Origin",
    "Pace",
    "RefusedRecord",
    "SendPlan",
    "SendResult",
    "Session",
    "read_delivery_log",
    "send_all",
]
