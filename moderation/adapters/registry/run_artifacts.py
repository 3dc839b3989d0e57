"""Store results about models (comparisons, drift checks, rescorings) as MLflow runs with artifacts."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from moderation.adapters.registry.certificate import PREFIX
from moderation.adapters.registry.client import Connection
from moderation.adapters.registry.upload import experiment_of
from moderation.errors import ModelRefused, NotInRegistry, RegistryRefused

Kind = Literal["comparison", "drift", "rescoring"]
KIND_TAG = PREFIX + "kind"
MAX_BYTES = 64 * 1024 * 1024
"""Largest artifact that is read: reports have at most a few megabytes."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run with stored results.

    Attributes:
        run_id: id of the MLflow run.
        began_us: start time, in microseconds.
        url: page of the run in the MLflow UI.
        tags: tags of this project.
    """

    run_id: str
    began_us: int
    url: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Logged:
    """Parameters and metrics of a run.

    Attributes:
        params: parameters.
        metrics: last value of each metric.
        url: page of the run in the MLflow UI.
    """

    params: Mapping[str, str]
    metrics: Mapping[str, float]
    url: str


class RunArtifacts:
    """Result runs in the experiment of a model. Raises the errors of ``Registry``.

    Args:
        connection: to the MLflow server.
        model_name: name of the experiment.
    """

    def __init__(self, connection: Connection, model_name: str) -> None:
        self._connection = connection
        self._model_name = model_name

    def keep(
        self,
        kind: Kind,
        name: str,
        files: Mapping[str, bytes],
        *,
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> StoredRun:
        """Store results as a finished run.

        Args:
            kind: kind of result, by which :meth:`newest` searches.
            name: name of the run.
            files: artifacts by path.
            tags: names without prefix; each becomes ``moderation.<name>``.
            params: parameters.
            metrics: values that are not finite are left out, because MLflow does not accept them.
        """
        from mlflow.entities import Metric, Param

        run_tags = {PREFIX + key: value for key, value in (tags or {}).items()} | {KIND_TAG: kind}
        now_ms = time.time_ns() // 1_000_000
        finite = {key: value for key, value in (metrics or {}).items() if abs(value) < float("inf")}
        with self._connection.asking(f"keeping {name}"):
            experiment = experiment_of(self._connection, self._model_name)
            run = self._connection.client.create_run(experiment, run_name=name, tags=run_tags).info.run_id
            self._connection.client.log_batch(
                run,
                metrics=[Metric(key, float(value), now_ms, 0) for key, value in finite.items()],
                params=[Param(key, value) for key, value in (params or {}).items()],
            )
        self.attach(run, files)
        with self._connection.asking(f"keeping {name}"):
            self._connection.client.set_terminated(run, "FINISHED")
        return StoredRun(run, now_ms * 1_000, self._url(experiment, run), run_tags)

    def attach(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Add artifacts to a run; an artifact with the same path is replaced."""
        with tempfile.TemporaryDirectory(prefix="moderation-evidence-") as scratch:
            for path, content in files.items():
                target = Path(scratch, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            with self._connection.asking(f"run {run_id}"):
                self._connection.client.log_artifacts(run_id, scratch)

    def newest(self, kind: Kind, tags: Mapping[str, str] | None = None) -> StoredRun | None:
        """Return the newest run of a kind; None without one.

        Args:
            kind: as given to :meth:`keep`.
            tags: required tags; names without prefix.
        """
        wanted = {PREFIX + key: value for key, value in (tags or {}).items()} | {KIND_TAG: kind}
        condition = " and ".join(f"tags.`{key}` = '{value}'" for key, value in wanted.items())
        with self._connection.asking(f"runs of kind {kind}"):
            experiment = self._connection.client.get_experiment_by_name(self._model_name)
            if experiment is None:
                return None
            runs = self._connection.client.search_runs(
                [experiment.experiment_id],
                f"{condition} and attributes.status = 'FINISHED'",
                max_results=1,
                order_by=["attributes.start_time DESC"],
            )
        if not runs:
            return None
        info, run_tags = runs[0].info, {k: v for k, v in runs[0].data.tags.items() if k.startswith(PREFIX)}
        return StoredRun(info.run_id, info.start_time * 1_000, self._url(info.experiment_id, info.run_id), run_tags)

    @contextmanager
    def _reading(self, run_id: str) -> Iterator[None]:
        """Translate errors of MLflow, which does not tell an account whether a run is hidden from it or missing."""
        try:
            with self._connection.asking(f"run {run_id}"):
                yield
        except RegistryRefused as error:
            raise NotInRegistry(
                f"run {run_id}", f"{error.thing} cannot read it, or it was deleted", error.remedy
            ) from error

    def logged(self, run_id: str) -> Logged:
        """Read parameters and metrics of a run, including training runs.

        Raises:
            NotInRegistry: there is no such run, or the account may not read it.
        """
        with self._reading(run_id):
            run = self._connection.client.get_run(run_id)
        return Logged(dict(run.data.params), dict(run.data.metrics), self._url(run.info.experiment_id, run_id))

    def read(self, run_id: str, path: str) -> bytes:
        """Read an artifact of a run.

        Raises:
            NotInRegistry: the run has no artifact with this path, or the account may not read the run.
            ModelRefused: it has more than ``MAX_BYTES`` bytes.
        """
        with self._reading(run_id), tempfile.TemporaryDirectory() as scratch:
            folder = path.rpartition("/")[0]
            sizes = {e.path: e.file_size for e in self._connection.client.list_artifacts(run_id, folder or None)}
            if path not in sizes:
                raise NotInRegistry(
                    f"run {run_id}", f"it has no {path}", f"It has {', '.join(sorted(sizes)) or 'none'}."
                )
            if (size := sizes[path]) is None or size > MAX_BYTES:
                cause = f"its {path} has {size} bytes, more than the limit of {MAX_BYTES}; nothing was downloaded"
                raise ModelRefused(
                    f"run {run_id}", cause, "Look at it in the MLflow UI: this project did not write it."
                )
            return Path(self._connection.client.download_artifacts(run_id, path, scratch)).read_bytes()

    def run_params(self, run_id: str) -> dict[str, str]:
        """Read the parameters of a run."""
        with self._connection.asking(f"run {run_id}"):
            return dict(self._connection.client.get_run(run_id).data.params)

    def read_json(self, run_id: str, path: str) -> object:
        """Read and parse a JSON artifact of a run."""
        return json.loads(self.read(run_id, path))

    def _url(self, experiment: str, run_id: str) -> str:
        return f"{self._connection.uri}/#/experiments/{experiment}/runs/{run_id}"
