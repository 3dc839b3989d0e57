"""What other programs write as CSV is read as it was, or refused; no text is changed without a message."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from moderation.errors import DatasetError
from tests.support.imports import read
from tests.support.properties import examples

PARTS = [*"a é\",;|\t\n\\'", '""', '\\"', '",', '\n"', "\r\n", "x,1,2", "1682935200"]
BODIES = st.lists(st.sampled_from(PARTS), min_size=1, max_size=12).map("".join).filter(lambda body: bool(body.strip()))
ROWS = st.lists(st.tuples(BODIES, st.booleans()), min_size=1, max_size=6)


@given(
    rows=ROWS,
    delimiter=st.sampled_from(",;\t|"),
    line_break=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
)
@examples(quick=150, thorough=3_000)
def test_a_csv_file_is_read_as_written_or_refused(
    rows: list[tuple[str, bool]], delimiter: str, line_break: str, quoting: int
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_break, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(["id", "body", "created_utc", "removed"])
    written = [(f"c{number}", body, 1_682_935_200 + number, removed) for number, (body, removed) in enumerate(rows)]
    writer.writerows((*row[:3], int(row[3])) for row in written)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "comments.csv")
        path.write_bytes(text.getvalue().encode())
        try:
            imported, found = read(path)
        except DatasetError:
            return
    understood = [
        (row.comment.comment_id, row.comment.body, row.comment.event_time_us // 1_000_000, row.removed) for row in found
    ]
    assert understood == written or imported.report.repaired
