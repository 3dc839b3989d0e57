"""The code that travels with a model, so that ``mlflow models serve`` loads it where this project is not installed.

It is the part of the package ``moderation`` that the model class imports, as source files. Workers and the batch layer
never load code from a model: they download the files of :data:`moderation.adapters.registry.download.FILES` only.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import moderation
from moderation.adapters.served_model import LOADER_MODULE

_ROOT = Path(moderation.__file__).parent.parent
_PACKAGE = moderation.__name__
DISTRIBUTIONS = ("mlflow", "pandas", "orjson", "pydantic", "pydantic-settings", "threadpoolctl")
"""What the model class imports, besides the libraries that determine scores; the model card names those."""


def served_code() -> dict[str, bytes]:
    """Return the source files that the model class needs, by path, e.g. ``moderation/text/lexicon.py``; sorted."""
    wanted = [LOADER_MODULE]
    paths: dict[str, Path] = {}
    while wanted:
        module = wanted.pop()
        if module in paths or (path := _source(module)) is None:
            continue
        paths[module] = path
        wanted += [module.rpartition(".")[0], *_imports(module, path)]
    return {str(path.relative_to(_ROOT)): path.read_bytes() for path in sorted(paths.values())}


def code_digest(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256 over paths and digests of source files, hexadecimal; ``sha256sum`` prints the same lines."""
    lines = (f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def requirements(libraries: Mapping[str, str]) -> list[str]:
    """Return exact requirements of the model class; each is a distribution on PyPI.

    Args:
        libraries: versions of the libraries that determine scores, by distribution.
    """
    pinned = {name: version(name) for name in DISTRIBUTIONS} | dict(libraries)
    return [f"{name}=={number}" for name, number in pinned.items()]


def _source(module: str) -> Path | None:
    """Return the source file of a module of this package; None for any other name."""
    if module.partition(".")[0] != _PACKAGE:
        return None
    path = _ROOT.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def _imports(module: str, path: Path) -> Iterator[str]:
    """Yield the names that a module imports when it runs; a name may be that of a class or function."""
    for node in _running(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all below it, without blocks for type checkers."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"):
            yield from _running(child)
