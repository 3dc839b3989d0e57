"""The code that travels with a model is complete, small, and never loaded by workers."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from moderation.adapters.registry.download import FILES, FOLDER
from moderation.adapters.registry.served_code import code_digest, requirements, served_code

ROOT = Path(__file__).parents[5]
LIBRARIES = dict.fromkeys(("numpy", "scikit-learn", "scipy", "skops", "spacy", "spacy-lookups-data"), "1")
IMPORTS_ALL = """
import sys
sys.path.insert(0, sys.argv[1])
import moderation.adapters.served_model
print(*sorted({m.__file__ for n, m in sys.modules.items() if n.partition(".")[0] == "moderation"}), sep="\\n")
"""


@pytest.mark.slow
def test_model_class_is_imported_from_the_code_alone(tmp_path: Path) -> None:
    for path, content in served_code().items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    command = [sys.executable, "-P", "-c", IMPORTS_ALL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-1_000:]
    assert {str(Path(file).relative_to(tmp_path)) for file in done.stdout.split()} == served_code().keys()


def test_every_import_of_the_code_is_a_requirement_that_the_lock_has() -> None:
    imported = set()
    for path, content in served_code().items():
        for node in ast.walk(ast.parse(content, path)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    third_party = imported - sys.stdlib_module_names - {"moderation", "__future__"}
    named = {re.split("==", each)[0] for each in requirements(LIBRARIES)}
    providers = packages_distributions()
    assert third_party
    assert {name for name in third_party if not named & {*providers[name]}} == set()
    lock = (ROOT / "requirements.lock").read_text()
    assert [each for each in requirements({}) if f"\n{each} " not in lock] == []


def test_requirements_name_no_package_that_is_on_no_index() -> None:
    assert not any(each.startswith("comment-moderation") for each in requirements(LIBRARIES))


def test_digest_covers_contents_and_paths() -> None:
    digests = [code_digest(files) for files in ({"a": b"1"}, {"a": b"2"}, {"b": b"1"}, {"a": b"1", "b": b""})]
    assert len({*digests}) == 4
    assert code_digest({"b": b"2", "a": b"1"}) == code_digest({"a": b"1", "b": b"2"})


def test_workers_request_no_code_of_a_model() -> None:
    assert FOLDER == "data/model"
    assert not [name for name in FILES if name.endswith(".py") or "/" in name]
