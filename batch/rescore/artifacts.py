"""Store results of a rescoring as files beside the lake; equal results have equal names.

    <lake>/_rescoring/<topic>/version=7/20261123T000000Z-20261124T000000Z/<digest>-verdicts.parquet

The same folder contains ``<digest>-hours.parquet`` if hours were requested, ``<digest>.md`` and ``<digest>.json``. The
JSON file is written last. No table lists these files, and readers of the lake ignore them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import orjson

from batch.markdown import iso_time
from batch.rescore.report import RescoreResult, markdown
from moderation.adapters.lake.files import DIGEST_CHARACTERS
from moderation.adapters.lake.store import DigestingFile, LakeStore

ROOT = "_rescoring"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Addresses of stored results, as DuckDB, Spark and pandas accept them.

    Attributes:
        verdicts: Parquet, one row for each comment.
        hours: Parquet, one row for each hour and community; None if hours were not requested.
        markdown: the summary.
        json: the fields of ``RescoreResult``.
    """

    verdicts: str
    hours: str | None
    markdown: str
    json: str

    def fields(self) -> dict[str, str | None]:
        """Return the JSON fields."""
        return {"verdicts": self.verdicts, "hours": self.hours, "markdown": self.markdown, "json": self.json}


def store_artifacts(store: LakeStore, result: RescoreResult, tables: Mapping[str, Path]) -> Artifacts:
    """Store results; equal results replace each other.

    Args:
        store: the lake.
        result: of the rescoring.
        tables: Parquet files ``verdicts`` and, if hours were requested, ``hours``.

    Raises:
        ConfigurationError: a file cannot be written.
    """
    folder = f"{ROOT}/{result.topic}/version={result.certificate.version}/{_span(result)}"
    name = f"{folder}/{result.digest[:DIGEST_CHARACTERS]}"
    urls = {}
    for table, source in tables.items():
        path = f"{name}-{table}.parquet"
        with _publishing(store, path) as file, source.open("rb") as opened:
            while chunk := opened.read(_CHUNK_BYTES):
                file.write(chunk)
        urls[table] = store.url_of(path)
    texts = {"md": markdown(result).encode(), "json": orjson.dumps(result.fields(), option=orjson.OPT_INDENT_2)}
    for ending, text in texts.items():
        with _publishing(store, f"{name}.{ending}") as file:
            file.write(text)
    return Artifacts(urls["verdicts"], urls.get("hours"), store.url_of(f"{name}.md"), store.url_of(f"{name}.json"))


def _span(result: RescoreResult) -> str:
    return "-".join(
        iso_time(time_us).replace("-", "").replace(":", "")
        for time_us in (result.interval.start_us, result.interval.end_us)
    )


@contextmanager
def _publishing(store: LakeStore, path: str) -> Iterator[DigestingFile]:
    """Open a file that gets its name when it is complete; the name of the temporary file is unique."""
    temporary = f"{ROOT}/_temporary/{uuid4().hex}"
    with store.creating(temporary) as file:
        yield file
    store.publish(temporary, path)
