"""Files of every kind: each is read right, or refused with a message that says what to type."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from moderation.errors import ConfigurationError, DatasetError
from tests.support.imports import MAY_1_US, Rows, plain, read

HEADER = "id,body,created_utc,removed\n"
ROWS = "a1,Which lab ran it?,1682935200,0\na2,go home,1682935260,1\n"
PLAIN = HEADER + ROWS
OBJECTS = [
    {"id": "a1", "body": "Which lab ran it?", "created_utc": 1682935200, "removed": False},
    {"id": "a2", "body": "go home", "created_utc": 1682935260, "removed": True},
]
LINES = "".join(json.dumps(each) + "\n" for each in OBJECTS)
TWO = [("a1", "Which lab ran it?", MAY_1_US, False), ("a2", "go home", MAY_1_US + 60_000_000, True)]


@dataclass(frozen=True)
class Right:
    """A file that is read right: its rows, with what must be stated or accepted."""

    name: str
    data: bytes | str
    rows: Rows = field(default_factory=lambda: TWO)
    accepted: tuple[str, ...] = ()
    stated: dict[str, Any] = field(default_factory=dict)


def parquet_bytes(table: pa.Table) -> bytes:
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


def zipped(**members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("_", "."), text)
    return file.getvalue()


def dated(time: str) -> str:
    return f"id,body,created_utc,removed\na1,Which lab ran it?,{time},0\n"


ONE = [TWO[0]]
TABLE = pa.table({name: [each[name] for each in OBJECTS] for name in OBJECTS[0]})
STAMPED = TABLE.set_column(2, "created_utc", pa.array([each[2] for each in TWO], pa.timestamp("us", "UTC")))
CP1252 = HEADER + "a1,“naïve” – really?,1682935200,0\n"
QUOTED = [("a1", "“naïve” – really?", MAY_1_US, False)]

RIGHT = [
    Right("plain.csv", PLAIN),
    Right("crlf.csv", PLAIN.replace("\n", "\r\n")),
    Right("cr.csv", PLAIN.replace("\n", "\r")),
    Right("no-line-break-at-the-end.csv", PLAIN.rstrip("\n")),
    Right("blank-lines.csv", PLAIN.replace("\n", "\n\n")),
    Right("bom.csv", b"\xef\xbb\xbf" + PLAIN.encode()),
    Right("semicolons.csv", PLAIN.replace(",", ";")),
    Right("tabs.tsv", PLAIN.replace(",", "\t")),
    Right("pipes.txt", PLAIN.replace(",", "|")),
    Right("excel-sep.csv", "sep=;\r\n" + PLAIN.replace(",", ";")),
    Right("utf16.csv", PLAIN.encode("utf-16")),
    Right("utf16-excel-text.txt", PLAIN.replace(",", "\t").encode("utf-16")),
    Right("utf16-no-mark.csv", PLAIN.encode("utf-16-le")),
    Right("utf16-lines.jsonl", LINES.encode("utf-16")),
    Right("utf32.csv", PLAIN.encode("utf-32")),
    Right("utf8.csv", CP1252, QUOTED),
    Right("cp1252.csv", CP1252.encode("cp1252"), QUOTED),
    Right(
        "cyrillic.csv",
        (HEADER + "a1,Привет всем людям в этом обсуждении,1682935200,0\n").encode("cp1251"),
        [("a1", "Привет всем людям в этом обсуждении", MAY_1_US, False)],
        stated={"encoding": "cp1251"},
    ),
    Right(
        "late-cp1252.csv",
        (HEADER + "".join(f"b{n},plain {n},1682935200,0\n" for n in range(9_000))).encode()
        + "z1,naïve,1682935200,0\n".encode("cp1252"),
        [(f"b{n}", f"plain {n}", MAY_1_US, False) for n in range(9_000)] + [("z1", "naïve", MAY_1_US, False)],
    ),
    Right("quoted.csv", HEADER + '"a1","a ""b"", c\nd",1682935200,"0"\n', [("a1", 'a "b", c\nd', MAY_1_US, False)]),
    Right(
        "single-quotes.csv",
        "'id';'body';'created_utc';'removed'\n'a1';'a; b';'1682935200';'0'\n",
        [("a1", "a; b", MAY_1_US, False)],
    ),
    Right(
        "backslashes.csv",
        HEADER + 'a1,"he said \\"no\\", twice",1682935200,0\n',
        [("a1", 'he said "no", twice', MAY_1_US, False)],
    ),
    Right(
        "body-begins-with-quote.csv",
        HEADER + 'a1,"Yes" is all he said,1682935200,0\na2,"go home,1682935260,1\n',
        [("a1", '"Yes" is all he said', MAY_1_US, False), ("a2", '"go home', MAY_1_US + 60_000_000, True)],
    ),
    Right(
        "one-open-quote.csv",
        HEADER + 'a0,"open,1682935200,0\n' + ROWS + 'a3,"q, r",1682935200,1\n',
        [("a0", '"open', MAY_1_US, False), *TWO, ("a3", "q, r", MAY_1_US, True)],
    ),
    Right(
        "open-quote-closed-by-another.csv",
        HEADER + 'a0,"open,1682935200,0\n' + ROWS + 'a3,five 5",1682935200,1\n',
        [("a0", '"open', MAY_1_US, False), *TWO, ("a3", 'five 5"', MAY_1_US, True)],
    ),
    Right(
        "quotes-are-text.csv",
        HEADER + 'a1,"well",1682935200,0\n',
        [("a1", '"well"', MAY_1_US, False)],
        stated={"quote": ""},
    ),
    Right("columns-in-other-order.csv", "removed,created_utc,body,id\n0,1682935200,Which lab ran it?,a1\n", ONE),
    Right("upper-case.csv", "ID,Body,Created UTC,Removed\na1,Which lab ran it?,1682935200,0\n", ONE),
    Right("unused-columns-twice.csv", "id,body,created_utc,removed,x,x\na1,Which lab ran it?,1682935200,0,1,2\n", ONE),
    Right("empty-columns-at-the-end.csv", HEADER + "a1,Which lab ran it?,1682935200,0,,\n", ONE),
    Right(
        "no-header.csv",
        "a1,Which lab ran it?,1682935200,0\n",
        ONE,
        stated={"has_header": False, "columns": "id=#1,body=#2,time=#3:s,label=#4"},
    ),
    Right(
        "other-names.csv",
        "nr,was,wann,weg\na1,Which lab ran it?,1682935200,0\n",
        ONE,
        stated={"columns": "id=nr,body=was,time=wann,label=weg"},
    ),
    Right(
        "two-bodies.csv",
        "id,body,body,created_utc,removed\na1,x,Which lab ran it?,1682935200,0\n",
        ONE,
        stated={"columns": "body=#3"},
    ),
    Right("spaces.csv", 'id, body, created_utc, removed\na1, "Which lab ran it?", 1682935200, 0\n', ONE),
    Right("title.csv", "Export of 2023\n\n" + PLAIN),
    Right("end-of-file-mark.csv", PLAIN + "\x1a", accepted=("left-out",)),
    Right(
        "reddit-listing.json", json.dumps({"data": {"children": [{"kind": "t1", "data": each} for each in OBJECTS]}})
    ),
    Right("long.csv", HEADER + f"a1,{'x' * 3_000_000},1682935200,0\n", [("a1", "x" * 40_000, MAY_1_US, False)]),
    Right("lines.jsonl", LINES),
    Right("lines-with-mark.jsonl", b"\xef\xbb\xbf" + LINES.encode()),
    Right(
        "half-emoji.jsonl",
        LINES.replace("go home", "go home \\ud83d"),
        [TWO[0], ("a2", "go home \ufffd", MAY_1_US + 60_000_000, True)],
    ),
    Right(
        "nested.jsonl",
        '{"kind": "t1", "data": {"id": "a1", "body": "Which lab ran it?", "t": 1682935200}, "bad": 0}\n',
        ONE,
        stated={"columns": "id=data.id,body=data.body,time=data.t,label=bad"},
    ),
    Right("array.json", json.dumps(OBJECTS)),
    Right("pretty-array.json", json.dumps(OBJECTS, indent=2)),
    Right("wrapped.json", json.dumps({"count": 2, "comments": OBJECTS})),
    Right("wrapped-pretty.json", json.dumps({"count": 2, "comments": OBJECTS}, indent=2)),
    Right("pretty-objects.json", "\n".join(json.dumps(each, indent=2) for each in OBJECTS)),
    Right("utf16-array.json", json.dumps(OBJECTS).encode("utf-16")),
    Right("table.parquet", parquet_bytes(TABLE)),
    Right("stamped.parquet", parquet_bytes(STAMPED)),
    Right(
        "naive-ns.parquet",
        parquet_bytes(
            TABLE.set_column(2, "created_utc", pa.array([each[2] * 1000 for each in TWO], pa.timestamp("ns")))
        ),
    ),
    Right("plain.csv.gz", gzip.compress(PLAIN.encode())),
    Right("two-members.csv.gz", gzip.compress(HEADER.encode()) + gzip.compress(ROWS.encode())),
    Right("lines.zst", zstandard.compress(LINES.encode())),
    Right("two-frames.zst", zstandard.compress(LINES[:50].encode()) + zstandard.compress(LINES[50:].encode())),
    Right("wrong-ending.csv", gzip.compress(json.dumps(OBJECTS).encode())),
    Right("lines.bz2", bz2.compress(LINES.encode())),
    Right("lines.xz", lzma.compress(LINES.encode())),
    Right("table.parquet.gz", gzip.compress(parquet_bytes(TABLE))),
    Right("archive.zip", zipped(a_csv=HEADER + ROWS.splitlines()[0], b_csv=HEADER + ROWS.splitlines()[1])),
    *(
        Right(f"time-{number}.csv", dated(time), ONE)
        for number, time in enumerate(
            [
                "1682935200.0",
                "1682935200000",
                "1682935200000000",
                "1682935200000000000",
                "1.6829352e9",
                "45047.416666666664",
                "202305011000",
                "20230501100000",
                "2023-05-01T10:00:00Z",
                "2023-05-01 10:00:00 UTC",
                "2023-05-01 12:00:00+02:00",
                "2023-05-01 10:00:00.000000+00",
                '"Mon, 01 May 2023 10:00:00 GMT"',
                "Mon May 01 10:00:00 +0000 2023",
            ]
        )
    ),
    *(
        Right(f"stated-time-{number}.csv", dated(time), ONE, stated={"columns": f"time=created_utc:{rule}"})
        for number, (time, rule) in enumerate(
            [
                ("05/01/2023 10:00", "mdy"),
                ("01/05/2023 10:00", "dmy"),
                ("01.05.2023 10:00", "dmy"),
                ("05/01/2023 10:00 AM", "mdy"),
                ("10h00 01-05-23", "%Hh%M %d-%m-%y"),
                ("1682935200000", "ms"),
            ]
        )
    ),
    Right(
        "day-first-is-shown.csv",
        dated("01/05/2023 10:00") + "a2,go home,31/05/2023 10:00,1\n",
        [TWO[0], ("a2", "go home", MAY_1_US + 30 * 86_400_000_000, True)],
    ),
    *(
        Right(
            f"label-{number}.csv",
            f"id,body,created_utc,{name}\na1,Which lab ran it?,1682935200,{kept}\na2,go home,1682935260,{gone}\n",
            stated=stated,
        )
        for number, (name, kept, gone, stated) in enumerate(
            [
                ("removed", "0.0", "1.0", {}),
                ("removed", "False", "True", {}),
                ("removed", "no", "yes", {}),
                ("status", "approved", "removed", {}),
                ("rating", "approved", "rejected", {}),
                ("label", "ham", "spam", {}),
                ("approved", "1", "0", {}),
                ("toxic", "0.1", "0.9", {"columns": "label=toxic>=0.5"}),
                ("score", "5", "-3", {"columns": "label=score<0"}),
                ("state", "live", "gone", {"columns": "label=state=gone|hidden"}),
            ]
        )
    ),
    Right(
        "no-time.csv",
        "id,body,removed\na1,Which lab ran it?,0\n",
        [("a1", "Which lab ran it?", 1_514_764_800_000_000, False)],
        accepted=("times",),
    ),
    Right("repeats.csv", HEADER + ROWS + ROWS, accepted=("left-out",)),
    Right("both-labels.csv", HEADER + ROWS + "a3,hm,1682935200,0\na3,hm,1682935200,1\n", accepted=("left-out",)),
    Right(
        "removed-bodies.csv",
        HEADER + ROWS + "b1,[removed],1682935200,1\nb2,[deleted],1682935200,1\n"
        "b3,[ Removed by Reddit ],1682935200,1\nb4,,1682935200,1\n",
        accepted=("left-out",),
    ),
    Right(
        "not-removed-bodies.csv",
        HEADER + "a1,[removed] is what I read,1682935200,0\n",
        [("a1", "[removed] is what I read", MAY_1_US, False)],
    ),
]


@pytest.mark.parametrize("case", RIGHT, ids=[case.name for case in RIGHT])
def test_a_file_of_this_kind_is_read_right(case: Right, tmp_path: Path) -> None:
    path = tmp_path / case.name
    path.write_bytes(case.data.encode() if isinstance(case.data, str) else case.data)
    _, rows = read(path, case.accepted, **case.stated)
    assert plain(rows) == case.rows


REFUSED: list[tuple[str, bytes | str, str]] = [
    ("empty.csv", "", "the file is empty"),
    ("spaces.csv", " \n \n", "the file is empty"),
    ("header-only.csv", HEADER, "contains no rows"),
    ("no-body.csv", "a,b\n1,2\n", r"columns are a, b\. State it: --columns body=COLUMN"),
    ("no-label.csv", "id,body\n1,x\n", r"--columns label=COLUMN, or label=COLUMN>=0\.5"),
    ("no-time.csv", "id,body,removed\n1,x,0\n", r"--columns time=COLUMN.* --accept times"),
    ("two-text-columns.csv", "text,body,removed\nx,y,0\n", "State one: --columns body=body"),
    ("two-body-columns.csv", "body,body,removed\nx,y,0\n", r"2 columns have the name 'body': #1 and #2.*body=#1"),
    ("two-labels.csv", "body,removed,spam\nx,0,1\n", "State one: --columns label=removed"),
    ("no-header.csv", "17,you are all wrong about this,0\n18,another comment,1\n", r"--no-header .*body=#2"),
    ("colons.csv", PLAIN.replace(",", ":"), "state --delimiter"),
    ("fractions.csv", "body,removed\nx,0.25\ny,0.75\n", r"such as 0\.25.*'label=removed>=0\.5'"),
    ("unknown-words.csv", HEADER + "a,x,1682935200,live\nb,y,1682935200,gone\n", r"label=removed=WORD\|WORD"),
    ("ambiguous-dates.csv", dated("05/01/2023 10:05"), "time=created_utc:dmy or time=created_utc:mdy"),
    ("year.csv", dated("2023"), "'2023' is a year"),
    ("arrays.json", '[["a", 1]]', "contains no object"),
    ("numbers.csv", HEADER.replace(",", ";") + "a;x;1682935200;0,25\n", r"'label=removed>=0\.5'"),
    ("zero.csv", dated("0"), "the time is empty"),
    ("words.csv", dated("yesterday"), r"'yesterday' is not a time.*--columns time=COLUMN:s"),
    ("removed-bodies.csv", HEADER + ROWS + "b,[removed],1682935200,1\n", r"1 text was removed.*--accept left-out"),
    ("repeats.csv", HEADER + ROWS + ROWS, r"2 repeated.*--accept left-out"),
    ("no-labels.csv", HEADER + ROWS + "b,x,1682935200,\n", r"1 no label.*line 4.*--accept left-out"),
    ("short-rows.csv", HEADER + ROWS + "b,x\n", r"line 4: 2 columns where the header has 4.*--accept left-out"),
    ("cut.json", json.dumps(OBJECTS)[:-5], "ends inside the JSON"),
    ("cut.csv.gz", gzip.compress(PLAIN.encode() * 50)[:-9], "ends early"),
    ("cut.zst", zstandard.compress(LINES.encode())[:-9], "ends early"),
    ("damaged.parquet", parquet_bytes(TABLE)[:-20], "not a readable Parquet"),
    ("broken.json", "{'id': 1}\n", "looks like JSON"),
    ("page.html", "<!DOCTYPE html><html>", "web page"),
    ("table.xlsx", zipped(**{"xl/workbook_xml": "x"}), "spreadsheet.*CSV UTF-8"),
    ("nothing.zip", zipped(readme_md="x"), "no data file"),
    ("document.pdf", b"%PDF-1.7\n" + bytes(range(256)), "PDF"),
    ("noise.bin", bytes(range(256)) * 40, "not text"),
    ("cyrillic.csv", (HEADER + "a1,Привет всем людям,1682935200,0\n").encode("cp1251"), "--encoding cp1251"),
    (
        "dump.jsonl",
        '{"id":"a","author":"b","subreddit":"c","created_utc":1682935200,"body":"x"}\n',
        "dump has no labels",
    ),
]


@pytest.mark.parametrize(("name", "data", "message"), REFUSED, ids=[name for name, _, _ in REFUSED])
def test_a_file_of_this_kind_is_refused_with_what_to_type(
    name: str, data: bytes | str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    with pytest.raises(DatasetError, match=f"(?s){message}"):
        read(path)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"columns": "text=a"}, "begin with one of body=, label="),
        ({"columns": "body=a,body=b"}, "body is given twice"),
        ({"columns": "time=a:weeks"}, "unit 'weeks'"),
        ({"columns": "label=a>=high"}, "could not convert"),
        ({"format": "kaggle"}, "Use one of rscience"),
    ],
)
def test_a_malformed_statement_is_refused(stated: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "plain.csv"
    path.write_text(PLAIN)
    with pytest.raises(ConfigurationError, match=message):
        read(path, **stated)


def test_a_wrong_unit_is_named_with_the_right_one(tmp_path: Path) -> None:
    path = tmp_path / "milliseconds.csv"
    path.write_text(dated("1682935200000"))
    with pytest.raises(DatasetError, match=r"it would be in milliseconds.*--columns time=created_utc:ms"):
        read(path, columns="time=created_utc:s")


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"encoding": "klingon"}, "--encoding 'klingon' is unknown"),
        ({"columns": "body=absent"}, "no column 'absent'; its columns are id, body"),
        ({"format": "jigsaw"}, "no column 'comment_text'"),
        ({"format": "history"}, "not a folder with comments.jsonl"),
    ],
)
def test_a_statement_that_does_not_fit_the_file_is_refused(
    stated: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "plain.csv"
    path.write_text(PLAIN)
    with pytest.raises(DatasetError, match=message):
        read(path, **stated)
