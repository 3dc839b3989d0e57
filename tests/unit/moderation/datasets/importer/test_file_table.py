"""Every file of the table is read right, or refused with the words that say what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.moderation.datasets.importer.file_table import (
    containers,
    json_files,
    label_columns,
    parquet_files,
    reported,
    text_files,
)
from tests.unit.moderation.datasets.importer.file_table.case import FileCase, outcome_of, placed

MADE = [
    *text_files.CASES,
    *label_columns.CASES,
    *json_files.CASES,
    *parquet_files.CASES,
    *containers.CASES,
]


@pytest.mark.parametrize("case", MADE, ids=[case.name for case in MADE])
def test_a_file_is_understood_or_refused(case: FileCase, tmp_path: Path) -> None:
    assert outcome_of(case, placed(case, tmp_path)) == case.outcome


@pytest.mark.parametrize("case", reported.CASES, ids=[case.name for case in reported.CASES])
def test_a_reported_file_is_understood_or_refused(case: FileCase) -> None:
    path = placed(case, reported.FOLDER)
    if not path.exists():
        pytest.skip(f"../shared/cases/{case.name} is absent")
    assert outcome_of(case, path) == case.outcome


def test_every_reported_file_is_in_the_table() -> None:
    if not reported.FOLDER.exists():
        pytest.skip("../shared/cases is absent")
    names = {case.name for case in reported.CASES}
    files = [
        path.relative_to(reported.FOLDER)
        for path in reported.FOLDER.rglob("*")
        if path.is_file() and path.suffix not in reported.NO_COMMENTS
    ]
    missing = [str(path) for path in files if not {str(path), *map(str, path.parents)} & names]
    assert not missing, "add what the importer must understand of these files to file_table/reported.py"


def test_the_table_has_every_kind_of_file() -> None:
    assert len(MADE) >= 40
    assert len({case.name for case in MADE}) == len(MADE)
    assert 20 < sum(isinstance(case.outcome, str) for case in MADE) < len(MADE) - 20
