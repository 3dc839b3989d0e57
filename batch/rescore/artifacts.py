"""Results of a rescoring as files beside the lake, under names that equal results share.

    <lake>/_rescoring/<topic>/version=7/20261123T000000Z-20261124T000000Z/<digest>-verdicts.parquet

and beside it ``<digest>-hours.parquet`` if hours were asked for, ``<digest>.md`` and ``<digest>.json``. The last is
written last. No table knows of them, and no reader of the lake sees them.
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
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Where results are kept; addresses as DuckDB, Spark and pandas take them.

    Attributes:
        verdicts: Parquet, a row a comment.
        hours: Parquet, a row an hour and community; None if hours were not asked for.
        markdown: the summary.
        json: what ``RescoreResult.fields`` says.
    """

    verdicts: str
    hours: str | None
    markdown: str
    json: str

    def fields(self) -> dict[str, str | None]:
        """As JSON fields."""
        return {"verdicts": self.verdicts, "hours": self.hours, "markdown": self.markdown, "json": self.json}


def keep(store: LakeStore, result: RescoreResult, tables: Mapping[str, Path]) -> Artifacts:
    """Keep results; equal ones replace each other.

    Args:
        store: the lake.
        result: what was found.
        tables: Parquet files ``verdicts`` and, if hours were asked for, ``hours``.

    Raises:
        ConfigurationError: a file cannot be written.
    """
    folder = f"{ROOT}/{result.topic}/version={result.certificate.version}/{_span(result)}"
    name = f"{folder}/{result.digest[:DIGEST_CHARACTERS]}"
    urls = {}
    for table, source in tables.items():
        path = f"{name}-{table}.parquet"
        with _publishing(store, path) as file, source.open("rb") as opened:
            while piece := opened.read(_PIECE_BYTES):
                file.write(piece)
        urls[table] = store.url_of(path)
    texts = {"md": markdown(result).encode(), "json": orjson.dumps(result.fields(), option=orjson.OPT_INDENT_2)}
    for ending, text in texts.items():
        with _publishing(store, f"{name}.{ending}") as file:
            file.write(text)
    return Artifacts(urls["verdicts"], urls.get("hours"), store.url_of(f"{name}.md"), store.url_of(f"{name}.json"))


def _span(result: RescoreResult) -> str:
    return "-".join(
        iso_time(time_us).replace("-", "").replace(":", "")
        for time_us in (result.window.start_us, result.window.end_us)
    )


@contextmanager
def _publishing(store: LakeStore, path: str) -> Iterator[DigestingFile]:
    """A file that gets its name when it is whole; nobody else writes the temporary one."""
    temporary = f"{ROOT}/_temporary/{uuid4().hex}"
    with store.creating(temporary) as file:
        yield file
    store.publish(temporary, path)
