"""Log a comparison of models in MLflow: a parent run, and a nested run for each model.

The runs are in a separate experiment, because they register no model.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moderation.adapters.registry.client import Connection
from moderation.adapters.registry.upload import DATASET_DIGEST_CHARACTERS, ending_run, experiment_of
from moderation.training.benchmark.comparison import ComparedModel, ModelComparison

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric, Param

_NAME = "model comparison"


class ComparisonLog:
    """Log comparisons. Creating it contacts the server, so an unreachable server is reported first.

    Args:
        tracking_uri: the MLflow server.
        model_name: registered model, which names the experiment.

    Raises:
        ConfigurationError: the address is malformed, or MLflow is not installed.
        RegistryUnavailable: the server does not answer.
    """

    def __init__(self, tracking_uri: str, model_name: str) -> None:
        self._connection = Connection(tracking_uri)
        self.experiment = f"{model_name} comparison"
        with self._connection.asking(f"experiment {self.experiment}"):
            self._experiment_id = experiment_of(self._connection, self.experiment)

    def keep(self, comparison: ModelComparison, files: Sequence[Path]) -> str:
        """Log a comparison.

        Args:
            comparison: the comparison.
            files: artifacts of the parent run.

        Returns:
            The address of the parent run in the MLflow UI.

        Raises:
            RegistryUnavailable: the server does not answer. Started runs are marked failed if possible.
        """
        from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

        client = self._connection.client
        with self._connection.asking(f"logging a {_NAME}"):
            tags = {MLFLOW_RUN_NOTE: _note(comparison)}
            run = client.create_run(self._experiment_id, run_name=_NAME, tags=tags).info.run_id
            with ending_run(self._connection, run):
                client.log_inputs(run, [_dataset(comparison.data_digest)])
                client.log_batch(run, params=_shared_params(comparison))
                for path in files:
                    client.log_artifact(run, str(path))
                for model in comparison.models:
                    self._keep_model(comparison, model, run)
        return f"{self._connection.uri}/#/experiments/{self._experiment_id}/runs/{run}"

    def _keep_model(self, comparison: ModelComparison, model: ComparedModel, parent: str) -> None:
        from mlflow.entities import Param
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        client, spec = self._connection.client, model.spec
        tags = {MLFLOW_PARENT_RUN_ID: parent, "moderation.finding": model.finding}
        run = client.create_run(self._experiment_id, run_name=spec.title, tags=tags).info.run_id
        with ending_run(self._connection, run):
            client.log_inputs(run, [_dataset(comparison.data_digest)])
            params = [Param("model", spec.name), Param("recipe", spec.recipe), *_shared_params(comparison)]
            client.log_batch(run, metrics=_metrics(model), params=params)


def _dataset(data_digest: str) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    named = Dataset("examples", data_digest[:DATASET_DIGEST_CHARACTERS], "digest", data_digest)
    return DatasetInput(named, [InputTag("mlflow.data.context", "evaluation")])


def _shared_params(comparison: ModelComparison) -> list[Param]:
    from mlflow.entities import Param

    return [
        Param("data_digest", comparison.data_digest),
        Param("folds", str(comparison.folds)),
        Param("seed", str(comparison.seed)),
    ]


def _metrics(model: ComparedModel) -> list[Metric]:
    """Measurements and times; the AUC values of the folds are steps of one metric."""
    from mlflow.entities import Metric

    measured = model.metrics
    values = {
        "auc_mean": measured.auc_mean,
        "auc_pooled": measured.auc_pooled,
        "average_precision": measured.average_precision,
        "brier": measured.brier,
        "calibration_error": measured.calibration_error,
        "best_f1": measured.best_f1,
        "comments_per_s": model.comments_per_s,
    }
    if model.fit_seconds is not None:
        values["fit_seconds"] = model.fit_seconds
    if model.difference is not None:
        values |= {
            "auc_difference": model.difference.value,
            "auc_difference_low": model.difference.low,
            "auc_difference_high": model.difference.high,
        }
    now_ms = time.time_ns() // 1_000_000
    folds = [Metric("auc_folds", value, now_ms, step) for step, value in enumerate(measured.auc_folds)]
    return [*(Metric(name, value, now_ms, 0) for name, value in values.items()), *folds]


def _note(comparison: ModelComparison) -> str:
    """The comparison as Markdown, for the page of the run in the MLflow UI."""
    lines = [
        f"{len(comparison.removed):,} comments, {int(comparison.removed.sum()):,} removed; {comparison.folds} folds.",
        "",
        "| model | ROC AUC | average precision | Brier | best F1 | difference | finding |",
        "|---|---|---|---|---|---|---|",
    ]
    for model in comparison.models:
        shown, difference = model.metrics, model.difference
        interval = (
            "–" if difference is None else f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
        )
        lines.append(
            f"| {model.spec.title} | {shown.auc_mean:.4f} | {shown.average_precision:.4f} | {shown.brier:.4f} "
            f"| {shown.best_f1:.4f} | {interval} | {model.finding} |"
        )
    return "\n".join(lines)
