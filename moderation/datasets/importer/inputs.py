"""Find the files of an import: paths, folders, patterns, members of ZIP files and standard input."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from glob import glob
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from moderation.datasets.importer.compression import DAMAGED, Counted, compression_of, decompressed, read_error
from moderation.datasets.recorded import ACTIONS, ARRIVALS, COMMENTS
from moderation.errors import DatasetError

STDIN = "-"
_ENDINGS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".gz", ".zst", ".zip", ".bz2", ".xz")
_NAMED = "Name a file, a folder, a pattern such as 'dumps/*.zst', or - for standard input."


@dataclass(frozen=True, slots=True)
class Input:
    """One file to read.

    Attributes:
        name: how messages and reports name it: without its folder, unless another file has the same name.
        path: the file.
        member: name inside a ZIP file; None for a file of its own.
        is_history: whether it is a folder of ``moderation generate``.
        spool: keeps the copy of standard input; None for a file.
    """

    name: str
    path: Path
    member: str | None = None
    is_history: bool = False
    spool: object = field(default=None, compare=False, repr=False)

    @property
    def content_bytes(self) -> int:
        """Bytes that reading it counts: of a file its size on disk, of a member of a ZIP file its size outside it.

        Raises:
            DatasetError: the file cannot be opened.
        """
        try:
            if self.member is None:
                return self.path.stat().st_size
            with zipfile.ZipFile(self.path) as archive:
                return archive.getinfo(self.member).file_size
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise read_error(self.name, error) from error

    def head(self) -> bytes:
        """Return the first bytes as stored, before decompression."""
        with self._raw() as raw:
            return raw.read(16)

    def open(self, on_read: Callable[[int], None] = lambda count: None) -> BinaryIO:
        """Open the decompressed contents.

        Args:
            on_read: called with the number of compressed bytes of every read.

        Raises:
            DatasetError: the file cannot be opened.
        """
        try:
            compression = compression_of(self.head())
            raw = io.BufferedReader(Counted(self._raw(), on_read), 256 * 1024)
            return decompressed(cast(BinaryIO, raw), compression)
        except (OSError, RuntimeError, *DAMAGED) as error:
            raise read_error(self.name, error) from error

    def open_seekable(self) -> BinaryIO:
        """Open the contents for a reader that seeks; compressed contents are copied to a temporary file.

        Raises:
            DatasetError: the file cannot be opened.
        """
        try:
            if compression_of(self.head()) is None and self.member is None:
                return self._raw()
            with self.open() as stream:
                copy = tempfile.TemporaryFile(prefix="moderation-import-")  # noqa: SIM115 - the caller closes it
                shutil.copyfileobj(stream, copy, 1024 * 1024)
        except (OSError, *DAMAGED) as error:
            raise read_error(self.name, error) from error
        copy.seek(0)
        return cast(BinaryIO, copy)

    def _raw(self) -> BinaryIO:
        if self.member is None:
            return cast(BinaryIO, self.path.open("rb"))
        return cast(BinaryIO, zipfile.ZipFile(self.path).open(self.member))


def find_inputs(names: Sequence[str], stdin: Callable[[], BinaryIO]) -> tuple[Input, ...]:
    """Return the files that the names stand for, in the order of the names, those of a folder by name.

    Args:
        names: paths of files and folders, patterns, or ``-``.
        stdin: returns standard input, which is copied to a temporary file, because files are read twice.

    Raises:
        DatasetError: a name stands for no file, standard input is named twice, or a file cannot be read.
    """
    if list(names).count(STDIN) > 1:
        raise DatasetError(STDIN, "standard input is named twice, and it can be read once", "Name it once.")
    found: list[Input] = []
    for name in names:
        if name == STDIN:
            found += _of_stdin(stdin())
            continue
        if not name:
            raise DatasetError("FILE", "the name is empty", _NAMED)
        if "://" in name and not Path(name).exists():
            raise DatasetError(name, "it is an address, and files are not downloaded", "Download it first.")
        paths = [Path(name)] if Path(name).exists() else [Path(each) for each in sorted(glob(name, recursive=True))]
        if not paths:
            raise DatasetError(name, "no such file or folder", _NAMED)
        for path in paths:
            found += _of_path(path)
    if any(each.is_history for each in found) and len(found) > 1:
        history = next(each for each in found if each.is_history)
        raise DatasetError(history.name, "a history folder cannot be combined with other files", "Import it alone.")
    once: dict[tuple[Path, str | None], Input] = {}
    for each in found:  # patterns overlap, and links lead to one file by several names
        once.setdefault((each.path.resolve(), each.member), each)
    found = list(once.values())
    counts = Counter(each.name for each in found)
    return tuple(each if counts[each.name] == 1 else _with_folder(each) for each in found)


def _with_folder(each: Input) -> Input:
    return replace(each, name=str(each.path) if each.member is None else f"{each.path}:{each.member}")


def _of_path(path: Path) -> list[Input]:
    try:
        if path.is_dir():
            if (path / COMMENTS).exists() and ((path / ACTIONS).exists() or (path / ARRIVALS).exists()):
                return [Input(path.name, path, is_history=True)]
            files = sorted(filter(_is_data_file, path.iterdir()))
            if (inner := _inner_file(path)) is not None:
                raise DatasetError(
                    str(path),
                    f"a folder in it contains files, too, e.g. {inner.relative_to(path)}",
                    f"State which are meant: '{path}/*{inner.suffix}' for those of the folder itself, "
                    f"'{path}/**/*{inner.suffix}' for all.",
                )
            if not files:
                raise DatasetError(str(path), f"the folder contains no file ending with {', '.join(_ENDINGS)}", _NAMED)
            return [found for each in files for found in _of_path(each)]
        with path.open("rb") as file:
            head = file.read(4)
        if head[:2] == b"PK" and zipfile.is_zipfile(path):
            return _members(path)
    except OSError as error:
        raise DatasetError(str(path), error.strerror or str(error), "Name a file that you may read.") from error
    return [Input(path.name, path)]


def _is_data_file(path: Path) -> bool:
    return path.name.lower().endswith(_ENDINGS) and not path.name.startswith(".") and path.is_file()


def _inner_file(path: Path) -> Path | None:
    """Return a data file of a folder inside a folder; None for none."""
    for folder, names, files in os.walk(path):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for each in (Path(folder, name) for name in sorted(files)):
            if each.parent != path and _is_data_file(each):
                return each
    return None


def _members(path: Path) -> list[Input]:
    with zipfile.ZipFile(path) as archive:
        infos = [each for each in archive.infolist() if not each.is_dir() and not each.filename.startswith("__MACOSX")]
    names = {each.filename for each in infos}
    if names & {"xl/workbook.xml", "content.xml"}:
        raise DatasetError(path.name, "it is a spreadsheet", "Save it as CSV UTF-8 and import that file.")
    if any(each.flag_bits & 1 for each in infos):
        raise DatasetError(path.name, "the ZIP file is encrypted", "Extract it and import the files in it.")
    wanted = [each for each in infos if PurePosixPath(each.filename).name[:1] != "."]
    wanted = [each for each in wanted if each.filename.lower().endswith(_ENDINGS)]
    if not wanted:
        raise DatasetError(path.name, "the ZIP file contains no data file", "Extract it and name the file to import.")
    return [Input(f"{path.name}:{each.filename}", path, each.filename) for each in wanted]


def _of_stdin(stdin: BinaryIO) -> list[Input]:
    spooled = _spooled(stdin)
    found = [spooled]
    try:
        if spooled.head()[:2] == b"PK" and zipfile.is_zipfile(spooled.path):
            found = _members(spooled.path)
    except DatasetError as error:
        raise DatasetError(spooled.name, error.cause, error.remedy) from error
    return [each if each is spooled else _of_spool(spooled, each) for each in found]


def _of_spool(spooled: Input, member: Input) -> Input:
    return replace(member, name=f"{spooled.name}:{member.member}", spool=spooled.spool)


def _spooled(stdin: BinaryIO) -> Input:
    spool = tempfile.NamedTemporaryFile(prefix="moderation-import-")  # noqa: SIM115 - lives as long as the input
    try:
        shutil.copyfileobj(stdin, spool, 1024 * 1024)
        spool.flush()
    except OSError as error:
        raise DatasetError(
            "standard input",
            f"it cannot be copied to {tempfile.gettempdir()} ({error.strerror})",
            "Name a file instead.",
        ) from error
    return Input("standard input", Path(spool.name), spool=spool)
