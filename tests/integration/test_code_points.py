"""PostgreSQL stores and returns every code point that a comment can have."""

from __future__ import annotations

import uuid

import psycopg
import pytest

from local.stack.commands import StackInfo
from moderation.adapters.sql.ledger import Ledger
from moderation.adapters.sql.migrate import migrate_database
from moderation.ledger import Batch, pane_sums
from moderation.policy import Policy
from moderation.scoring import Kernel
from stream.worker.messages import ServingModel
from tests.support.code_points import ALL, decided, raw_ids


@pytest.mark.budget(30)
def test_every_code_point_is_stored_as_it_is(stack: StackInfo, kernel: Kernel) -> None:
    migrate_database(stack.database_url())
    model = ServingModel(kernel, Policy(1, 500_000, ()), "1")
    ids = list(raw_ids(ALL))
    # The id is also a reason, because reasons are stored as JSON.
    rows = [row._replace(reasons=[row.comment_id]) for row in decided(["hello"] * len(ids), ids, model)]
    topic_id = uuid.uuid4()
    ledger = Ledger(stack.database_url(), f"topic-{topic_id}", topic_id)
    try:
        ledger.positions({0: 0})
        ledger.store(Batch({0: (0, len(rows))}, model.versions, rows, [], pane_sums(rows, model.versions)))
    finally:
        ledger.close()
    with psycopg.connect(stack.database_url()) as connection:
        stored = connection.execute(
            'SELECT comment_id, reasons, community FROM speed.decisions WHERE topic_id = %s ORDER BY "offset"',
            (topic_id,),
        ).fetchall()
        panes = connection.execute(
            "SELECT sum(comments)::int FROM speed.panes WHERE topic_id = %s", (topic_id,)
        ).fetchone()
    assert stored == [(name, [name], name[:100]) for name in ids]
    assert panes == (len(ids),)
