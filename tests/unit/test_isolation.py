"""What every unit test is kept from, and where it belongs."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from pytest_socket import SocketBlockedError

from tests.conftest import ROOT

UNIT = ROOT / "tests" / "unit"
OF_TESTS = {UNIT / "support"}
"""Tests of the tests' own code."""


def test_a_unit_test_cannot_open_a_socket() -> None:
    # The refusal warns first, and warnings are errors here.
    with pytest.raises((SocketBlockedError, UserWarning), match="tried to use socket"):
        socket.create_connection(("127.0.0.1", 9))


@pytest.mark.parametrize("folder", sorted({path.parent for path in UNIT.rglob("test_*.py")} - {UNIT} - OF_TESTS))
def test_every_folder_of_unit_tests_mirrors_one_of_the_source(folder: Path) -> None:
    source = ROOT / folder.relative_to(UNIT)
    assert source.is_dir() or source.with_suffix(".py").is_file()


def test_property_tests_get_their_examples_from_the_profiles() -> None:
    """Else ``make test-long`` would run no more of them than ``make test``."""
    fixed = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if path != Path(__file__) and "max_examples" in path.read_text()
    ]
    assert fixed == []
