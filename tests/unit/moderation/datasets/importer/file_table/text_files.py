"""Text files: encodings, dialects, headers, ids and times."""

from __future__ import annotations

from tests.support.imports import ALL
from tests.unit.moderation.datasets.importer.file_table.case import HEADER, MAY_1, PLAIN, ROWS, FileCase, Understood

RUSSIAN = "Привет"
MANY = HEADER + "".join(f"b{number},plain text,1682935200,{number % 2}\n" for number in range(6))


CASES = [
    FileCase(
        "few-russian-words-cp1251.csv",
        (MANY + f"a1,{RUSSIAN},1682935200,0\n").encode("cp1251"),
        (
            "few-russian-words-cp1251.csv: its text is neither UTF-8 nor a Western encoding. State its "
            "encoding, e.g. --encoding cp1251, shift_jis or gb18030; --encoding utf-8 if only a few "
            "characters are damaged."
        ),
    ),
    FileCase(
        "few-russian-words-stated.csv",
        (MANY + f"a1,{RUSSIAN},1682935200,0\n").encode("cp1251"),
        Understood(
            "b0 b1 b2 b3 b4 b5 a1",
            "krkrkrk",
            times=(MAY_1, MAY_1),
            bodies=("plain text", "plain text", "plain text", "plain text", "plain text", "plain text", "Привет"),
            encoding="cp1251",
        ),
        stated={"encoding": "cp1251"},
    ),
    FileCase(
        "few-japanese-words-shift-jis.csv",
        (MANY + "a1,日本語です,1682935200,0\n").encode("shift_jis"),
        (
            "few-japanese-words-shift-jis.csv: its text is neither UTF-8 nor a Western encoding. State its "
            "encoding, e.g. --encoding cp1251, shift_jis or gb18030; --encoding utf-8 if only a few "
            "characters are damaged."
        ),
    ),
    FileCase(
        "few-french-letters-cp1252.csv",
        (MANY + "a1,naïve café,1682935200,0\n").encode("cp1252"),
        Understood(
            "b0 b1 b2 b3 b4 b5 a1",
            "krkrkrk",
            times=(MAY_1, MAY_1),
            bodies=("plain text", "plain text", "plain text", "plain text", "plain text", "plain text", "naïve café"),
            encoding="cp1252",
        ),
    ),
    FileCase(
        "one-broken-emoji.csv",
        MANY.encode() + b"a1,x \xed\xa0\xbd\xed\xb8\x80,1682935200,0\n",
        Understood(
            "b0 b1 b2 b3 b4 b5 a1",
            "krkrkrk",
            times=(MAY_1, MAY_1),
            bodies=("plain text", "plain text", "plain text", "plain text", "plain text", "plain text", "x í\xa0½í¸€"),
            repaired=1,
        ),
        stated={"encoding": "utf-8"},
    ),
    FileCase(
        "utf16-stated-as-utf8.csv",
        PLAIN.encode("utf-16"),
        (
            "utf16-stated-as-utf8.csv: it begins with the byte order mark of UTF-16, and --encoding states "
            "utf-8. Omit --encoding, or state utf-16."
        ),
        stated={"encoding": "utf-8"},
    ),
    FileCase(
        "utf16-stated.csv",
        PLAIN.encode("utf-16"),
        Understood("a1 a2", "kr", encoding="utf-16"),
        stated={"encoding": "utf-16"},
    ),
    FileCase(
        "utf16-stated-without-mark.csv",
        PLAIN.encode("utf-16-le"),
        (
            "utf16-stated-without-mark.csv: it has no byte order mark, which UTF-16 needs. State --encoding "
            "utf-16-le or utf-16-be."
        ),
        stated={"encoding": "utf-16"},
    ),
    FileCase(
        "utf8-stated-as-utf16.csv",
        PLAIN,
        (
            "utf8-stated-as-utf16.csv: it has no byte order mark, which UTF-16 needs. State --encoding "
            "utf-16-le or utf-16-be."
        ),
        stated={"encoding": "UTF-16"},
    ),
    FileCase(
        "stated-as-ascii.csv",
        HEADER + "a1,naïve,1682935200,0\n",
        (
            "stated-as-ascii.csv: 1 of 1 rows contain bytes that ASCII does not have. State another encoding,"
            " e.g. --encoding utf-8 or cp1252."
        ),
        stated={"encoding": "ascii"},
    ),
    FileCase(
        "stated-as-idna.csv",
        PLAIN,
        ("stated-as-idna.csv: --encoding 'idna' is unknown. Write for example --encoding utf-8, utf-16 or cp1252."),
        stated={"encoding": "idna"},
    ),
    FileCase(
        "japanese-utf16-no-mark.csv",
        (HEADER + "a1," + "日本語です" * 20 + ",1682935200,0\n").encode("utf-16-le"),
        (
            "japanese-utf16-no-mark.csv: it is not text, or text in an encoding that shows no mark. Export it"
            " as CSV, JSON lines or Parquet. If it is text, state its encoding, e.g. --encoding utf-16-le."
        ),
    ),
    FileCase(
        "japanese-utf16-no-mark-stated.csv",
        (HEADER + "a1,日本語です,1682935200,0\n").encode("utf-16-le"),
        Understood("a1", "k", times=(MAY_1, MAY_1), bodies=("日本語です",), encoding="utf-16-le"),
        stated={"encoding": "utf-16-le"},
    ),
    FileCase(
        "joined-with-marks.csv",
        b"\xef\xbb\xbf" + PLAIN.encode() + b"\xef\xbb\xbfa3,x,1682935200,0\n",
        Understood("a1 a2 a3", "krk", bodies=("Which lab ran it?", "go home", "x"), encoding="utf-8-sig"),
    ),
    FileCase(
        "joined-with-headers.csv",
        PLAIN + HEADER + "a3,x,1682935200,0\n",
        (
            "joined-with-headers.csv: 1 of 4 rows (25.0%) would be left out: 1 unreadable "
            "(joined-with-headers.csv, line 4: the line repeats the header). To continue without them, add "
            "--accept left-out."
        ),
    ),
    FileCase(
        "joined-with-headers-accepted.csv",
        PLAIN + HEADER + "a3,x,1682935200,0\n",
        Understood("a1 a2 a3", "krk", bodies=("Which lab ran it?", "go home", "x"), left_out={"unreadable": 1}),
        accepted=ALL,
    ),
    FileCase("comments-before-the-header.csv", "# export\n# 2023\n" + PLAIN, Understood("a1 a2", "kr")),
    FileCase("title-with-a-comma.csv", "Export, 2023\n" + PLAIN, Understood("a1 a2", "kr")),
    FileCase(
        "lines-of-text.txt",
        "first comment\nsecond, with a comma\n",
        (
            "lines-of-text.txt: no column is known to contain the text of the comment; its columns are first "
            "comment. If its columns are separated by another character, state --delimiter. If every line is "
            "a comment, add --no-header --columns body=#1. State it: --columns body=COLUMN."
        ),
        needs_labels=False,
    ),
    FileCase(
        "lines-of-text-stated.txt",
        "first comment\nsecond, with a comma\n",
        Understood(
            "lines-of-text-stated-0 lines-of-text-stated-1",
            "--",
            times=None,
            bodies=("first comment", "second, with a comma"),
        ),
        needs_labels=False,
        accepted=ALL,
        stated={"has_header": False, "columns": "body=#1"},
    ),
    FileCase("carets.csv", PLAIN.replace(",", "^"), Understood("a1 a2", "kr"), stated={"delimiter": "^"}),
    FileCase(
        "delimiter-of-two-characters.csv",
        PLAIN.replace(",", "::"),
        (
            "--delimiter: '::' is not one character other than line breaks and the quotation mark. Use comma,"
            " semicolon, tab, pipe or a character."
        ),
        stated={"delimiter": "::"},
    ),
    FileCase(
        "control-characters-as-delimiters.txt",
        PLAIN.replace(",", "\x01"),
        Understood("a1 a2", "kr"),
        stated={"delimiter": "\x01", "encoding": "utf-8"},
    ),
    FileCase(
        "mysql-null.tsv",
        PLAIN.replace(",", "\t") + "a3\t\\N\t1682935200\t0\na4\tx\t1682935200\t\\N\n",
        Understood("a1 a2", "kr", left_out={"no text": 1, "no label": 1}),
        accepted=ALL,
    ),
    FileCase(
        "unescaped-commas.csv",
        HEADER + "a1,well, no,1682935200,0\n" + ROWS,
        (
            "unescaped-commas.csv: 1 of 3 rows (33.3%) would be left out: 1 unreadable (unescaped-commas.csv,"
            " line 2: 5 columns where the header has 4). To continue without them, add --accept left-out."
        ),
    ),
    FileCase(
        "line-break-in-a-row.csv",
        PLAIN + "a3,one\ntwo,1682935200,1\n",
        (
            "line-break-in-a-row.csv: 2 of 4 rows (50.0%) would be left out: 2 unreadable "
            "(line-break-in-a-row.csv, line 4: 2 columns where the header has 4). To continue without them, "
            "add --accept left-out."
        ),
    ),
    FileCase(
        "other-line-separators.csv",
        HEADER + "a1,one\u2028two\x85three\x0cfour,1682935200,0\n",
        Understood("a1", "k", times=(MAY_1, MAY_1), bodies=("one\u2028two\x85three\x0cfour",)),
    ),
    FileCase("one-row.csv", HEADER + "a1,x,1682935200,0\n", Understood("a1", "k", times=(MAY_1, MAY_1), bodies=("x",))),
    FileCase(
        "dump.sql",
        "INSERT INTO comments (id, body, removed) VALUES (1, 'x', 0);\n",
        "dump.sql: it is SQL. Export the table as CSV.",
    ),
    FileCase(
        "rows.xml",
        "<comments><row Id='1' Text='x'/></comments>",
        "rows.xml: it is a web page or XML. Download the data file itself, or export CSV.",
    ),
    FileCase(
        "ids-with-a-point.csv",
        HEADER + "12345678901.0,x,1682935200,0\n12345678902.0,y,1682935200,1\n",
        Understood("12345678901 12345678902", "kr", times=(MAY_1, MAY_1), bodies=("x", "y")),
    ),
    FileCase(
        "ids-of-a-spreadsheet.csv",
        HEADER + "1.23457E+18,x,1682935200,0\n1.23457E+18,y,1682935200,1\n",
        (
            "ids-of-a-spreadsheet.csv: none of 2 rows can be used: 2 incomplete id (ids-of-a-spreadsheet.csv,"
            " line 2: the id 1.23457E+18 is a number that has lost its last digits). Export the ids as text, "
            "or state that there are none: --columns id=."
        ),
    ),
    FileCase(
        "ids-in-base-36.csv",
        HEADER + "1e10,x,1682935200,0\n2.5,y,1682935200,1\n",
        Understood("1e10 2.5", "kr", times=(MAY_1, MAY_1), bodies=("x", "y")),
    ),
    FileCase(
        "times-of-a-spreadsheet.csv",
        HEADER + "a1,x,1.68294E+12,0\n",
        (
            "times-of-a-spreadsheet.csv: none of 1 rows can be used: 1 no time (times-of-a-spreadsheet.csv, "
            "line 2: '1.68294E+12' has lost its last digits). State another column or unit, --columns "
            "time=COLUMN:s, the form of the times, e.g. time=created_utc:%d-%b-%Y, or time= for none (column "
            "created_utc is read now)."
        ),
    ),
    FileCase(
        "times-of-r.csv",
        HEADER + "a1,x,1.682935e+09,0\n",
        (
            "times-of-r.csv: none of 1 rows can be used: 1 no time (times-of-r.csv, line 2: '1.682935e+09' "
            "has lost its last digits). State another column or unit, --columns time=COLUMN:s, the form of "
            "the times, e.g. time=created_utc:%d-%b-%Y, or time= for none (column created_utc is read now)."
        ),
    ),
    FileCase(
        "year-first.csv", HEADER + "a1,x,2023/5/1 10:00,0\n", Understood("a1", "k", times=(MAY_1, MAY_1), bodies=("x",))
    ),
    FileCase(
        "days-of-a-spreadsheet-with-a-comma.csv",
        HEADER.replace(",", ";") + "a1;x;45047,416666666664;0\n",
        Understood("a1", "k", times=(MAY_1, MAY_1), bodies=("x",)),
    ),
    FileCase(
        "seconds-with-groups.csv",
        HEADER + 'a1,x,"1,682,935,200",0\n',
        (
            "seconds-with-groups.csv: none of 1 rows can be used: 1 no time (seconds-with-groups.csv, line 2:"
            " '1,682,935,200' is not a time). State another column or unit, --columns time=COLUMN:s, the form"
            " of the times, e.g. time=created_utc:%d-%b-%Y, or time= for none (column created_utc is read "
            "now)."
        ),
    ),
    FileCase(
        "month-names.csv",
        HEADER + "a1,x,01-May-2023,0\n",
        (
            "month-names.csv: none of 1 rows can be used: 1 no time (month-names.csv, line 2: '01-May-2023' "
            "is not a time). State another column or unit, --columns time=COLUMN:s, the form of the times, "
            "e.g. time=created_utc:%d-%b-%Y, or time= for none (column created_utc is read now)."
        ),
    ),
    FileCase(
        "month-names-stated.csv",
        HEADER + "a1,x,01-May-2023,0\n",
        Understood("a1", "k", times=("2023-05-01T00:00:00", "2023-05-01T00:00:00"), bodies=("x",)),
        stated={"columns": "time=created_utc:%d-%b-%Y"},
    ),
    FileCase(
        "form-of-times-with-a-typo.csv",
        HEADER + "a1,x,01-May-2023,0\n",
        (
            "--columns: 'time=created_utc:%d-%Q-%Y': the form of times cannot be used: 'Q' is a bad directive"
            " in format '%d-%Q-%Y'. Write for example --columns "
            "'body=comment_text,label=toxic>=0.5,time=created_utc:s'. Double quotes protect commas: "
            "'label=state=\"spam, ads\"'."
        ),
        stated={"columns": "time=created_utc:%d-%Q-%Y"},
    ),
    FileCase(
        "unit-with-a-typo.csv",
        HEADER + "a1,x,1682935200,0\n",
        (
            "--columns: 'time=created_utc:sec': the unit 'sec' is none of s, ms, us, ns, excel, dmy, mdy, and"
            " not a format such as %d.%m.%Y. Write for example --columns "
            "'body=comment_text,label=toxic>=0.5,time=created_utc:s'. Double quotes protect commas: "
            "'label=state=\"spam, ads\"'."
        ),
        stated={"columns": "time=created_utc:sec"},
    ),
    FileCase(
        "zone-as-letters.csv",
        HEADER + "a1,x,2023-05-01 10:00:00 EST,0\n",
        (
            "zone-as-letters.csv: none of 1 rows can be used: 1 no time (zone-as-letters.csv, line 2: "
            "'2023-05-01 10:00:00 EST' is not a time). State another column or unit, --columns time=COLUMN:s,"
            " the form of the times, e.g. time=created_utc:%d-%b-%Y, or time= for none (column created_utc is"
            " read now)."
        ),
    ),
    FileCase(
        "both-orders-of-dates.csv",
        HEADER + "a1,x,05/13/2023,0\na2,x,14/05/2023,0\na3,x,05/06/2023,1\n",
        (
            "both-orders-of-dates.csv: 1 of 3 rows (33.3%) would be left out: 1 no time "
            "(both-orders-of-dates.csv, line 4: '05/06/2023' is ambiguous: day or month first). State the "
            "order of the dates: --columns time=created_utc:dmy or time=created_utc:mdy. To continue without "
            "them, add --accept left-out."
        ),
    ),
    FileCase(
        "backslashes-before-quotes.csv",
        HEADER + 'a1,"he said \\"no\\" \\\\",1682935200,0\na2,"¯\\_(ツ)_/¯ \\"so\\", ok",1682935260,1\n',
        Understood("a1 a2", "kr", bodies=('he said "no" \\', '¯\\_(ツ)_/¯ "so", ok')),
    ),
    FileCase(
        "backslash-before-a-doubled-quote.csv",
        HEADER + 'a1,"see C:\\""",1682935200,0\na2,"a ""b"", c",1682935260,1\n',
        Understood("a1 a2", "kr", bodies=('see C:\\"', 'a "b", c')),
    ),
    FileCase(
        "russian-words-after-the-head.csv",
        (HEADER + "".join(f"b{number},plain text,1682935200,0\n" for number in range(9_000))).encode()
        + "".join(f"a{number},Привет,1682935200,0\n" for number in range(100)).encode("cp1251"),
        (
            "russian-words-after-the-head.csv: 100 of 9,100 rows are not UTF-8, and would be read as "
            "Windows-1252. State the encoding of the file, e.g. --encoding cp1251, or --encoding utf-8 if "
            "they are Windows-1252."
        ),
    ),
    FileCase(
        "names-that-differ-in-case.csv",
        "id,Body,body,created_utc,removed\na1,x,y,1682935200,0\n",
        (
            "names-that-differ-in-case.csv: columns Body, body could all contain the text of the comment. "
            "State one: --columns body=Body."
        ),
    ),
]
