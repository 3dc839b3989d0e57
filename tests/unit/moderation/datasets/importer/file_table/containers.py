"""Compressed files, archives, folders, links and patterns."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
from pathlib import Path

import zstandard

from tests.unit.moderation.datasets.importer.file_table.case import (
    HEADER,
    OBJECTS,
    PLAIN,
    ROWS,
    FileCase,
    Understood,
    files_of,
    zip_of,
)

ONE, TWO = (HEADER + row + "\n" for row in ROWS.splitlines())
PACKED = gzip.compress(PLAIN.encode())
ZIP = zip_of({"a.csv": PLAIN})


def tar_of(name: str, text: str) -> bytes:
    """Return a tar archive with one member."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    return file.getvalue()


def loop(folder: Path) -> None:
    """Write a folder with a file and a link to itself."""
    (folder / "data").mkdir()
    (folder / "data" / "a.csv").write_text(PLAIN)
    (folder / "data" / "self").symlink_to(folder / "data")


def link_to_itself(folder: Path) -> None:
    """Write a link that leads to itself."""
    (folder / "link.csv").symlink_to(folder / "link.csv")


def empty_folder(folder: Path) -> None:
    """Write a folder without files."""
    (folder / "nothing").mkdir()


CASES = [
    FileCase("empty.csv.gz", gzip.compress(b""), "empty.csv.gz: the file is empty. Name a file with comments."),
    FileCase(
        "head-only.csv.gz",
        PACKED[:10],
        (
            "head-only.csv.gz: the compressed data ends early, so the file is incomplete. Copy or download "
            "the file again."
        ),
    ),
    FileCase(
        "other-checksum.csv.gz",
        PACKED[:-8] + bytes(8),
        (
            "other-checksum.csv.gz: the compressed data is damaged (CRC check failed 0x0 != 0x96ee5378). Copy"
            " or download the file again."
        ),
    ),
    FileCase(
        "more-at-the-end.csv.gz",
        PACKED + b"and more",
        (
            "more-at-the-end.csv.gz: the compressed data is damaged (Not a gzipped file (b'an')). Copy or "
            "download the file again."
        ),
    ),
    FileCase("zeros-at-the-end.csv.gz", PACKED + bytes(512), Understood("a1 a2", "kr")),
    FileCase(
        "twice.csv.gz.gz",
        gzip.compress(PACKED),
        "twice.csv.gz.gz: it is compressed twice. Extract it and import the files in it.",
    ),
    FileCase(
        "zip-in-gzip.zip.gz",
        gzip.compress(ZIP),
        (
            "zip-in-gzip.zip.gz: it is a ZIP file inside another file, or a damaged one. Extract it and "
            "import the files in it."
        ),
    ),
    FileCase(
        "archive.tar.gz",
        gzip.compress(tar_of("a.csv", PLAIN)),
        "archive.tar.gz: it is a tar archive. Extract it and import the files in it.",
    ),
    FileCase(
        "archive.tar",
        tar_of("a.csv", PLAIN),
        "archive.tar: it is a tar archive. Extract it and import the files in it.",
    ),
    FileCase(
        "torn.bz2",
        bz2.compress(PLAIN.encode())[:-5],
        ("torn.bz2: the compressed data ends early, so the file is incomplete. Copy or download the file again."),
    ),
    FileCase(
        "torn.xz",
        lzma.compress(PLAIN.encode())[:-30],
        ("torn.xz: the compressed data ends early, so the file is incomplete. Copy or download the file again."),
    ),
    FileCase(
        "old.lzma",
        lzma.compress(PLAIN.encode(), format=lzma.FORMAT_ALONE),
        "old.lzma: it is compressed with LZMA, which is not read. Extract it and import the files in it.",
    ),
    FileCase(
        "comments.lz4",
        b"\x04\x22\x4d\x18" + bytes(60),
        ("comments.lz4: it is compressed with LZ4, which is not read. Extract it and import the files in it."),
    ),
    FileCase(
        "skippable-frame.zst",
        b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstandard.compress(PLAIN.encode()),
        Understood("a1 a2", "kr"),
    ),
    FileCase(
        "several-members.zip",
        zip_of({"a.csv": ONE, "b/c.csv": TWO, "b/.hidden.csv": "x", "__MACOSX/._a.csv": "x", "about.md": "x"}),
        Understood("a1 a2", "kr"),
    ),
    FileCase(
        "members-of-several-kinds.zip",
        zip_of(
            {
                "a.csv": ONE,
                "b.jsonl": json.dumps(OBJECTS[1]),
                "c.csv.gz": gzip.compress(ONE.encode().replace(b"a1", b"a3")),
            }
        ),
        Understood("a1 a2 a3", "krk", bodies=("Which lab ran it?", "go home", "Which lab ran it?")),
    ),
    FileCase(
        "members-without-text.zip",
        zip_of({"train.csv": PLAIN, "sample_submission.csv": "id,toxic\na1,0\n"}),
        (
            "members-without-text.zip:sample_submission.csv: no column is known to contain the text of the "
            "comment; its columns are id, toxic. State it: --columns body=COLUMN. If it has no comments, name"
            " only the files that have some."
        ),
    ),
    FileCase(
        "zip-in-zip.zip",
        zip_of({"inner.zip": ZIP}),
        (
            "zip-in-zip.zip:inner.zip: it is a ZIP file inside another file, or a damaged one. Extract it and"
            " import the files in it."
        ),
    ),
    FileCase(
        "torn.zip",
        ZIP[:60],
        ("torn.zip: it is a ZIP file inside another file, or a damaged one. Extract it and import the files in it."),
    ),
    FileCase(
        "damaged-member.zip",
        ZIP[:45] + bytes((ZIP[45] ^ 255, ZIP[46] ^ 255)) + ZIP[47:],
        (
            "damaged-member.zip:a.csv: the compressed data is damaged (Bad CRC-32 for file 'a.csv'). Copy or "
            "download the file again."
        ),
    ),
    FileCase(
        "no-members.zip",
        zip_of({}),
        "no-members.zip: the ZIP file contains no data file. Extract it and name the file to import.",
    ),
    FileCase(
        "mixed-folder",
        files_of(
            {
                "mixed-folder/a.csv": ONE,
                "mixed-folder/b.jsonl": json.dumps(OBJECTS[1]),
                "mixed-folder/.hidden.csv": "x",
                "mixed-folder/about.md": "x",
            }
        ),
        Understood("a1 a2", "kr"),
    ),
    FileCase(
        "folder-with-notes",
        files_of({"folder-with-notes/a.csv": ONE, "folder-with-notes/notes.txt": "buy milk\n"}),
        (
            "notes.txt: no column is known to contain the text of the comment; its columns are buy milk. If "
            "its columns are separated by another character, state --delimiter. If every line is a comment, "
            "add --no-header --columns body=#1. State it: --columns body=COLUMN. If it has no comments, name "
            "only the files that have some."
        ),
    ),
    FileCase(
        "folder-in-folder",
        files_of({"folder-in-folder/a.csv": ONE, "folder-in-folder/more/b.csv": TWO}),
        (
            "FOLDER/folder-in-folder: a folder in it contains files, too, e.g. more/b.csv. State which are "
            "meant: 'FOLDER/folder-in-folder/*.csv' for those of the folder itself, "
            "'FOLDER/folder-in-folder/**/*.csv' for all."
        ),
    ),
    FileCase(
        "folder-in-folder-pattern/**/*.csv",
        files_of({"folder-in-folder-pattern/a.csv": ONE, "folder-in-folder-pattern/more/b.csv": TWO}),
        Understood("a1 a2", "kr"),
    ),
    FileCase(
        "by-community/**/*.csv",
        files_of({"by-community/subreddit=science/a.csv": ONE, "by-community/subreddit=the%20moon/b.csv": TWO}),
        Understood("a1 a2", "kr", communities=("science", "the moon")),
    ),
    FileCase(
        "by-community-stated/**/*.csv",
        files_of(
            {"by-community-stated/subreddit=science/a.csv": ONE, "by-community-stated/subreddit=space/b.csv": TWO}
        ),
        Understood("a1 a2", "kr", communities=("x",)),
        stated={"community": "x"},
    ),
    FileCase(
        "nothing",
        empty_folder,
        (
            "FOLDER/nothing: the folder contains no file ending with .csv, .tsv, .txt, .json, .jsonl, "
            ".ndjson, .parquet, .gz, .zst, .zip, .bz2, .xz. Name a file, a folder, a pattern such as "
            "'dumps/*.zst', or - for standard input."
        ),
    ),
    FileCase("data/**/*.csv", loop, Understood("a1 a2", "kr")),
    FileCase(
        "link.csv", link_to_itself, "FOLDER/link.csv: Too many levels of symbolic links. Name a file that you may read."
    ),
    FileCase(
        "*.none",
        files_of({"a.csv": PLAIN}),
        (
            "FOLDER/*.none: no such file or folder. Name a file, a folder, a pattern such as 'dumps/*.zst', "
            "or - for standard input."
        ),
    ),
    FileCase("with space and ümlaut [1].csv", PLAIN, Understood("a1 a2", "kr")),
]
