"""A lake that is not on this machine is read through its file system."""

from __future__ import annotations

from datetime import date
from typing import Any, cast
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from moderation.adapters.lake.files import LakeFile
from moderation.adapters.lake.reader import Lake
from moderation.adapters.lake.store import LakeStore
from moderation.offsets import TopicPartition


def test_one_connection_reads_several_topics_of_a_remote_lake() -> None:
    store = LakeStore("memory://lake-of-two-topics")
    lake, duck = Lake(store, cast(Any, None), ""), duckdb.connect()
    for number, topic in enumerate(("comments", "actions", "comments")):
        path = f"{topic}-{number}.parquet"
        with store.fs.open(store.full(path), "wb") as file:
            pq.write_table(pa.table({"number": [number]}), file)
        partition = TopicPartition(topic, UUID(int=1), 0)
        lake_file = LakeFile(path, partition, 0, 1, date(2026, 1, 1), 1, 1, "", 0, 0, None, None)
        assert lake.relation(duck, topic, [lake_file]).fetchall() == [(number,)]
