"""A comparison in a real MLflow: its runs, and that an absent server stops it before the long work."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from typer.testing import CliRunner

from cli.main import app
from local.stack.commands import StackInfo
from local.stack.ports import HOST, any_free_port
from moderation.adapters.registry import Registry
from moderation.adapters.registry.keys import encode
from moderation.errors import NotInRegistry, RegistryUnavailable, TrainingError
from moderation.text import Lexicon
from tests.support.model_folders import KEYS, MAX_BYTES

Corpus = tuple[list[str], list[int]]


@pytest.fixture
def export(small_corpus: Corpus, tmp_path: Path) -> Path:
    path = tmp_path / "export.csv"
    rows = [f'"{n}","{n}","{text}","{label}"' for n, (text, label) in enumerate(zip(*small_corpus, strict=True))]
    path.write_text("\n".join(['"","X","BODY","REMOVED"', *rows]) + "\n", encoding="iso-8859-1")
    return path


@pytest.fixture
def model_name(stack: StackInfo, monkeypatch: pytest.MonkeyPatch) -> str:
    """Unique model name; commands use the MLflow of the stack because of the environment."""
    name = f"moderation-{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("MODERATION_MODEL_NAME", name)
    monkeypatch.setenv("MODERATION_MLFLOW_URL", stack.mlflow_url)
    # Named so that the command asks the environment and no local stack; a comparison reads no database.
    monkeypatch.setenv("MODERATION_DATABASE_URL", stack.database_url("batch"))
    return name


def number(run: Run, name: str) -> float:
    return float(run.data.metrics[name])


@pytest.mark.budget(30)
def test_a_comparison_is_a_run_with_a_nested_run_per_model(
    stack: StackInfo, export: Path, model_name: str, tmp_path: Path
) -> None:
    arguments = ["compare", "--csv", str(export), "--folds", "2", "--log", "--json"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    fields = json.loads(result.stdout)
    client = MlflowClient(stack.mlflow_url, stack.mlflow_url)
    experiment = client.get_experiment_by_name(f"{model_name} comparison")
    assert experiment is not None
    assert client.get_experiment_by_name(model_name) is None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    upper = runs.pop("model comparison")
    assert fields["logged"].endswith(f"/experiments/{experiment.experiment_id}/runs/{upper.info.run_id}")
    assert {run.info.status for run in (upper, *runs.values())} == {"FINISHED"}
    assert runs.keys() == {model["title"] for model in fields["models"]}
    for model in fields["models"]:
        run = runs[model["title"]]
        assert run.data.tags["mlflow.parentRunId"] == upper.info.run_id
        assert run.data.tags["moderation.finding"] == model["finding"]
        assert number(run, "auc_mean") == pytest.approx(model["auc_mean"])
        folds = client.get_metric_history(run.info.run_id, "auc_folds")
        assert [metric.value for metric in folds] == pytest.approx(model["auc_folds"])
        assert run.data.params["recipe"] == model["recipe"]
        assert run.inputs is not None
        assert [data.dataset.source for data in run.inputs.dataset_inputs] == [fields["data_digest"]]
        difference = model["auc_difference"]
        assert ("auc_difference" in run.data.metrics) == (difference is not None)
        if difference is not None:
            assert number(run, "auc_difference_low") == pytest.approx(difference["low"])
    kept = {entry.path for entry in client.list_artifacts(upper.info.run_id)}
    assert kept == {"comparison.csv", "comparison.json", "comparison.png"}
    stored = Path(client.download_artifacts(upper.info.run_id, "comparison.json", str(tmp_path)))
    assert json.loads(stored.read_text())["models"] == fields["models"]
    note = upper.data.tags["mlflow.note.content"]
    for model in fields["models"]:
        assert f"| {model['title']} | {model['auc_mean']:.4f} |" in note
    assert upper.data.params["seed"] == "0"


@pytest.mark.budget(30)
def test_a_registered_version_is_compared_on_comments_that_it_has_not_seen(
    stack: StackInfo, export: Path, model_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODERATION_SIGNING_KEY", encode(b"k" * 32))
    monkeypatch.setenv("MODERATION_STATE_FOLDER", str(tmp_path / "state"))
    part = tmp_path / "part.csv"
    part.write_text("".join(export.read_text().splitlines(keepends=True)[:81]))
    train = ["train", str(part), "--out", str(tmp_path / "model"), "--folds", "2", "--goal", "review_share<=0.5"]
    assert CliRunner().invoke(app, train, catch_exceptions=False).exit_code == 0
    models = Registry(stack.mlflow_url, model_name, KEYS)
    version = models.register(tmp_path / "model", Lexicon(), MAX_BYTES, run_name="a run", reason="because")
    client = MlflowClient(stack.mlflow_url, stack.mlflow_url)
    client.set_registered_model_alias(model_name, "candidate", version.version)
    choice = ["--no-usual", "--with", f"models:/{model_name}@candidate", "--folds", "2", "--log", "--json"]
    result = CliRunner().invoke(app, ["compare", str(export), *choice], catch_exceptions=False)
    fields = json.loads(result.stdout)
    compared = {model["name"]: model for model in fields["models"]}
    assert compared.keys() == {"pipeline", f"{model_name} version 1"}
    mine = compared[f"{model_name} version 1"]
    assert (mine["comments"], mine["fit_seconds"]) == (240, None)
    assert mine["auc_mean"] > 0.5
    assert fields["logged"] is not None
    with pytest.raises(TrainingError, match="it was trained on 80 of these 80 comments"):
        CliRunner().invoke(app, ["compare", str(part), "--no-usual", "--with", "1"], catch_exceptions=False)
    arguments = ["compare", str(part), "--with", f"models:/{model_name}@other"]
    with pytest.raises(NotInRegistry, match="has no alias other"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_an_absent_server_stops_the_command_before_long_work(
    model_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://{HOST}:{any_free_port()}"
    monkeypatch.setenv("MODERATION_MLFLOW_URL", url)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    arguments = ["compare", "--csv", str(tmp_path / "nowhere.csv"), "--log"]
    with pytest.raises(RegistryUnavailable, match=url):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
