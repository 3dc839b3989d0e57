"""Files of ../shared/cases, which failed in reports. The repository has none of them."""

from __future__ import annotations

from pathlib import Path

from tests.support.imports import ALL
from tests.unit.moderation.datasets.importer.file_table.case import FileCase, Understood

FOLDER = Path(__file__).parents[7] / "shared" / "cases"
NO_COMMENTS = frozenset((".md", ".py", ".sh", ".yaml"))
"""Endings of descriptions, scripts and settings."""

DISGUISES = "plain zero-width soft-hyphen fullwidth cyrillic math-bold strike spaced leet nbsp".split()

CASES = [
    FileCase(
        "01-utf8-export/comments.csv",
        None,
        Understood(
            "u01 u02 u03 u04 u05 u06 u07",
            "kkrkrrk",
            times=("2023-05-01T10:00:00", "2023-05-01T10:06:00"),
            characters="µéïñβ‑–’“”…🐑🙄",
        ),
    ),
    FileCase(
        "02-bom-excel/id_first.csv",
        None,
        Understood("b01 b02 b03", "krk", times=("2023-05-01T10:00:00", "2023-05-01T10:02:00"), encoding="utf-8-sig"),
    ),
    FileCase(
        "02-bom-excel/body_first.csv",
        None,
        Understood("body_first-0 body_first-1", "kr", times=None, encoding="utf-8-sig"),
        accepted=ALL,
    ),
    FileCase(
        "02-bom-excel/lines.jsonl",
        None,
        Understood("b01 b02", "--", communities=("science",), encoding="utf-8-sig"),
        needs_labels=False,
    ),
    FileCase(
        "03-open-quote/comments.csv",
        None,
        Understood(
            "q01 q02 q03 q04 q05 q06 q07 q08 q09 q10 q11 q12",
            "kkrkrkkrkkrk",
            times=("2023-05-01T10:00:00", "2023-05-01T10:11:00"),
            repaired=2,
        ),
    ),
    FileCase(
        "04-label-columns/pandas.csv",
        None,
        (
            "pandas.csv: 1 of 4 rows (25.0%) would be left out: 1 no label (pandas.csv, line 4: the label is "
            "empty). To continue without them, add --accept left-out."
        ),
    ),
    FileCase(
        "04-label-columns/pandas.csv",
        None,
        Understood(
            "p01 p02 p04", "krk", times=("2023-05-01T10:00:00", "2023-05-01T10:03:00"), left_out={"no label": 1}
        ),
        accepted=ALL,
    ),
    FileCase("04-label-columns/jigsaw.csv", None, Understood("0000a1 0000a2 0000a3", "rkk", times=None)),
    FileCase(
        "04-label-columns/civil.csv",
        None,
        Understood("59848 59849 59850", "krk", times=("2016-05-13T23:30:40.666905", "2016-05-14T00:03:00")),
    ),
    FileCase(
        "05-ignored-columns/three_subs.csv",
        None,
        Understood(
            "s01 s02 s03 s04 s05",
            "kkrrk",
            times=("2023-05-01T10:00:00", "2023-05-01T10:04:00"),
            communities=("AskScience", "medicine", "space"),
        ),
    ),
    FileCase(
        "05-ignored-columns/mixed_times.csv",
        None,
        (
            "mixed_times.csv: 4 of 8 rows (50.0%) would be left out: 4 no time (mixed_times.csv, line 3: the "
            "time is empty; mixed_times.csv, line 7: '05/01/2023 10:05' is ambiguous: day or month first). "
            "State the order of the dates: --columns time=created_date:dmy or time=created_date:mdy. To "
            "continue without them, add --accept left-out."
        ),
    ),
    FileCase(
        "05-ignored-columns/mixed_times.csv",
        None,
        Understood(
            "t01 t03 t04 t05 t06",
            "kkkkr",
            times=("2023-05-01T10:00:00", "2023-05-01T10:05:00"),
            left_out={"no time": 3},
        ),
        accepted=ALL,
        stated={"columns": "time=created_date:mdy"},
    ),
    FileCase(
        "06-removed-bodies/dump_rows.csv",
        None,
        (
            "dump_rows.csv: 5 of 7 rows (71.4%) would be left out: 4 text was removed, 1 no text "
            "(dump_rows.csv, line 2: the text is [removed]; dump_rows.csv, line 6: the text is empty). To "
            "continue without them, add --accept left-out."
        ),
    ),
    FileCase(
        "06-removed-bodies/dump_rows.csv",
        None,
        Understood(
            "r02 r07",
            "kk",
            times=("2023-05-01T10:01:00", "2023-05-01T10:06:00"),
            left_out={"text was removed": 4, "no text": 1},
        ),
        accepted=ALL,
    ),
    FileCase(
        "07-repeated-rows/approved_later.csv",
        None,
        (
            "approved_later.csv: 4 of 6 rows (66.7%) would be left out: 2 both labels, 2 repeated (one row of"
            " each is used). To continue without them, add --accept left-out."
        ),
    ),
    FileCase(
        "07-repeated-rows/approved_later.csv",
        None,
        Understood(
            "d02 d03",
            "rk",
            times=("2023-05-01T10:01:00", "2023-05-01T10:01:00"),
            left_out={"both labels": 2, "repeated": 2},
        ),
        accepted=ALL,
    ),
    FileCase(
        "08-pushshift-ndjson/RC_2023-05.ndjson",
        None,
        (
            "RC_2023-05.ndjson: no column is known to contain the label (removed or kept); its columns are "
            "id, author, subreddit, body, created_utc, score, parent_id, link_id, retrieved_on, edited. State"
            " it: --columns label=COLUMN, or label=COLUMN>=0.5 for a score, or label=COLUMN=WORD for a word "
            "that means removed. Actions of moderators in another file: --actions FILE. Without any label, "
            "start with `moderation bootstrap`; `moderation score` and `moderation import` need none, and "
            "`moderation report --without-labels` describes the comments. A Reddit dump has no labels, and "
            "the text of removed comments is gone."
        ),
    ),
    FileCase(
        "08-pushshift-ndjson/RC_2023-05.ndjson",
        None,
        Understood(
            "jx00001 jx00003",
            "--",
            times=("2023-05-01T10:00:00", "2023-05-01T10:02:00"),
            communities=("science", "space"),
            left_out={"text was removed": 1, "repeated": 1},
        ),
        accepted=ALL,
        needs_labels=False,
    ),
    FileCase(
        "09-half-emoji/comments.jsonl",
        None,
        Understood(
            "h01 h02 h03 h04 h05 h06",
            "------",
            times=("2023-05-01T10:01:00", "2023-05-01T10:06:00"),
            characters="�😀",
            communities=("science",),
            repaired=4,
        ),
        needs_labels=False,
    ),
    FileCase(
        "10-new-field/comments.jsonl",
        None,
        Understood(
            "n00 n01 n02 n03 n04 n05",
            "------",
            times=("2023-05-01T10:07:00", "2023-05-01T10:12:00"),
            communities=("science",),
        ),
        needs_labels=False,
    ),
    FileCase(
        "19-disguises/comments.jsonl",
        None,
        Understood(
            " ".join(f"{DISGUISES[number % 10]}-{number + 1:02}" for number in range(30)),
            "-" * 30,
            times=("2023-05-01T10:00:01", "2023-05-01T10:00:30"),
            characters="\xa0\xad̶аеорсхі\u200b－．ａｂｃｄｅｆｇｈｉｌｍｎｏｐｒｓｔｕｗｘｙ𝐚𝐛𝐜𝐝𝐞𝐟𝐠𝐡𝐢𝐥𝐦𝐧𝐨𝐩𝐫𝐬𝐭𝐮𝐰𝐱𝐲",
            communities=("science",),
        ),
        needs_labels=False,
    ),
    FileCase(
        "20-edit-after-removal/history",
        None,
        Understood(
            "e01 e02 e03 e01 e02 e01 e03",
            "rkkrkrk",
            times=("2023-05-01T10:00:00", "2023-05-01T10:10:00"),
            communities=("science",),
            encoding="",
        ),
    ),
]
