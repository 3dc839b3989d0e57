"""Parquet: types, structs, names."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa

from tests.support.imports import ALL
from tests.unit.moderation.datasets.importer.file_table.case import MAY_1, OBJECTS, FileCase, Understood, parquet_of

COLUMNS: dict[str, Any] = {name: [each[name] for each in OBJECTS] for name in OBJECTS[0]}


def times(kind: pa.DataType, per_second: int) -> dict[str, Any]:
    """Return the columns with times of a type."""
    return {**COLUMNS, "created_utc": pa.array([each["created_utc"] * per_second for each in OBJECTS], kind)}


CASES = [
    FileCase("struct.parquet", parquet_of({"data": OBJECTS}), Understood("a1 a2", "kr", encoding="")),
    FileCase(
        "struct-stated.parquet",
        parquet_of({"data": OBJECTS}),
        Understood("a1 a2", "kr", encoding=""),
        stated={"columns": "body=data.body,time=data.created_utc:s,label=data.removed,id=data.id"},
    ),
    FileCase(
        "list-beside.parquet",
        parquet_of({**COLUMNS, "tags": [["a"], ["b", "c"]]}),
        Understood("a1 a2", "kr", encoding=""),
    ),
    FileCase(
        "text-is-a-list.parquet",
        parquet_of({**COLUMNS, "body": [["a"], ["b"]]}),
        (
            "text-is-a-list.parquet: none of 2 rows can be used: 2 unreadable (text-is-a-list.parquet, line "
            "1: the text is a list). Fix the file."
        ),
    ),
    FileCase(
        "bytes.parquet",
        parquet_of({**COLUMNS, "id": [b"a1", b"a2"], "body": ["naïve".encode(), b"x"]}),
        Understood("a1 a2", "kr", bodies=("naïve", "x"), encoding=""),
    ),
    FileCase(
        "dictionary.parquet",
        parquet_of({**COLUMNS, "body": pa.array(["x", "y"]).dictionary_encode()}),
        Understood("a1 a2", "kr", bodies=("x", "y"), encoding=""),
    ),
    FileCase(
        "decimals.parquet",
        parquet_of(
            {
                **COLUMNS,
                "removed": pa.array([Decimal("0.00"), Decimal("1.00")], pa.decimal128(5, 2)),
                "created_utc": pa.array([Decimal("1682935200.000"), Decimal("1682935260.000")], pa.decimal128(20, 3)),
            }
        ),
        Understood("a1 a2", "kr", encoding=""),
    ),
    FileCase(
        "milliseconds-with-a-zone.parquet",
        parquet_of(times(pa.timestamp("ms", "Europe/Berlin"), 1_000)),
        Understood("a1 a2", "kr", encoding=""),
    ),
    FileCase(
        "nanoseconds.parquet",
        parquet_of(times(pa.timestamp("ns"), 1_000_000_000)),
        Understood("a1 a2", "kr", encoding=""),
    ),
    FileCase(
        "dates.parquet",
        parquet_of({**COLUMNS, "created_utc": pa.array([19478, 19479], pa.date32())}),
        Understood("a1 a2", "kr", times=("2023-05-01T00:00:00", "2023-05-02T00:00:00"), encoding=""),
    ),
    FileCase(
        "time-beyond-the-calendar.parquet",
        parquet_of(
            {**COLUMNS, "created_utc": pa.array([2_534_023_008_000_000_000, 1682935260000000], pa.timestamp("us"))}
        ),
        (
            "time-beyond-the-calendar.parquet: 1 of 2 rows (50.0%) would be left out: 1 no time "
            "(time-beyond-the-calendar.parquet, line 1: '2534023008000000000 us' is not a time). To continue "
            "without them, add --accept left-out."
        ),
    ),
    FileCase(
        "no-time-in-a-row.parquet",
        parquet_of({**COLUMNS, "created_utc": pa.array([None, 1682935260000000000], pa.timestamp("ns"))}),
        Understood(
            "a2",
            "r",
            times=("2023-05-01T10:01:00", "2023-05-01T10:01:00"),
            bodies=("go home",),
            encoding="",
            left_out={"no time": 1},
        ),
        accepted=ALL,
    ),
    FileCase(
        "ids-as-floats.parquet",
        parquet_of({**COLUMNS, "id": [17.0, float("nan")]}),
        Understood("17 ids-as-floats-1", "kr", encoding=""),
    ),
    FileCase(
        "ids-that-floats-round.parquet",
        parquet_of({**COLUMNS, "id": [2.0**53, 2.0**53 + 2]}),
        (
            "ids-that-floats-round.parquet: none of 2 rows can be used: 2 incomplete id "
            "(ids-that-floats-round.parquet, line 1: the id 9007199254740992.0 is a number that has lost its "
            "last digits). Export the ids as text, or state that there are none: --columns id=."
        ),
    ),
    FileCase(
        "unsigned-ids.parquet",
        parquet_of({**COLUMNS, "id": pa.array([2**64 - 1, 2**64 - 2], pa.uint64())}),
        Understood("18446744073709551615 18446744073709551614", "kr", encoding=""),
    ),
    FileCase(
        "labels-as-floats.parquet",
        parquet_of({**COLUMNS, "removed": [1.0, None]}),
        Understood(
            "a1", "r", times=(MAY_1, MAY_1), bodies=("Which lab ran it?",), encoding="", left_out={"no label": 1}
        ),
        accepted=ALL,
    ),
    FileCase(
        "null-text.parquet",
        parquet_of({**COLUMNS, "body": [None, "x"]}),
        Understood(
            "a2",
            "r",
            times=("2023-05-01T10:01:00", "2023-05-01T10:01:00"),
            bodies=("x",),
            encoding="",
            left_out={"no text": 1},
        ),
        accepted=ALL,
    ),
    FileCase(
        "no-rows.parquet",
        parquet_of(pa.table(COLUMNS).slice(0, 0)),
        "no-rows.parquet: it contains no rows. Fix the file.",
    ),
    FileCase(
        "columns-named-twice.parquet",
        parquet_of(
            pa.Table.from_arrays(
                [pa.array(each) for each in (["a1", "a2"], ["x", "y"], ["v", "w"], [0, 1])],
                names=["id", "body", "body", "removed"],
            )
        ),
        (
            "columns-named-twice.parquet: 2 columns have the name 'body': #2 and #3. State the number: "
            "--columns body=#2."
        ),
    ),
    FileCase(
        "first-of-two-columns.parquet",
        parquet_of(
            pa.Table.from_arrays(
                [pa.array(each) for each in (["a1", "a2"], ["x", "y"], ["v", "w"], [0, 1])],
                names=["id", "body", "body", "removed"],
            )
        ),
        Understood("a1 a2", "kr", times=None, bodies=("x", "y"), encoding=""),
        accepted=ALL,
        stated={"columns": "body=#2"},
    ),
    FileCase(
        "dots-in-names.parquet",
        parquet_of({**COLUMNS, "x.body": ["v", "w"], "x": [1, 2]}),
        Understood("a1 a2", "kr", bodies=("v", "w"), encoding=""),
        stated={"columns": "body=x.body"},
    ),
    FileCase(
        "torn.parquet",
        parquet_of(COLUMNS)[:40],
        (
            "torn.parquet: it is not a readable Parquet file (Parquet magic bytes not found in footer. Either"
            " the file is corrupted or this is not a parquet file.). Copy or download the file again."
        ),
    ),
]
