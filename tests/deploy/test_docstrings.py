"""Docstrings name parameters, fields, errors and functions that exist.

Ruff's D417 finds parameters that a docstring leaves out.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from moderation import errors
from tests.conftest import ROOT

FOLDERS = ("batch", "cli", "dags", "grafana", "local", "moderation", "stream")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
_EACH = pytest.mark.parametrize("folder", FOLDERS)


def entries(docstring: str, section: str) -> list[str]:
    """Return the names that a section of a docstring lists; ``a, b: text`` lists two."""
    _, _, text = f"\n{docstring}\n".partition(f"\n{section}:\n")
    lines = re.match(r"(?:(?:    .*)?\n)*", text)
    names = re.findall(r"^    (\S[^:\n]*):(?: |$)", lines[0] if lines else "", re.MULTILINE)
    return [each.strip().lstrip("*") for name in names for each in name.split(",")]


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {each.arg for each in every if each is not None}


def fields(class_: ast.ClassDef) -> set[str]:
    """Names that the body of a class declares, without methods."""
    return {
        each.target.id for each in class_.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }


def attributes(class_: ast.ClassDef) -> set[str]:
    """Every attribute of a class: fields, methods, and what methods assign to ``self``."""
    assigned = {
        each.attr for each in ast.walk(class_) if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store)
    }
    methods = {each.name for each in class_.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    constants = {each.id for each in ast.walk(class_) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    return fields(class_) | assigned | methods | constants


def names_of(module: ast.Module) -> set[str]:
    """Names that a module imports (of ``a.b`` also ``a``) and classes that it defines."""
    names = set()
    for each in ast.walk(module):
        if isinstance(each, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in each.names}
            names |= {each.module.split(".")[0]} if isinstance(each, ast.ImportFrom) and each.module else set()
        elif isinstance(each, ast.ClassDef):
            names.add(each.name)
    return names


def faults_of_class(class_: ast.ClassDef, docstring: str) -> Iterator[str]:
    constructor = [each for each in class_.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
    accepted = parameters(constructor[0]) - {"self"} if constructor else fields(class_)
    if listed := entries(docstring, "Args"):
        yield from (f"no parameter {name}" for name in sorted(set(listed) - accepted))
        yield from (f"parameter {name} is missing" for name in sorted(accepted - set(listed)))
    if listed := entries(docstring, "Attributes"):
        yield from (f"no attribute {name}" for name in sorted(set(listed) - attributes(class_)))
        public = {name for name in fields(class_) if not name.startswith("_")}
        yield from (f"attribute {name} is missing" for name in sorted(public - set(listed)))


@cache
def known_errors() -> set[str]:
    """Names that may stand in a section Raises: a function may raise what only the functions that it calls import."""
    return {*vars(builtins), *vars(errors)}.union(*(names_of(ast.parse(path.read_text())) for path in FILES))


def faults(source: str) -> list[str]:
    """Return what docstrings of a module name wrongly or leave out, by line."""
    module = ast.parse(source)
    known = known_errors()
    found = []
    for node in ast.walk(module):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        docstring = ast.get_docstring(node) or ""
        wrong = [f"no error {name}" for name in entries(docstring, "Raises") if name.split(".")[0] not in known]
        if isinstance(node, ast.ClassDef):
            wrong += faults_of_class(node, docstring)
        else:
            accepted = parameters(node)
            wrong += [f"no parameter {name}" for name in entries(docstring, "Args") if name not in accepted]
        found += [f"{node.lineno}: {node.name}: {each}" for each in wrong]
    return found


@cache
def defined(source: str) -> set[str]:
    """Names that a module defines or imports, with the names inside of its classes."""
    module = ast.parse(source)
    nodes = list(ast.walk(module))
    names = {each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    names |= {each.name for each in nodes if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return names | names_of(module)


def module_of(target: str) -> Path | None:
    """Return the file of the longest beginning of a dotted name that is a module; None if none is."""
    parts = target.split(".")
    for count in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:count])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


def unresolved(source: str) -> list[str]:
    """Return references (``:func:`name```) of a module to names that neither it nor the referenced module has."""
    own = defined(source)
    found = []
    for target in re.findall(r":(?:attr|class|data|func|meth|mod):`([^`]+)`", source):
        file = module_of(target)
        if file is None:
            is_known = target.split(".")[0] in own
        else:
            name = target.split(".")[-1]
            is_known = name in (file.stem, file.parent.name) or name in defined(file.read_text())
        found += [] if is_known else [target]
    return found


@_EACH
def test_docstrings_name_parameters_fields_and_errors_that_exist(folder: str) -> None:
    paths = [path for path in FILES if path.relative_to(ROOT).parts[0] == folder]
    assert paths
    assert [f"{path.relative_to(ROOT)}:{each}" for path in paths for each in faults(path.read_text())] == []


@_EACH
def test_docstrings_refer_to_names_that_exist(folder: str) -> None:
    paths = [path for path in FILES if path.relative_to(ROOT).parts[0] == folder]
    assert [f"{path.relative_to(ROOT)}: {each}" for path in paths for each in unresolved(path.read_text())] == []


@pytest.mark.parametrize("target", ["find_topic_changes", "moderation.offsets.no_such", "moderation.no_such"])
def test_a_reference_to_nothing_is_found(target: str) -> None:
    assert unresolved(f'"""See :func:`{target}` and :func:`moderation.offsets.uncovered`."""') == [target]


FUNCTION = '''
def read(interval: int) -> None:
    """Read.

    Args:
        window: of event time.

    Raises:
        NoSuchError: never.
        LakeDamaged: a file is missing.
    """
'''
CLASS = '''
class Report:
    """A report.

    Attributes:
        answers, rows: the results.
    """

    rows: int
    results: int
'''


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (FUNCTION, ["2: read: no error NoSuchError", "2: read: no parameter window"]),
        (CLASS, ["2: Report: no attribute answers", "2: Report: attribute results is missing"]),
    ],
)
def test_a_wrong_entry_is_found(source: str, expected: list[str]) -> None:
    assert faults(source) == expected


def test_the_files_are_found() -> None:
    assert Path(ROOT / "moderation" / "panes.py") in FILES
