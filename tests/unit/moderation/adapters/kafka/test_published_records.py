from __future__ import annotations

import orjson

from moderation.adapters.kafka.published_records import decision_fields
from moderation.contracts import Decision, Fate, Repair, Verdict
from moderation.ledger import DecisionRow, Versions


def test_published_fields_are_those_of_the_contract() -> None:
    row = DecisionRow(2, 7, 1, 'c"1', "science", 5, b"", 640_000, Verdict.REVIEW, Fate.LATE, ["you"])
    decision = Decision("comments", "id", 2, 7, 'c"1', "science", 5, 640_000, Verdict.REVIEW, "3", "p", Fate.LATE)
    expected = orjson.loads(orjson.dumps(decision))
    found = decision_fields("comments", "id", row, Versions("3", "p", "1"))
    optional = ("repairs", "inclusion_ppm")
    assert orjson.loads(orjson.dumps(found)) == {k: value for k, value in expected.items() if k not in optional}
    repaired = row._replace(repairs=(Repair.NUL, Repair.CUT), inclusion_ppm=10_000)
    found = decision_fields("comments", "id", repaired, Versions("3", "p", "1"))
    assert orjson.loads(orjson.dumps(found)) == expected | {"repairs": ["nul", "cut"], "inclusion_ppm": 10_000}
