"""No code of this project opens a format that can run code, and no artifact of a model has one."""

from __future__ import annotations

import ast
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from moderation.policy import Policy
from moderation.scoring import ModerationPipeline
from tests.conftest import ROOT
from tests.support.model_folders import make_folder

FOLDERS = ("moderation", "stream", "batch", "dags", "grafana", "local", "cli", "docker")
MODULES = frozenset({"cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "pickle", "shelve", "torch"})
"""Modules that open such files and that nothing of this project needs."""
CALLS = frozenset({"full_load", "read_pickle", "to_pickle", "unsafe_load", "unsafe_load_all"})
SUSPECT = re.compile(
    "|".join((*MODULES, "pickle", "unsafe_load", "full_load", "yaml.load", "trusted", "serialization_format"))
)
"""Words without which code opens no such file: most files need not be parsed."""
TRUSTS_TYPES = "moderation/adapters/model_folder/skops_archive.py"
"""It tells skops which types to trust, after it compared all of them with a fixed list."""


def is_fixed_list(value: ast.expr) -> bool:
    """Whether an expression is a list of names in the code, and not what a file says about itself."""
    return isinstance(value, ast.List) and all(isinstance(each, ast.Constant) for each in value.elts)


def complaints(source: str, path: str) -> Iterator[str]:
    """Yield each line of Python code that opens a format which can run code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            names = []
        yield from (f"{path}: imports {name}" for name in names if name.partition(".")[0] in MODULES)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        where = f"{path}:{node.lineno}: {called}"
        if called.rpartition(".")[2] in CALLS:
            yield where
        if called == "yaml.load" and "Safe" not in ast.unparse(node):
            yield where
        if called in ("__import__", "importlib.import_module") and any(name in ast.unparse(node) for name in MODULES):
            yield where
        allowed = keywords.get("allow_pickle")
        if allowed is not None and ast.unparse(allowed) != "False":
            yield f"{where} with allow_pickle"
        if "trusted" in keywords and path != TRUSTS_TYPES and not is_fixed_list(keywords["trusted"]):
            yield f"{where} trusts types that are not a fixed list"
        if ast.unparse(keywords.get("serialization_format", ast.Constant("skops"))) != "'skops'":
            yield f"{where} with another format than skops"


def test_no_code_opens_a_format_that_can_run_code() -> None:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 300
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in files}
    suspect = {path: source for path, source in sources.items() if SUSPECT.search(source)}
    assert TRUSTS_TYPES in suspect
    assert [each for path, source in suspect.items() for each in complaints(source, path)] == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch.serialization",
        "import cloudpickle as harmless",
        "importlib.import_module('dill')",
        "numpy.load(path, allow_pickle=True)",
        "numpy.load(path, allow_pickle=flag)",
        "pandas.read_pickle(path)",
        "frame.to_pickle(path)",
        "yaml.load(text)",
        "yaml.unsafe_load(text)",
        "skops.io.load(path, trusted=True)",
        "skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))",
        "mlflow.sklearn.log_model(model, serialization_format='cloudpickle')",
    ],
)
def test_each_way_to_open_one_is_detected(source: str) -> None:
    assert SUSPECT.search(source)
    assert list(complaints(source, "x.py")) != []


def is_pickle(content: bytes) -> bool:
    """Whether the content begins as a pickle of any protocol does, and can be read as one to its end."""
    try:
        operations = list(pickletools.genops(content))
    except Exception:
        return content[:1] == b"\x80"
    return bool(operations)


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file, and of every member of every archive."""
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        name = str(path.relative_to(folder))
        yield name, path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield from ((f"{name}!{member}", archive.read(member)) for member in archive.namelist())


def test_no_artifact_of_a_model_is_a_pickle(pipeline: ModerationPipeline, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", pipeline, Policy(400_000, 900_000, ()))
    found = dict(contents(folder))
    assert "model.skops" in found
    assert any(name.startswith("model.skops!") for name in found)
    assert [name for name, content in found.items() if is_pickle(content)] == []
    assert [name for name in found if Path(name).suffix in (".pkl", ".pickle", ".joblib", ".pt")] == []


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_recognised(protocol: int) -> None:
    assert is_pickle(pickle.dumps({"model": [1.5]}, protocol))
