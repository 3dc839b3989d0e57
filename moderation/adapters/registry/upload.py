"""Upload a model folder to MLflow: create a run, a logged model and a registered version."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moderation.adapters.code_version import code_version, git_commit
from moderation.adapters.model_folder.folder import OpenModel
from moderation.adapters.registry.certificate import PREFIX, ModelFacts
from moderation.adapters.registry.client import Connection
from moderation.adapters.registry.description import DESCRIPTION
from moderation.adapters.registry.download import FILES, FOLDER
from moderation.adapters.registry.served_code import code_digest, requirements, served_code
from moderation.adapters.served_model import BODY, LOADER_MODULE
from moderation.training.seen_texts import FILE as SEEN_TEXTS

if TYPE_CHECKING:
    from mlflow.entities import Dataset, LoggedModel
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

PLOTS = "plots"
EXAMPLES = ("Nice study, thanks.", "you are an IDIOT!!! go away", "")
"""Bodies of the input example."""
CODE_VERSION_TAG, CODE_DIGEST_TAG = PREFIX + "code_version", PREFIX + "code_digest"
DATASET_DIGEST_CHARACTERS = 36  # length of MLflow's column
_ALREADY = {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}


def upload(
    connection: Connection,
    folder: Path,
    opened: OpenModel,
    facts: ModelFacts,
    metrics: Mapping[str, Any],
    *,
    run_name: str,
    reason: str,
    params: Mapping[str, str],
    lake_url: str = "",
) -> MlflowVersion:
    """Log a run with parameters, measurements, data and plots; log the model; register it as a version.

    Args:
        connection: to the registry.
        folder: the model folder.
        opened: the same model, verified.
        facts: digests and the name of the registered model; the version number is not known yet.
        metrics: fields of ``metrics.json``.
        run_name: name of the run.
        reason: why the model was trained; the description of the version.
        params: parameters of the run, besides those of the training.
        lake_url: address of the lake, if the model was trained on it.

    Returns:
        The version as MLflow returns it.

    Raises:
        RegistryUnavailable: the registry does not answer. The run is marked failed if possible.
        ConfigurationError: MLflow does not accept a name.
    """
    from mlflow.entities import DatasetInput, InputTag, LoggedModelOutput, Param
    from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_MODEL_VERSIONS, MLFLOW_SOURCE_NAME

    client, name = connection.client, facts.model_name
    code = served_code()
    tags = {**facts.readable_tags(), PREFIX + "reason": reason, CODE_VERSION_TAG: code_version()}
    tags[CODE_DIGEST_TAG] = code_digest(code)
    source_tags = {MLFLOW_SOURCE_NAME: "comment-moderation"}
    if (commit := git_commit()) is not None:
        source_tags[MLFLOW_GIT_COMMIT] = commit
    logged_params = {**_params(opened), **params}
    with connection.asking(f"registering {name}"):
        experiment = experiment_of(connection, name)
        run = client.create_run(experiment, run_name=run_name, tags={**tags, **source_tags}).info.run_id
        with ending_run(connection, run):
            logged = client.create_logged_model(experiment, name, run, tags, logged_params)
            dataset = _dataset(opened, facts, lake_url)
            client.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
            client.log_batch(
                run,
                metrics=_metrics(metrics, opened, logged.model_id, run, dataset),
                params=[Param(key, value) for key, value in logged_params.items()],
            )
            if (folder / PLOTS).is_dir():
                client.log_artifacts(run, str(folder / PLOTS), PLOTS)
            if (folder / SEEN_TEXTS).is_file():
                client.log_artifact(run, str(folder / SEEN_TEXTS))
            _upload_model(connection, folder, opened, logged, run, code)
            client.log_outputs(run, [LoggedModelOutput(logged.model_id, step=0)])
            _ensure_registered_model(connection, name)
            _ensure_description(connection, name)
            version = client.create_model_version(
                name, logged.artifact_location, run, tags, description=reason, model_id=logged.model_id
            )
            linked = [{"name": name, "version": version.version}]
            client.set_logged_model_tags(logged.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps(linked)})
            return version


@contextlib.contextmanager
def ending_run(connection: Connection, run: str) -> Iterator[None]:
    """End a run with the block: finished, or failed if the block raises."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except BaseException:
        with contextlib.suppress(MlflowException):
            connection.client.set_terminated(run, "FAILED")
        raise
    connection.client.set_terminated(run, "FINISHED")


