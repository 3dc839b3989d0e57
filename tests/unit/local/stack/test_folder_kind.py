"""Data folders: commands use and delete only folders of their own kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.stack.commands import down, empty
from local.stack.folder_kind import FolderKind, claim, kind_of
from local.stack.layout import StackLayout
from local.stack.state_file import StackState, save_stack_state
from moderation.errors import ConfigurationError


@pytest.fixture
def layout(tmp_path: Path) -> StackLayout:
    return StackLayout(tmp_path / "data")


@pytest.fixture
def older(layout: StackLayout) -> StackLayout:
    """A folder of `moderation up` as earlier versions left it."""
    layout.make_folders()
    save_stack_state(layout.state_file, StackState({"kafka": 9092}))
    (layout.kafka / "topic").write_text("records")
    return layout


@pytest.mark.parametrize("kind", [FolderKind.DEMO, FolderKind.CHAOS, FolderKind.BENCH])
def test_folder_of_another_stack_is_refused_and_untouched(older: StackLayout, kind: FolderKind) -> None:
    for command in (claim, empty):
        with pytest.raises(ConfigurationError, match=r"contains the data of `moderation up`\. Name another"):
            command(older, kind)
    assert (older.kafka / "topic").read_text() == "records"


@pytest.mark.parametrize("kind", list(FolderKind))
def test_every_kind_refuses_the_folder_of_every_other(layout: StackLayout, kind: FolderKind) -> None:
    claim(layout, kind)
    for other in set(FolderKind) - {kind, FolderKind.STACK}:
        with pytest.raises(ConfigurationError, match="contains the data of"):
            claim(layout, other)
    claim(layout, FolderKind.STACK)
    assert kind_of(layout) is kind


@pytest.mark.parametrize("kind", [FolderKind.DEMO, FolderKind.CHAOS, FolderKind.BENCH])
def test_folder_with_files_of_the_user_is_refused(layout: StackLayout, kind: FolderKind) -> None:
    (layout.root / "log").mkdir(parents=True)
    (layout.root / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"contains log, notes\.txt, which no stack created"):
        empty(layout, kind)
    assert (layout.root / "log").is_dir()


def test_stack_does_not_start_in_a_folder_whose_names_it_would_take(layout: StackLayout) -> None:
    (layout.root / "log").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="contains log, which no stack created"):
        claim(layout, FolderKind.STACK)
    (layout.root / "log").rmdir()
    (layout.root / "bench").mkdir()
    claim(layout, FolderKind.STACK)


def test_purge_of_a_folder_that_no_stack_created_deletes_nothing(layout: StackLayout) -> None:
    (layout.root / "log").mkdir(parents=True)
    (layout.root / "run").mkdir()
    with pytest.raises(ConfigurationError, match=r"is not the data folder of a stack, but contains log, run\."):
        down(layout, purge=True)
    assert (layout.root / "log").is_dir()


def test_purge_keeps_what_else_the_folder_contains(older: StackLayout) -> None:
    (older.root / "notes.txt").write_text("mine")
    down(older, purge=True)
    assert [entry.name for entry in older.root.iterdir()] == ["notes.txt"]


def test_emptied_folder_keeps_its_kind(layout: StackLayout) -> None:
    claim(layout, FolderKind.BENCH)
    layout.make_folders()
    (layout.log / "worker.log").write_text("an earlier run")
    empty(layout, FolderKind.BENCH)
    assert [entry.name for entry in layout.root.iterdir()] == ["kind.json"]
    assert kind_of(layout) is FolderKind.BENCH


def test_folder_whose_stack_is_up_is_not_emptied(layout: StackLayout) -> None:
    claim(layout, FolderKind.CHAOS)
    layout.make_folders()
    save_stack_state(layout.state_file, StackState({"kafka": 9092}, {"kafka": "127.0.0.1:9092"}, {"kafka": 0}))
    with pytest.raises(ConfigurationError, match=r"its stack is up\. Stop it first: moderation down --data-folder"):
        empty(layout, FolderKind.CHAOS)
    assert layout.state_file.exists()


def test_damaged_kind_is_named(layout: StackLayout) -> None:
    layout.root.mkdir()
    layout.kind_file.write_text("{}")
    with pytest.raises(ConfigurationError, match=r"kind\.json: the file is damaged"):
        kind_of(layout)
