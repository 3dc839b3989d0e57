"""JSON lines, arrays and objects."""

from __future__ import annotations

import json

from tests.support.imports import ALL
from tests.unit.moderation.datasets.importer.file_table.case import MAY_1, OBJECTS, FileCase, Understood

LINES = "".join(json.dumps(each) + "\n" for each in OBJECTS)


CASES = [
    FileCase(
        "commas-after-the-lines.jsonl", "".join(json.dumps(each) + ",\n" for each in OBJECTS), Understood("a1 a2", "kr")
    ),
    FileCase(
        "lines-of-arrays.jsonl",
        "[1, 2]\n[3, 4]\n",
        (
            "lines-of-arrays.jsonl: it looks like JSON, but contains no object for each comment. Export one "
            "object for each comment, e.g. in pandas with to_json(…, orient='records', lines=True)."
        ),
    ),
    FileCase(
        "by-column.json",
        json.dumps({"body": {"0": "x", "1": "y"}, "removed": {"0": 0, "1": 1}}),
        (
            "by-column.json: it looks like JSON, but contains no object for each comment. Export one object "
            "for each comment, e.g. in pandas with to_json(…, orient='records', lines=True)."
        ),
    ),
    FileCase(
        "by-id.json",
        json.dumps({"a1": OBJECTS[0], "a2": OBJECTS[1]}),
        (
            "by-id.json: it looks like JSON, but contains no object for each comment. Export one object for "
            "each comment, e.g. in pandas with to_json(…, orient='records', lines=True)."
        ),
    ),
    FileCase(
        "split.json",
        json.dumps({"columns": ["body", "removed"], "data": [["x", 0], ["y", 1]]}),
        (
            "split.json: it looks like JSON, but contains no object for each comment. Export one object for "
            "each comment, e.g. in pandas with to_json(…, orient='records', lines=True)."
        ),
    ),
    FileCase(
        "no-items.json",
        "[]",
        (
            "no-items.json: it looks like JSON, but contains no object for each comment. Export one object "
            "for each comment, e.g. in pandas with to_json(…, orient='records', lines=True)."
        ),
    ),
    FileCase(
        "empty-object.json",
        "{}",
        (
            "empty-object.json: it looks like JSON, but contains no object for each comment. Export one "
            "object for each comment, e.g. in pandas with to_json(…, orient='records', lines=True)."
        ),
    ),
    FileCase(
        "array-with-nan.json",
        json.dumps([{**OBJECTS[0], "removed": float("nan")}, OBJECTS[1]]),
        (
            "array-with-nan.json: it contains NaN or Infinity, which JSON does not have. Export null instead,"
            " or export JSON lines."
        ),
    ),
    FileCase(
        "lines-with-nan.jsonl",
        json.dumps({**OBJECTS[0], "removed": float("nan")}) + "\n" + json.dumps(OBJECTS[1]) + "\n",
        Understood(
            "a2",
            "r",
            times=("2023-05-01T10:01:00", "2023-05-01T10:01:00"),
            bodies=("go home",),
            left_out={"no label": 1},
        ),
        accepted=ALL,
    ),
    FileCase(
        "comma-at-the-end.json",
        json.dumps(OBJECTS)[:-1] + ",]",
        (
            "comma-at-the-end.json: it is not JSON, after item 2 (parse error: unallowed token at this point "
            'in JSON text 1682935260, "removed": true},] (right here) ). Export it again, as JSON lines if '
            "you can choose."
        ),
    ),
    FileCase(
        "users-before-comments.json",
        json.dumps({"users": [{"id": 1, "name": "x"}], "comments": OBJECTS}),
        Understood("a1 a2", "kr"),
    ),
    FileCase(
        "comments-of-threads.json",
        json.dumps({"threads": [{"title": "t", "comments": [each]} for each in OBJECTS]}),
        Understood("a1 a2", "kr"),
    ),
    FileCase(
        "replies-inside.json",
        json.dumps([{**OBJECTS[0], "replies": [OBJECTS[1]]}]),
        Understood("a1", "k", times=(MAY_1, MAY_1), bodies=("Which lab ran it?",)),
    ),
    FileCase(
        "three-levels.jsonl",
        "".join(json.dumps({"kind": "t1", "data": {"comment": each}}) + "\n" for each in OBJECTS),
        Understood("a1 a2", "kr"),
    ),
    FileCase(
        "mongo.jsonl",
        "".join(
            json.dumps(
                {
                    "_id": {"$oid": each["id"]},
                    "body": each["body"],
                    "at": {"$date": {"$numberLong": str(each["created_utc"] * 1000)}},
                    "removed": each["removed"],
                }
            )
            + "\n"
            for each in OBJECTS
        ),
        Understood("a1 a2", "kr"),
        stated={"columns": "id=_id.$oid,time=at.$date.$numberLong"},
    ),
    FileCase(
        "deep-array.json",
        "[" * 50_000,
        (
            "deep-array.json: it looks like JSON, but contains no object for each comment. Export one object "
            "for each comment, e.g. in pandas with to_json(…, orient='records', lines=True)."
        ),
    ),
    FileCase(
        "deep-array-inside.jsonl",
        '{"a":' + "[" * 50_000 + "\n",
        (
            "deep-array-inside.jsonl: it looks like JSON, but contains no object for each comment. Export one"
            " object for each comment, e.g. in pandas with to_json(…, orient='records', lines=True)."
        ),
    ),
    FileCase(
        "ids-with-more-than-64-bits.json",
        json.dumps([{**OBJECTS[0], "id": 10**29}, OBJECTS[1]]),
        ("ids-with-more-than-64-bits.json: it contains a number with more than 64 bits. Export ids as text."),
    ),
    FileCase(
        "ids-with-more-than-64-bits.jsonl",
        json.dumps({**OBJECTS[0], "id": 10**29}) + "\n",
        (
            "ids-with-more-than-64-bits.jsonl: none of 1 rows can be used: 1 incomplete id "
            "(ids-with-more-than-64-bits.jsonl, line 1: the id 1e+29 is a number that has lost its last "
            "digits). Export the ids as text, or state that there are none: --columns id=."
        ),
    ),
    FileCase(
        "ids-read-as-floats.jsonl",
        json.dumps({**OBJECTS[0], "id": float(2**53)}) + "\n" + json.dumps({**OBJECTS[1], "id": 17.0}) + "\n",
        (
            "ids-read-as-floats.jsonl: 1 of 2 rows (50.0%) would be left out: 1 incomplete id "
            "(ids-read-as-floats.jsonl, line 1: the id 9007199254740992.0 is a number that has lost its last "
            "digits). Export the ids as text, or state that there are none: --columns id=. To continue "
            "without them, add --accept left-out."
        ),
    ),
    FileCase(
        "long-ids.jsonl",
        json.dumps({**OBJECTS[0], "id": 2**63 - 1}) + "\n" + json.dumps({**OBJECTS[1], "id": 2**63 - 2}) + "\n",
        Understood("9223372036854775807 9223372036854775806", "kr"),
    ),
    FileCase(
        "lists-as-labels.jsonl",
        "".join(json.dumps({**each, "removed": ["spam"] * each["removed"]}) + "\n" for each in OBJECTS),
        (
            "lists-as-labels.jsonl: none of 2 rows can be used: 2 unknown label (lists-as-labels.jsonl, line "
            "1: the label is a list, '[]'). State the words that mean removed: --columns "
            "'label=removed=WORD|WORD'."
        ),
    ),
    FileCase(
        "lists-as-labels-stated.jsonl",
        "".join(json.dumps({**each, "removed": ["spam"] * each["removed"]}) + "\n" for each in OBJECTS),
        Understood("a1 a2", "kr"),
        stated={"columns": "label=removed=spam"},
    ),
    FileCase(
        "torn-line.jsonl",
        LINES + LINES[:20],
        (
            "torn-line.jsonl: 1 of 3 rows (33.3%) would be left out: 1 unreadable (torn-line.jsonl, line 3: "
            "the line is not JSON). To continue without them, add --accept left-out."
        ),
    ),
    FileCase(
        "values-beside-objects.jsonl",
        LINES + "[1]\nnull\n",
        Understood("a1 a2", "kr", left_out={"unreadable": 2}),
        accepted=ALL,
    ),
    FileCase(
        "array-of-texts.json",
        json.dumps(["x", "y"]),
        (
            "array-of-texts.json: it looks like JSON, but contains no object for each comment. Export one "
            "object for each comment, e.g. in pandas with to_json(…, orient='records', lines=True)."
        ),
    ),
    FileCase(
        "text-is-a-list.jsonl",
        "".join(json.dumps({**each, "body": [each["body"]]}) + "\n" for each in OBJECTS),
        (
            "text-is-a-list.jsonl: none of 2 rows can be used: 2 unreadable (text-is-a-list.jsonl, line 1: "
            "the text is a list). Fix the file."
        ),
    ),
    FileCase(
        "first-line-longer-than-the-head.jsonl",
        json.dumps({**OBJECTS[0], "body": "x" * 300_000}) + "\n" + json.dumps(OBJECTS[1]) + "\n",
        Understood(
            "a1 a2",
            "kr",
            bodies=(
                "x" * 40_000,
                "go home",
            ),
            repaired=1,
        ),
    ),
    FileCase(
        "comments-after-the-head.json",
        json.dumps({"notes": ["x" * 1_000] * 300, "comments": OBJECTS}),
        Understood("a1 a2", "kr"),
    ),
    FileCase(
        "escaped-html.jsonl",
        json.dumps({**OBJECTS[0], "body": "a &gt; b"}) + "\n",
        Understood("a1", "k", times=(MAY_1, MAY_1), bodies=("a &gt; b",)),
    ),
]
