"""Label rules over one or several columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from moderation.datasets.importer import parse_columns
from moderation.datasets.importer.labels import AnyLabel, LabelRule, UnknownLabel, parse_label
from moderation.errors import ConfigurationError, DatasetError
from tests.support.imports import read


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("removed", ["removed"]),
        ("state=gone|hidden", ["state"]),
        ("toxic>=0.5|threat>=0.3", ["toxic", "threat"]),
        ("spam|abuse", ["spam", "abuse"]),
        ("toxic>=0.123456789|length>12345678.0", ["toxic", "length"]),
        ("spam|score>0.5|state=gone|hidden|flag<=0", ["spam", "score", "state", "flag"]),
    ],
)
def test_rules_are_parsed_and_written_the_same(text: str, columns: list[str]) -> None:
    label = parse_label(text)
    assert [rule.column for rule in label.rules] == columns
    assert str(label) == text
    assert parse_label(str(label)) == label


def test_not_a_number_is_no_label_also_beside_words() -> None:
    rule = LabelRule("state", "=", values=("gone",))
    assert [rule.label(value) for value in ("Gone", "live", "-1", "", "NaN", float("nan"), None)] == [
        *(True, False, False),
        *(None, None, None, None),
    ]
    assert LabelRule("state", "=", values=("nan",)).label("NaN") is True


def test_words_belong_to_the_column_before_them() -> None:
    label = parse_label("state=gone|hidden|toxic>=0.5")
    assert label.rules == (LabelRule("state", "=", values=("gone", "hidden")), LabelRule("toxic", ">=", 0.5))


@pytest.mark.parametrize(
    ("values", "removed"),
    [
        (("0.6", "0"), True),
        (("0.1", "0.3"), True),
        (("0.1", "0.2"), False),
        (("0.6", ""), True),
        (("0.1", ""), None),
        (("-1", "-1"), None),
        (("much", "0.9"), True),
    ],
)
def test_one_column_suffices_to_remove_and_all_must_be_known_to_keep(
    values: tuple[str, str], removed: bool | None
) -> None:
    assert parse_label("toxic>=0.5|threat>=0.3").of(values) is removed


def test_an_unknown_value_is_reported_unless_another_column_decides() -> None:
    with pytest.raises(UnknownLabel, match="'much' is not a number"):
        parse_label("toxic>=0.5|threat>=0.3").of(("much", "0.1"))


@pytest.mark.parametrize("text", ["label=a>=much", "label=a>=nan", "label=a|", "label=|b>=1"])
def test_a_malformed_rule_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--columns"):
        parse_columns([text])


def test_a_rule_over_columns_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    rows = ["a,0.9,0.1", "b,0.1,0.4", "c,0.1,0.1"]
    path.write_text("body,toxic,threat\n" + "\n".join(rows) + "\n")
    imported, comments = read(path, accepted=("times",), columns="label=toxic>=0.5|threat>=0.3")
    assert [row.removed for row in comments] == [True, True, False]
    assert imported.plan.lineage()["columns"]["label"] == "toxic>=0.5|threat>=0.3"
    assert isinstance(imported.plan.files[0].mapping.label, AnyLabel)
    assert imported.plan.files[0].unused == ()
    with pytest.raises(DatasetError, match="has no column 'insult'.*State --columns label=COLUMN"):
        read(path, accepted=("times",), columns="label=toxic>=0.5|insult>=0.3")


def test_scores_without_a_threshold_are_refused_in_each_column(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("body,toxic,threat\na,1,0.3\n")
    with pytest.raises(DatasetError, match="column threat contains numbers such as 0.3"):
        read(path, accepted=("times",), columns="label=toxic|threat")


def test_a_file_without_labels_names_the_commands_that_need_none(tmp_path: Path) -> None:
    path = tmp_path / "comments.csv"
    path.write_text("body,created_utc\nx,1682935200\n")
    with pytest.raises(DatasetError, match=r"--actions FILE.*`moderation bootstrap`.*`moderation score`"):
        read(path)
