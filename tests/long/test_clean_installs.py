"""Installing into an empty environment, as a user of the core does: plain pip, no lock, no extra but plots."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.proof


def test_the_core_alone_installs_with_plain_pip_and_scores(
    tmp_path: Path, small_corpus: tuple[list[str], list[int]]
) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"{ROOT}[plots]"], check=True)
    installed = json.loads(
        subprocess.run([python, "-m", "pip", "list", "--format", "json"], check=True, capture_output=True).stdout
    )
    names = {package["name"].lower() for package in installed}
    assert "comment-moderation" in names
    assert not names & {"apache-airflow", "faust-streaming", "mlflow", "sqlalchemy", "pyspark", "pandas", "duckdb"}

    export = tmp_path / "export.csv"
    rows = [f'"{n}","{n}","{text}","{label}"' for n, (text, label) in enumerate(zip(*small_corpus, strict=True))]
    export.write_text("\n".join(['"","X","BODY","REMOVED"', *rows]) + "\n", encoding="iso-8859-1")
    moderation = tmp_path / "venv" / "bin" / "moderation"
    model = tmp_path / "model"
    subprocess.run([moderation, "train", "--csv", export, "--out", model], cwd=tmp_path, check=True)
    fields = {"schema_version": 1, "comment_id": "c", "community": "x", "body": "you idiot!!!"}
    line = json.dumps({**fields, "event_time_us": 1_700_000_000_000_000}).encode()
    scored = subprocess.run(
        [moderation, "score", "--model", model], cwd=tmp_path, input=line, capture_output=True, check=True
    )
    assert json.loads(scored.stdout)["score_ppm"] > 500_000