def _upload_model(
    connection: Connection,
    folder: Path,
    opened: OpenModel,
    logged: LoggedModel,
    run: str,
    code: Mapping[str, bytes],
) -> None:
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from pandas import DataFrame

    with warnings.catch_warnings():  # MLflow warns about its own type hints on import
        warnings.filterwarnings("ignore", r".*Any type hint is inferred", UserWarning)
        from mlflow.pyfunc import save_model

    outputs = {"score_ppm": DataType.long, "verdict": DataType.string, "policy_version": DataType.string}
    with tempfile.TemporaryDirectory(prefix="moderation-upload-") as scratch:
        # MLflow stores the name of the folder in the artifact, so use a fixed name, and copy the known files only.
        staged = Path(scratch, Path(FOLDER).name)
        staged.mkdir()
        for name in FILES:
            shutil.copyfile(folder / name, staged / name)
        if (folder / PLOTS).is_dir():
            shutil.copytree(folder / PLOTS, staged / PLOTS)
        for path, content in code.items():
            target = Path(scratch, "code", path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        artifact = Path(scratch, "artifact")
        save_model(
            artifact,
            loader_module=LOADER_MODULE,
            data_path=str(staged),
            code_paths=[str(each) for each in Path(scratch, "code").iterdir()],
            mlflow_model=Model(logged.artifact_location, run, model_uuid=logged.model_id, model_id=logged.model_id),
            signature=ModelSignature(
                Schema([ColSpec(DataType.string, BODY)]),
                Schema([ColSpec(kind, name) for name, kind in outputs.items()]),
            ),
            input_example=DataFrame({BODY: EXAMPLES}),
            pip_requirements=requirements(
                {name: number for name, number in opened.card["versions"].items() if name != "python"}
            ),
        )
        connection.client.log_model_artifacts(logged.model_id, str(artifact))
        connection.client.finalize_logged_model(logged.model_id, "READY")


def _dataset(opened: OpenModel, facts: ModelFacts, lake_url: str) -> Dataset:
    """Describe the training comments: where they are, their columns, and what was read of them.

    Comments that are not from the lake have only their digest; MLflow's source type is then ``digest``.
    """
    from mlflow.entities import Dataset
    from mlflow.types import ColSpec, DataType, Schema

    digest = facts.data_digest[:DATASET_DIGEST_CHARACTERS]
    if not lake_url:
        return Dataset("examples", digest, "digest", facts.data_digest)
    scheme, found, _ = lake_url.partition("://")
    columns = {"comment_id": DataType.string, BODY: DataType.string, "removed": DataType.boolean}
    schema = Schema([ColSpec(kind, name) for name, kind in columns.items()])
    training = opened.card["training"]
    names = ("start_us", "end_us", "split_us", "maturity_us", "no_action", "manifest_digest")
    return Dataset(
        "lake",
        digest,
        scheme if found else "local",
        json.dumps({"uri": lake_url}),
        schema=json.dumps({"mlflow_colspec": schema.to_dict()}),
        profile=json.dumps({"data_digest": facts.data_digest, **{n: training[n] for n in names if n in training}}),
    )


def _params(opened: OpenModel) -> dict[str, str]:
    policy = opened.policy
    return {
        **{name: str(value) for name, value in opened.card["training"].items()},
        "goals": "; ".join(policy.goals),
        "review_ppm": str(policy.review_ppm),
        "remove_ppm": str(policy.remove_ppm),
        "kernel_version": str(opened.card["kernel_version"]),
    }


def _metrics(metrics: Mapping[str, Any], opened: OpenModel, model_id: str, run: str, dataset: Any) -> list[Any]:
    """Metrics of ``metrics.json`` and the expected operating point; list elements are steps of one metric."""
    from mlflow.entities import Metric

    # A model that was trained on no comment has no measurements, only values that no comparison should use.
    values = dict(metrics) if metrics["comments"] else {"comments": 0, "removed": 0}
    if (expected := opened.policy.expected) is not None:
        estimates = {name: value for name, value in asdict(expected).items() if isinstance(value, dict)}
        values |= {f"expected_{name}": estimate["value"] for name, estimate in estimates.items()}
    now_ms = time.time_ns() // 1_000_000
    return [
        Metric(name, float(step_value), now_ms, step, model_id, dataset.name, dataset.digest, run)
        for name, value in values.items()
        for step, step_value in enumerate(value if isinstance(value, list | tuple) else [value])
    ]


def experiment_of(connection: Connection, name: str) -> str:
    """Return the id of the experiment, created if absent; safe for concurrent callers."""
    client = connection.client
    with _already_there():
        if (experiment := client.get_experiment_by_name(name)) is None:
            return str(client.create_experiment(name))
        return str(experiment.experiment_id)
    return experiment_of(connection, name)


def newest_run_us(connection: Connection, name: str, run_name: str) -> int | None:
    """Start time of the last finished run of this name by :func:`upload`, in microseconds; None without one.

    Args:
        connection: to the registry.
        name: registered model.
        run_name: as given to :func:`upload`.
    """
    client = connection.client
    with connection.asking(f"runs {run_name} of {name}"):
        if (experiment := client.get_experiment_by_name(name)) is None:
            return None
        runs = client.search_runs(
            [experiment.experiment_id],
            f"attributes.run_name = '{run_name}' and attributes.status = 'FINISHED'",
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
    return int(runs[0].info.start_time) * 1_000 if runs else None


def _ensure_registered_model(connection: Connection, name: str) -> None:
    with _already_there():
        connection.client.create_registered_model(name)


def _ensure_description(connection: Connection, name: str) -> None:
    """Describe the registered model, unless it has a description."""
    if not connection.client.get_registered_model(name).description:
        connection.client.update_registered_model(name, DESCRIPTION)


@contextlib.contextmanager
def _already_there() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code not in _ALREADY:
            raise
