"""Which rows of the ledger are exported for chosen hours."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock
from uuid import UUID

import pytest

from moderation.adapters.reconciliation import ledger_digests
from moderation.adapters.reconciliation.ledger_digests import Hour, export_ledger_rows
from moderation.adapters.reconciliation.snapshot import Cut, Snapshot
from moderation.offsets import TopicPartition

DAY_US, HOUR_US = 1_700_006_400_000_000, 3_600_000_000


def test_rows_end_where_the_snapshot_ends_and_unknown_partitions_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries: list[str] = []

    def export(connection: Any, url: str, query: str, folder: Path) -> None:
        queries.append(query)

    monkeypatch.setattr(ledger_digests, "connected", lambda url, name: nullcontext(MagicMock()))
    monkeypatch.setattr(ledger_digests, "export_rows", export)
    source = TopicPartition("comments", UUID(int=1), 0)
    snapshot = Snapshot("comments", DAY_US, DAY_US + 24 * HOUR_US, [], {source: Cut(9, 7)}, {}, {}, {}, {})
    hours = [Hour(str(source.topic_id), part, DAY_US + HOUR_US) for part in (0, 1)]
    export_ledger_rows("", snapshot, hours, tmp_path)
    [query] = queries
    for part, end in ((0, 7), (1, 0)):
        assert f"('{source.topic_id}'::uuid, {part}, {DAY_US + HOUR_US}::bigint, {end}::bigint)" in query
    assert "append_day >= '2023-11-14'::date" in query
