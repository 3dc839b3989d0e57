"""Decide how to read each file: format, encoding, delimiter and columns, from its beginning and what is stated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from moderation.datasets.importer.columns import resolved_mapping
from moderation.datasets.importer.csv_rows import Dialect
from moderation.datasets.importer.formats import FORMATS, Format, detect
from moderation.datasets.importer.inputs import Input
from moderation.datasets.importer.mapping import ALIASES, ColumnMapping, mapping_fields, normal
from moderation.datasets.importer.sniff import Layout, sniff
from moderation.datasets.recorded import COMMENTS
from moderation.errors import ConfigurationError, DatasetError

if TYPE_CHECKING:
    from moderation.datasets.importer.actions import RecordedActions

HISTORY = "history"
"""Name of the format of folders of ``moderation generate``."""


@dataclass(frozen=True, slots=True)
class Stated:
    """What the user states about the files; None and empty values are guessed.

    Attributes:
        format: name of a known format.
        columns: roles with their columns, see :func:`moderation.datasets.importer.mapping.parse_columns`.
        encoding: text encoding.
        delimiter: one character.
        quote: one character, or empty if quotation marks are text.
        has_header: whether the first row of a CSV file names the columns.
        community: community of all comments.
        author_key: key of the pseudonyms of authors, see :mod:`moderation.datasets.importer.authors`.
    """

    format: str | None = None
    columns: dict[str, Any] = field(default_factory=dict)
    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    has_header: bool = True
    community: str | None = None
    author_key: bytes = field(default=b"", repr=False)

    @property
    def is_about_files(self) -> bool:
        """Whether anything is stated that only files have, and not folders of ``moderation generate``."""
        texts = (self.encoding, self.delimiter, self.quote, self.community)
        has_text = any(each is not None for each in texts)
        return self.format not in (None, HISTORY) or has_text or bool(self.columns) or not self.has_header

    def __post_init__(self) -> None:
        """Check the name of the format, and that delimiter and quotation mark can be used."""
        if self.format is not None and self.format not in (*FORMATS, HISTORY):
            raise ConfigurationError(
                "--format", f"{self.format!r} is unknown", f"Use one of {', '.join((*FORMATS, HISTORY))}."
            )
        quote = '"' if self.quote is None else self.quote
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in f"\r\n{quote}"):
            raise ConfigurationError(
                "--delimiter",
                f"{self.delimiter!r} is not one character other than line breaks and the quotation mark",
                "Use comma, semicolon, tab, pipe or a character.",
            )
        if self.quote is not None and (len(self.quote) > 1 or self.quote in ("\r", "\n", "\\")):
            raise ConfigurationError(
                "--quote", f"{self.quote!r} is not a quotation mark", "Use one character, or none."
            )


@dataclass(frozen=True, slots=True)
class FilePlan:
    """How one file is read.

    Attributes:
        input: the file.
        layout: kind of file, encoding, dialect and names of the columns; None for a history folder.
        format: known format; None for another file.
        mapping: columns by role.
        positions: for each role of the mapping, the number of its column from 0.
        unused: columns that are not used.
        community: community of the comments, if a folder of the path names it (``community=science/part.parquet``) and
            no column does; else None.
    """

    input: Input
    layout: Layout | None
    format: Format | None
    mapping: ColumnMapping
    positions: dict[str, int]
    unused: tuple[str, ...]
    community: str | None = None

    def summary(self) -> str:
        """Return one line: what the file is and how it is read."""
        if self.layout is None:
            return f"{self.input.name}: a folder of `moderation generate`"
        layout = self.layout
        parts = [layout.title()]
        if self.format is not None:
            parts.insert(0, f"{self.format.title} (--format {self.format.name})")
        of_path = f"; community {self.community}, by its path" if self.community is not None else ""
        return f"{self.input.name}: {', '.join(parts)}; columns {self.mapping.stated()}{of_path}"


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """How all files are read.

    Attributes:
        files: one plan per file.
        community: community of comments without one.
        needs_labels: whether rows without a label are left out.
        stated: what the user stated.
        actions: actions that decide the labels; None if a column of the files does, or there are no labels.
    """

    files: tuple[FilePlan, ...]
    community: str | None
    needs_labels: bool
    stated: Stated
    actions: RecordedActions | None = None

    @property
    def is_history(self) -> bool:
        """Whether the import is a folder of ``moderation generate``."""
        return self.files[0].layout is None

    @property
    def name(self) -> str:
        """Name of the first file, and how many more there are."""
        more = len(self.files) - 1
        return self.files[0].input.name + (f" and {more:,} more" if more else "")

    def lineage(self) -> dict[str, Any]:
        """Return the mapping as JSON fields, for the model card and ``--mapping``."""
        first = self.files[0]
        if first.layout is None:
            return {"format": HISTORY}
        dialect = first.layout.dialect
        return {
            "format": first.format.name if first.format else None,
            "columns": mapping_fields(first.mapping),
            "encoding": first.layout.encoding,
            "delimiter": dialect.delimiter if dialect else None,
            "quote": None if dialect is None else dialect.quote or "",
            "has_header": self.stated.has_header,
            "community": self.community,
        }


def plan_import(
    inputs: Sequence[Input],
    stated: Stated,
    *,
    needs_labels: bool = True,
    actions: RecordedActions | None = None,
    on_progress: Callable[[str], None] = lambda step: None,
) -> ImportPlan:
    """Plan an import from the beginning of every file.

    Args:
        inputs: at least one file.
        stated: what the user stated.
        needs_labels: whether a file without labels is refused.
        actions: actions that decide the labels; columns with labels are then not used.
        on_progress: called with each step.

    Raises:
        DatasetError: a file cannot be read, or its columns are not clear; the message says what to state.
        ConfigurationError: both actions and a column with labels are stated.
    """
    if actions is not None and stated.columns.get("label") is not None:
        raise ConfigurationError("--actions", "--columns states a column with labels, too", "Give one of them.")
    files = []
    for each in inputs:
        on_progress(f"looking at {each.name}")
        try:
            files.append(_plan_file(each, stated, needs_labels, by_actions=actions is not None))
        except DatasetError as error:
            if len(inputs) == 1:
                raise
            remedy = f"{error.remedy} If it has no comments, name only the files that have some."
            raise DatasetError(error.thing, error.cause, remedy) from error
    community = stated.community or next((plan.format.community for plan in files if plan.format), None)
    return ImportPlan(tuple(files), community, needs_labels, stated, actions)


def _plan_file(each: Input, stated: Stated, needs_labels: bool, *, by_actions: bool) -> FilePlan:
    if each.is_history:
        if by_actions:
            raise DatasetError(each.name, "a folder of `moderation generate` contains its actions", "Omit --actions.")
        if stated.is_about_files:
            raise DatasetError(
                each.name,
                "a folder of `moderation generate` needs no statements about format, columns, encoding or community",
                "Omit these options and --mapping.",
            )
        return FilePlan(each, None, None, ColumnMapping(), {}, ())
    if stated.format == HISTORY:
        raise DatasetError(each.name, f"it is not a folder with {COMMENTS} and actions.jsonl", "Omit --format history.")
    # The encoding of the two old r/science exports is known; it decides only how files that are not UTF-8 are read.
    named = FORMATS[stated.format] if stated.format is not None else None
    layout = sniff(each, stated.encoding, stated.delimiter, stated.quote, stated.has_header, named)
    known = named or detect(layout.names)
    columns = {**stated.columns, "label": None} if by_actions else stated.columns
    mapping, positions = resolved_mapping(each.name, layout, known, columns, needs_labels and not by_actions)
    for role in ("id", "time") if by_actions else ():
        if role not in positions:
            raise DatasetError(
                each.name,
                f"no column is known to contain the {role}, which is needed to find the actions on a comment; "
                f"its columns are {', '.join(layout.names[:30])}",
                f"State it: --columns {role}=COLUMN.",
            )
    used = set(positions.values())
    unused = tuple(name for position, name in enumerate(layout.names) if position not in used and name)
    folders = dict(part.split("=", 1) for part in each.path.parent.parts if "=" in part)
    by_path = None
    if mapping.community is None and "community" not in stated.columns and stated.community is None:
        by_path = next((unquote(folders[name]) for name in folders if normal(name) in ALIASES["community"]), None)
    unused += tuple(f"{name} (in the path)" for name in folders if normal(name) not in ALIASES["community"])
    return FilePlan(each, layout, known, mapping, positions, unused, by_path)


def dialect_of(plan: FilePlan) -> Dialect:
    """Return the dialect of a CSV file."""
    return (plan.layout.dialect if plan.layout else None) or Dialect()
