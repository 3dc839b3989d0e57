"""What was found about models, kept where people look for it: MLflow runs beside those that trained them."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from moderation.adapters.registry.certificate import PREFIX
from moderation.adapters.registry.client import Connection, NotInRegistry
from moderation.adapters.registry.upload import experiment_of

Kind = Literal["comparison", "drift", "rescoring"]
KIND_TAG = PREFIX + "kind"


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run that holds evidence.

    Attributes:
        run_id: MLflow's.
        began_us: when it was kept, in microseconds.
        url: the page of the run in the MLflow UI.
        tags: without MLflow's own.
    """

    run_id: str
    began_us: int
    url: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Logged:
    """What a run logged.

    Attributes:
        params: what it was asked with.
        metrics: the last value of each.
        url: the page of the run in the MLflow UI.
    """

    params: Mapping[str, str]
    metrics: Mapping[str, float]
    url: str


class RunArtifacts:
    """Runs of one model's experiment that tell what was found. Errors are those of ``Registry``.

    Args:
        connection: to the MLflow server.
        model_name: names the experiment.
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
        """Keep a finding as a finished run.

        Args:
            kind: what it is; :meth:`newest` asks by it.
            name: of the run, for people.
            files: artifacts by path.
            tags: without prefix; each becomes ``moderation.<name>``.
            params: what it was asked with.
            metrics: figures; those that are not finite are left out, since MLflow's table refuses them.
        """
        from mlflow.entities import Metric, Param

        own = {PREFIX + key: value for key, value in (tags or {}).items()} | {KIND_TAG: kind}
        now_ms = time.time_ns() // 1_000_000
        finite = {key: value for key, value in (metrics or {}).items() if abs(value) < float("inf")}
        with self._connection.asking(f"keeping {name}"):
            experiment = experiment_of(self._connection, self._model_name)
            run = self._connection.client.create_run(experiment, run_name=name, tags=own).info.run_id
            self._connection.client.log_batch(
                run,
                metrics=[Metric(key, float(value), now_ms, 0) for key, value in finite.items()],
                params=[Param(key, value) for key, value in (params or {}).items()],
            )
        self.attach(run, files)
        with self._connection.asking(f"keeping {name}"):
            self._connection.client.set_terminated(run, "FINISHED")
        return StoredRun(run, now_ms * 1_000, self._url(experiment, run), own)

    def attach(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Add artifacts to a run; one of the same path is replaced."""
        with tempfile.TemporaryDirectory(prefix="moderation-evidence-") as scratch:
            for path, content in files.items():
                target = Path(scratch, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            with self._connection.asking(f"run {run_id}"):
                self._connection.client.log_artifacts(run_id, scratch)

    def newest(self, kind: Kind, tags: Mapping[str, str] | None = None) -> StoredRun | None:
        """The finding of a kind that was kept last; None when there is none.

        Args:
            kind: as given to :meth:`keep`.
            tags: without prefix; those it must have.
        """
        wanted = {PREFIX + key: value for key, value in (tags or {}).items()} | {KIND_TAG: kind}
        condition = " and ".join(f"tags.`{key}` = '{value}'" for key, value in wanted.items())
        with self._connection.asking(f"findings of kind {kind}"):
            experiment = self._connection.client.get_experiment_by_name(self._model_name)
            if experiment is None:
                return None
            found = self._connection.client.search_runs(
                [experiment.experiment_id],
                f"{condition} and attributes.status = 'FINISHED'",
                max_results=1,
                order_by=["attributes.start_time DESC"],
            )
        if not found:
            return None
        info, own = found[0].info, {k: v for k, v in found[0].data.tags.items() if k.startswith(PREFIX)}
        return StoredRun(info.run_id, info.start_time * 1_000, self._url(info.experiment_id, info.run_id), own)

    def logged(self, run_id: str) -> Logged:
        """Parameters and metrics of a run, also of one that trained a model.

        Raises:
            NotInRegistry: there is no such run.
        """
        with self._connection.asking(f"run {run_id}"):
            run = self._connection.client.get_run(run_id)
        return Logged(dict(run.data.params), dict(run.data.metrics), self._url(run.info.experiment_id, run_id))

    def read(self, run_id: str, path: str) -> bytes:
        """An artifact of a run.

        Raises:
            NotInRegistry: the run has none of this path.
        """
        with self._connection.asking(f"run {run_id}"), tempfile.TemporaryDirectory() as scratch:
            folder = path.rpartition("/")[0]
            listed = {entry.path for entry in self._connection.client.list_artifacts(run_id, folder or None)}
            if path not in listed:
                raise NotInRegistry(
                    f"run {run_id}", f"it has no {path}", f"It has {', '.join(sorted(listed)) or 'none'}."
                )
            return Path(self._connection.client.download_artifacts(run_id, path, scratch)).read_bytes()

    def run_params(self, run_id: str) -> dict[str, str]:
        """The parameters a run was logged with."""
        with self._connection.asking(f"run {run_id}"):
            return dict(self._connection.client.get_run(run_id).data.params)

    def read_json(self, run_id: str, path: str) -> object:
        """The same, parsed."""
        return json.loads(self.read(run_id, path))

    def _url(self, experiment: str, run_id: str) -> str:
        return f"{self._connection.uri}/#/experiments/{experiment}/runs/{run_id}"
