from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from cli.output_files import check_output_file, check_output_folder, replaced_file, replaced_folder, write_file
from moderation.errors import ConfigurationError, OutputFailed


def test_a_file_is_replaced_only_when_it_is_complete(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("good")

    def fail() -> None:
        with replaced_file(page) as unfinished:
            unfinished.write_text("half")
            assert page.read_text() == "good"
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        fail()
    assert page.read_text() == "good"
    assert os.listdir(tmp_path) == ["page.html"]
    with page.open() as reader:
        write_file(page, "better")
        assert reader.read() == "good", "the file was written in place"
    assert page.read_text() == "better"
    assert os.listdir(tmp_path) == ["page.html"]


def full_disk(unfinished: Path) -> None:
    unfinished.write_bytes(b"half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_one_message_and_replaces_nothing(tmp_path: Path) -> None:
    page, folder = tmp_path / "page.html", tmp_path / "model"
    page.write_text("good")
    with pytest.raises(OutputFailed, match=r"page\.html: no space is left"), replaced_file(page) as unfinished:
        full_disk(unfinished)
    with pytest.raises(OutputFailed, match="model: no space is left"), replaced_folder(folder) as unfinished:
        full_disk(unfinished / "model.skops")
    assert page.read_text() == "good"
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_file_that_the_system_refuses_to_grow_leaves_the_old_one(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("good")
    program = (
        "import signal, sys; from pathlib import Path; from cli.output_files import write_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "write_file(Path(sys.argv[1]), b'x' * 1_000_000)\n"
    )
    limited = subprocess.run(
        [sys.executable, "-B", "-c", program, page],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000)),
        capture_output=True,
        text=True,
    )
    assert "OutputFailed" in limited.stderr
    assert "File too large" in limited.stderr
    assert page.read_text() == "good"
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_device_is_written_and_never_replaced() -> None:
    device = os.stat("/dev/full").st_rdev
    with pytest.raises(OutputFailed, match="no space is left"):
        write_file(Path("/dev/full"), "x")
    assert os.stat("/dev/full").st_rdev == device


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "page")
    write_file(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "page").read_text() == "x"


def test_a_new_folder_appears_complete(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with replaced_folder(folder) as unfinished:
        (unfinished / "plots").mkdir()
        (unfinished / "plots" / "roc.png").write_text("x")
        assert not folder.exists()
    assert (folder / "plots" / "roc.png").read_text() == "x"
    assert os.listdir(tmp_path) == ["model"]


def test_an_existing_folder_keeps_other_files_and_its_seal_comes_last(tmp_path: Path) -> None:
    for name in ("model.json", "model.skops", "notes.txt"):
        (tmp_path / name).write_text("old")
    with replaced_folder(tmp_path, last=("model.json",)) as unfinished:
        (unfinished / "model.json").write_text("new")
        (unfinished / "model.skops").write_text("new")
        (unfinished / "plots").mkdir()
        (unfinished / "plots" / "roc.png").write_text("new")
    assert {each.name: each.read_text() for each in tmp_path.iterdir() if each.is_file()} == {
        "model.json": "new",
        "model.skops": "new",
        "notes.txt": "old",
    }
    assert (tmp_path / "model.json").stat().st_ctime_ns >= (tmp_path / "plots" / "roc.png").stat().st_ctime_ns


def test_errors_of_other_work_are_not_called_errors_of_the_output(tmp_path: Path) -> None:
    with pytest.raises(ConnectionRefusedError), replaced_folder(tmp_path / "model"):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")


def test_outputs_are_checked_before_the_work(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "data" / "a.csv"
    data.mkdir()
    file.write_text("")
    for check, path, inputs, message in (
        (check_output_file, data, (), "it is a folder"),
        (check_output_file, file, (file,), "also an input"),
        (check_output_folder, data, (tmp_path / "." / "data",), "also an input"),
        (check_output_folder, file, (), r"cannot be written \(File exists\)"),
        (check_output_folder, Path("/proc/none"), (), "/proc/none: the folder cannot be written"),
        (check_output_file, Path("/proc/none/page.html"), (), "/proc/none: the folder cannot be written"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            check(path, inputs)
    check_output_folder(tmp_path / "new" / "model", (file,))
    assert not (tmp_path / "new" / "model").exists()


def test_a_closed_pipe_is_one_message() -> None:
    program = (
        "import sys; from cli.output_files import write_stdout\n"
        "from moderation.errors import OutputFailed\n"
        "sys.stdin.read()\n"
        "try: write_stdout(b'x' * 1_000_000)\n"
        "except OutputFailed as error: print(error, file=sys.stderr)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.close()
        error = process.stderr.read()
    assert error == ("standard output: its reader closed it before all results were written. Read it to the end.\n")
