"""Labels: numbers, scores, words and rules."""

from __future__ import annotations

from tests.support.imports import ALL
from tests.unit.moderation.datasets.importer.file_table.case import MAY_1, FileCase, Understood


def labelled(column: str, *values: str, delimiter: str = ",") -> str:
    """Return a file with a row for each label."""
    rows = [("id", "body", "created_utc", column)]
    rows += [(f"a{number}", f"text {number}", "1682935200", value) for number, value in enumerate(values, start=1)]
    return "".join(delimiter.join(row) + "\n" for row in rows)


CASES = [
    FileCase(
        "decimals.csv",
        labelled("removed", "0.00", "1.00", "1."),
        Understood("a1 a2 a3", "krr", times=(MAY_1, MAY_1), bodies=("text 1", "text 2", "text 3")),
    ),
    FileCase(
        "negative-scores.csv",
        labelled("score", "-1", "-2", "5"),
        Understood("a1 a2 a3", "rrk", times=(MAY_1, MAY_1), bodies=("text 1", "text 2", "text 3")),
        stated={"columns": "label=score<0"},
    ),
    FileCase(
        "minus-one-is-no-label.csv",
        labelled("toxic", "-1", "0.7", "0.1"),
        (
            "minus-one-is-no-label.csv: 1 of 3 rows (33.3%) would be left out: 1 no label "
            "(minus-one-is-no-label.csv, line 2: the label '-1' stands for none). To continue without them, "
            "add --accept left-out."
        ),
        stated={"columns": "label=toxic>=0.5"},
    ),
    FileCase(
        "thousands-or-decimals.csv",
        labelled("score", '"1,234"', "5"),
        (
            "thousands-or-decimals.csv: 1 of 2 rows (50.0%) would be left out: 1 unknown label "
            "(thousands-or-decimals.csv, line 2: label '1,234' is ambiguous: a comma before thousands or "
            "before decimals). Export column score as plain numbers such as 1234.5, or state the words that "
            "mean removed: --columns 'label=score=WORD|WORD'. To continue without them, add --accept "
            "left-out."
        ),
        stated={"columns": "label=score>=100"},
    ),
    FileCase(
        "grouped-digits.csv",
        labelled("score", "1,234,567", "1.234,5", "1 234", "12,5", "0,125", delimiter=";"),
        Understood(
            "a1 a2 a3 a4 a5", "rrrkk", times=(MAY_1, MAY_1), bodies=("text 1", "text 2", "text 3", "text 4", "text 5")
        ),
        stated={"columns": "label=score>=100"},
    ),
    FileCase(
        "percent.csv",
        labelled("score", "85%", "3%"),
        (
            "percent.csv: none of 2 rows can be used: 2 unknown label (percent.csv, line 2: label '85%' is "
            "not a number). Export column score as plain numbers such as 1234.5, or state the words that mean"
            " removed: --columns 'label=score=WORD|WORD'."
        ),
        stated={"columns": "label=score>=50"},
    ),
    FileCase(
        "infinite.csv",
        labelled("score", "inf", "0", "nan"),
        Understood("a1 a2", "rk", times=(MAY_1, MAY_1), bodies=("text 1", "text 2"), left_out={"no label": 1}),
        accepted=ALL,
        stated={"columns": "label=score>=50"},
    ),
    FileCase(
        "word-with-an-operator.csv",
        labelled("state", "a>b", "k=v", "c"),
        Understood("a1 a2 a3", "rrk", times=(MAY_1, MAY_1), bodies=("text 1", "text 2", "text 3")),
        stated={"columns": 'label=state="a>b"|"k=v"'},
    ),
    FileCase(
        "word-with-a-comma.csv",
        labelled("state", '"spam, ads"', "ok"),
        Understood("a1 a2", "rk", times=(MAY_1, MAY_1), bodies=("text 1", "text 2")),
        stated={"columns": 'label=state="spam, ads"'},
    ),
    FileCase(
        "word-with-a-pipe.csv",
        labelled("state", "a|b", "a"),
        Understood("a1 a2", "rk", times=(MAY_1, MAY_1), bodies=("text 1", "text 2")),
        stated={"columns": 'label=state="a|b"'},
    ),
    FileCase(
        "quote-that-is-not-closed.csv",
        labelled("state", "a", "b"),
        (
            "--columns: 'label=state=\"a': a double quote is not closed. Write for example --columns "
            "'body=comment_text,label=toxic>=0.5,time=created_utc:s'. Double quotes protect commas: "
            "'label=state=\"spam, ads\"'."
        ),
        stated={"columns": 'label=state="a'},
    ),
    FileCase(
        "comma-without-quotes.csv",
        labelled("state", '"spam, ads"', "ok"),
        (
            "--columns: ' ads' does not begin with one of body=, label=, time=, community=, id=, author=, "
            "parent=. Write for example --columns 'body=comment_text,label=toxic>=0.5,time=created_utc:s'. "
            "Double quotes protect commas: 'label=state=\"spam, ads\"'."
        ),
        stated={"columns": "label=state=spam, ads"},
    ),
    FileCase(
        "column-with-an-operator.csv",
        labelled("p>0.5", "1", "0"),
        Understood("a1 a2", "rk", times=(MAY_1, MAY_1), bodies=("text 1", "text 2")),
        stated={"columns": "label=p>0.5"},
    ),
    FileCase(
        "column-with-an-equals-sign.csv",
        labelled("a=b", "1", "0"),
        Understood("a1 a2", "rk", times=(MAY_1, MAY_1), bodies=("text 1", "text 2")),
        stated={"columns": "label=a=b"},
    ),
    FileCase(
        "number-as-a-word.csv",
        labelled("class", "2", "2.0", "3"),
        Understood("a1 a2 a3", "rrk", times=(MAY_1, MAY_1), bodies=("text 1", "text 2", "text 3")),
        stated={"columns": "label=class=2"},
    ),
    FileCase(
        "word-that-does-not-occur.csv",
        labelled("state", "gone", "live"),
        (
            "word-that-does-not-occur.csv: no row is removed by label=state=gon; the first values of column "
            "state are 'gone', 'live'. State the words or numbers that mean removed: --columns "
            "'label=state=WORD|WORD' or 'label=state>=0.5'."
        ),
        stated={"columns": "label=state=gon"},
    ),
    FileCase(
        "threshold-below-all.csv",
        labelled("score", "3", "5"),
        (
            "threshold-below-all.csv: all rows are removed by label=score>=1; the first values of column "
            "score are '3', '5'. State the words or numbers that mean removed: --columns "
            "'label=score=WORD|WORD' or 'label=score>=0.5'."
        ),
        stated={"columns": "label=score>=1"},
    ),
    FileCase(
        "empty-words.csv",
        labelled("state", "gone", "live", "N/A", "null", "None"),
        Understood("a1 a2", "rk", times=(MAY_1, MAY_1), bodies=("text 1", "text 2"), left_out={"no label": 3}),
        accepted=ALL,
        stated={"columns": "label=state=gone"},
    ),
    FileCase(
        "five-classes.csv",
        labelled("class", "0", "1", "2"),
        (
            "five-classes.csv: column class contains numbers such as 2, neither 0 nor 1. State which mean "
            "removed: --columns 'label=class>=0.5' or 'label=class=2'."
        ),
    ),
    FileCase(
        "fractions-beyond-the-first-rows.csv",
        labelled("toxic", *"01" * 60, *["0.7"] * 3),
        (
            "fractions-beyond-the-first-rows.csv: 3 of 123 rows (2.4%) would be left out: 3 unknown label "
            "(fractions-beyond-the-first-rows.csv, line 122: label '0.7' is neither removed nor kept). State "
            "which numbers mean removed: --columns 'label=toxic>=0.5'. To continue without them, add --accept"
            " left-out."
        ),
    ),
    FileCase(
        "approved.csv",
        labelled("approved", "yes", "no", "1", "0.0", "rejected"),
        Understood(
            "a1 a2 a3 a4 a5", "krkrr", times=(MAY_1, MAY_1), bodies=("text 1", "text 2", "text 3", "text 4", "text 5")
        ),
    ),
    FileCase(
        "approved-in-other-words.csv",
        labelled("approved", "yes", "pending"),
        (
            "approved-in-other-words.csv: 1 of 2 rows (50.0%) would be left out: 1 unknown label "
            "(approved-in-other-words.csv, line 3: label 'pending' is neither approved nor not). State the "
            "words that mean removed: --columns 'label=approved=WORD|WORD'. To continue without them, add "
            "--accept left-out."
        ),
    ),
    FileCase(
        "two-columns-one-absent.csv",
        labelled("toxic", "1", "0"),
        (
            "two-columns-one-absent.csv: it has no column 'threat'; its columns are id, body, created_utc, "
            "toxic. State --columns label=COLUMN."
        ),
        stated={"columns": "label=toxic>=0.5|threat>=0.5"},
    ),
]
