"""``compare --with``: model folders and estimators of the user; registered versions are in the integration tests."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.compared_models import names_version
from cli.main import app
from moderation.errors import ConfigurationError, ModelRefused, TrainingError

Corpus = tuple[list[str], list[int]]
CODE = """
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

def counted():
    return make_pipeline(CountVectorizer(binary=True), LogisticRegression())
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


def write(path: Path, rows: list[tuple[str, int]]) -> Path:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "body", "created_utc", "removed"])
        table.writerows([f"c{n}", text, 1682935200 + n, label] for n, (text, label) in enumerate(rows))
    return path


@pytest.fixture(scope="module")
def exports(small_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A quarter of the corpus, and all of it."""
    folder = tmp_path_factory.mktemp("data")
    rows = list(zip(*small_corpus, strict=True))
    return write(folder / "quarter.csv", rows[:80]), write(folder / "all.csv", rows)


@pytest.mark.slow
@pytest.mark.budget(30)
def test_folders_and_own_estimators_are_compared_on_the_same_folds(
    exports: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quarter, everything = exports
    assert (
        run("train", quarter, "--out", tmp_path / "model", "--folds", "2", "--goal", "review_share<=0.5").exit_code == 0
    )
    (tmp_path / "mine_for_compare.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    chosen = ("--no-usual", "--with", "model", "--with", "mine_for_compare:counted", "--folds", "2")
    result = run("compare", everything, *chosen, "--out", "comparison", "--json")
    models = {model["name"]: model for model in json.loads(result.stdout)["models"]}
    assert models.keys() == {"pipeline", "model folder model", "mine_for_compare:counted"}
    folder = models["model folder model"]
    assert (folder["comments"], folder["fit_seconds"]) == (240, None)
    assert folder["recipe"].startswith("fitted before on 80 texts, model digest ")
    own = models["mine_for_compare:counted"]
    assert own["comments"] == models["pipeline"]["comments"] == 320
    assert "CountVectorizer(binary=True)" in own["recipe"]
    assert own["auc_mean"] > 0.9
    assert own["auc_difference"] is not None
    with (tmp_path / "comparison" / "comparison.csv").open(newline="") as file:
        table = {row["name"]: row for row in csv.DictReader(file)}
    assert table["model folder model"]["comments"] == "240"
    shown = run("compare", everything, *chosen).stdout
    assert "240" in shown
    with pytest.raises(TrainingError, match="it was trained on 80 of these 80 comments"):
        run("compare", quarter, "--no-usual", "--with", "model", "--folds", "2")
    (tmp_path / "model" / "training_texts.bin").unlink()
    result = run("compare", everything, "--no-usual", "--with", "model", "--folds", "2")
    assert "warning: model folder model: its training texts are unknown" in result.stderr
    with pytest.raises(ConfigurationError, match="also an input"):
        run("compare", everything, "--with", "model", "--out", "model", "--no-usual")


def test_wrong_names_are_reported_before_the_comments_are_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="neither a version, nor a folder, nor MODULE:CALLABLE"):
        run("compare", "no-such-file.csv", "--with", "nothing")
    with pytest.raises(ConfigurationError, match="no_such_module:x"):
        run("compare", "no-such-file.csv", "--with", "no_such_module:x")
    with pytest.raises(ModelRefused, match=r"model\.json"):
        run("compare", "no-such-file.csv", "--with", tmp_path)
    assert run("compare", "no-such-file.csv", "--no-usual").exit_code == 2


def test_versions_are_numbers_and_addresses_of_mlflow() -> None:
    assert [names_version(each) for each in ("3", "models:/m/3", "models:/m@production", "models:/m@old-one")] == [
        True
    ] * 4
    assert [names_version(each) for each in ("m:n", "models:/m", "models/3", "v3", "models:/m/x")] == [False] * 5
