"""Run ``docker-compose.yaml`` in the engine from the first start to a restored backup, and check each step.

Each check is a method that returns what was seen; it raises an error if the documents promise something else. Checks
run in their order and build on each other. A failed check is reported, and the others run.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from itertools import chain
from typing import Any

from confluent_kafka.admin import AdminClient

from local.containers.dashboards import run_every_query
from local.containers.engine import docker
from local.containers.folders import Folders
from local.containers.project import NAME, Project, seconds_of
from local.containers.restore import backup, restore
from local.demo.airflow_api import AirflowApi
from local.demo.reconcile_all import total_of
from local.stack.airflow import API_SERVER
from local.stack.commands import StackInfo
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.errors import ModerationError, StackError

JOBS = ("mlflow-migrate", "mlflow-accounts", "migrate", "topics", "certify")
_DECISIONS = "SELECT count(*) FROM speed.decisions"
_KILLED = 137


@dataclass(frozen=True, slots=True)
class Checked:
    """Outcome of a check.

    Attributes:
        name: of the check.
        passed: whether everything was as promised.
        seconds: duration.
        seen: figures and texts; with ``error`` if it failed.
    """

    name: str
    passed: bool
    seconds: float
    seen: dict[str, Any]


class Trial:
    """Checks of one run, in their order.

    Args:
        folders: of the engine.
        most_comments: comments of the generated history that the models learn from.
        only: names of checks to run on the containers that an earlier run left; all, from an empty state, if empty.
        keep: whether containers and volumes stay.
    """

    def __init__(
        self, folders: Folders, most_comments: int = 4_000, only: Sequence[str] = (), *, keep: bool = False
    ) -> None:
        self._folders = folders
        self._only = only
        self._keep = keep or bool(only)
        self._comments_per_day = most_comments // 4
        self.project = Project(folders, again=bool(only))

    @property
    def checks(self) -> list[Callable[[], dict[str, Any]]]:
        """All checks."""
        return [
            *(self.taken_port, self.first_start, self.published_ports, self.jobs_without_no_deps, self.training),
            *(self.first_model_serves, self.traffic_and_two_workers, self.prometheus, self.airflow, self.dashboards),
            *(self.promotion, self.parked_worker, self.killed_worker, self.stop_under_load, self.backup_and_restore),
        ]

    def run(self, on_progress: Callable[[str], None]) -> Iterator[Checked]:
        """Run the checks; all of them from an empty state, and remove containers and volumes afterwards."""
        self.project.write_env()
        if not self._only:
            self.project.compose("down", "--volumes", "--remove-orphans")
        try:
            for check in self.checks:
                name, begun, error = check.__name__, time.monotonic(), ""
                if self._only and name not in self._only:
                    continue
                on_progress(name)
                seen: dict[str, Any] = {}
                try:
                    seen = check()
                except (ModerationError, AssertionError, OSError, ValueError, KeyError, IndexError) as raised:
                    error = f"{type(raised).__name__}: {raised}"
                    seen = {"error": error}
                outcome = Checked(name, not error, round(time.monotonic() - begun, 1), seen)
                on_progress(f"{name}: {'passed' if outcome.passed else 'FAILED'} {json.dumps(seen)}")
                yield outcome
        finally:
            if not self._keep:
                self.project.compose("down", "--volumes", "--remove-orphans")

    def taken_port(self) -> dict[str, Any]:
        """A taken port: `up` names it; another one in ``.env`` helps."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.project.write_env(KAFKA_PORT=port)
            code, said = self.project.try_compose("up", "--detach", "--no-build", "--pull", "never", "kafka")
            _require(
                code != 0 and str(port) in said and "in use" in said, f"`up` with a taken port said: {said[-300:]}"
            )
        self.project.write_env()
        return {"exit_code": code, "message": "address already in use"}

    def first_start(self) -> dict[str, Any]:
        """Jobs end with 0; servers and the worker, which waits for its first model, become healthy."""
        seconds = seconds_of(self.project.up)
        self.project.wait_healthy("worker", seconds=180)
        jobs = {name: self.project.containers(name)[0]["State"]["ExitCode"] for name in JOBS}
        _require(set(jobs.values()) == {0}, f"jobs ended with {jobs}")
        health = {name: self.project.health(name)[0] for name in ("kafka", "postgres", "object-store", "mlflow")}
        _require(set(health.values()) == {"healthy"}, f"health is {health}")
        line = self.project.containers("worker")[0]["State"]["Health"]["Log"][-1]["Output"].strip()
        _require("no model serves yet" in line, f"the worker's health check printed {line!r}")
        return {"seconds": seconds, "jobs": jobs, "health": health, "worker": line}

    def published_ports(self) -> dict[str, Any]:
        """MLflow and Kafka respond on the ports of ``.env``; MLflow refuses other host names."""
        ports = self.project.ports
        status = _status(f"http://127.0.0.1:{ports['MLFLOW_PORT']}/health")
        refused = _status(
            f"http://127.0.0.1:{ports['MLFLOW_PORT']}/api/2.0/mlflow/experiments/search", host="elsewhere"
        )
        kafka = KafkaConnection.plaintext(f"127.0.0.1:{ports['KAFKA_PORT']}")
        topics = AdminClient(kafka.librdkafka()).list_topics(timeout=20)
        brokers = [f"{each.host}:{each.port}" for each in topics.brokers.values()]
        _require(status == 200 and refused == 403, f"MLflow answered {status}, and {refused} to another host name")
        _require(brokers == [f"127.0.0.1:{ports['KAFKA_PORT']}"], f"Kafka advertises {brokers}")
        return {"mlflow": status, "mlflow_for_another_host_name": refused, "topics": len(topics.topics)}

    def jobs_without_no_deps(self) -> dict[str, Any]:
        """``--no-deps`` runs a command without the jobs."""
        return {
            "seconds_with_jobs": seconds_of(
                lambda: self.project.compose("run", "--rm", "-T", "moderation", "--version")
            ),
            "seconds": seconds_of(lambda: self.project.moderation("--version")),
        }

    def training(self) -> dict[str, Any]:
        """Train a model from generated history and register it."""
        days = ["--days", "4", "--comments-per-day", str(self._comments_per_day)]
        history = json.loads(self.project.moderation("generate", "--out", "history", *days, "--json"))
        seconds = seconds_of(lambda: self._train("model", "0"))
        return {"comments": history["comments"], "training_seconds": seconds}

    def _train(self, folder: str, seed: str) -> None:
        goal = ["--goal", "review_share<=0.2", "--folds", "2", "--seed", seed]
        self.project.moderation("train", "--history", "history", "--out", folder, *goal, "--register")

    def first_model_serves(self) -> dict[str, Any]:
        """The worker fetches the model through the MLflow server, because it cannot reach the object store."""
        container = str(self.project.containers("worker")[0]["Id"])
        seconds = wait_until(
            lambda: self.project.ask_worker(container, "/ready").get("ready") is True,
            seconds=180,
            description="the worker with its first model",
            interval_seconds=1.0,
        )
        networks = sorted(self.project.containers("worker")[0]["NetworkSettings"]["Networks"])
        _require(networks == [f"{NAME}_servers"], f"the worker is in the networks {networks}")
        return {"seconds": round(seconds, 1), "model": self.project.ask_worker(container, "/model")["model_version"]}

    def traffic_and_two_workers(self) -> dict[str, Any]:
        """Two workers share the partitions and decide what the source sends."""
        self.project.write_env(MODERATION_WORKERS=2)
        self.project.up("worker")
        self.project.up("source", profiles=["traffic"])
        self.project.wait_healthy("worker", 2)
        wait_until(
            self._partitions_are_shared, seconds=120, description="both workers with partitions", interval_seconds=2
        )
        self._wait_for_decisions(1_000)
        return {"partitions": self._partitions(), "decisions": self.project.count(_DECISIONS)}

    def _partitions(self) -> list[list[str]]:
        workers = [str(each["Id"]) for each in self.project.containers("worker")]
        return [sorted(self.project.ask_worker(each, "/lag").get("lag", {})) for each in workers]

    def _partitions_are_shared(self) -> bool:
        shares = self._partitions()
        return len(shares) == 2 and all(shares) and sorted(chain.from_iterable(shares)) == ["0", "1", "2", "3"]

    def _wait_for_decisions(self, more: int, seconds: float = 240) -> float:
        before = self.project.count(_DECISIONS)
        return wait_until(
            lambda: self.project.count(_DECISIONS) >= before + more,
            seconds=seconds,
            description=f"{more} more decisions",
            interval_seconds=2.0,
        )

    def prometheus(self) -> dict[str, Any]:
        """Prometheus finds and reads both workers."""
        self.project.up("prometheus", profiles=["monitoring"])
        self.project.wait_healthy("prometheus")
        url = f"http://127.0.0.1:{self.project.ports['PROMETHEUS_PORT']}/api/v1/query?query=up%7Bjob%3D%22moderation-worker%22%7D"

        def values() -> list[str]:
            return [each["value"][1] for each in _json(url)["data"]["result"]]

        seconds = wait_until(
            lambda: values() == ["1", "1"], seconds=120, description="two workers in Prometheus", interval_seconds=2.0
        )
        return {"workers": len(values()), "seconds": round(seconds, 1)}

    def airflow(self) -> dict[str, Any]:
        """Airflow archives, and reconciles the days of the traffic; every difference has a cause."""
        services = ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")
        seconds = seconds_of(lambda: self.project.up(profiles=["batch"]))
        for name in services:
            self.project.wait_healthy(name, seconds=400)
        self.project.compose("stop", "source")
        wait_until(self._nothing_waits, seconds=120, description="workers without lag", interval_seconds=2.0)
        port = self.project.ports["AIRFLOW_PORT"]
        stack = StackInfo(self._folders.work, "", "", "", {API_SERVER: port}, {})
        api = AirflowApi(stack, self.project.value("AIRFLOW_ADMIN_PASSWORD"))
        for dag in ("archive_topics", "reconcile_windows"):
            wait_until(lambda dag=dag: api.is_parsed(dag), seconds=240, description=dag, interval_seconds=2.0)  # type: ignore[misc]
            api.ask("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})
        archive = api.trigger("archive_topics")
        state = api.wait_for_end("archive_topics", archive, seconds=400)
        _require(state == "success", f"archive_topics ended with {state}")
        days = [row[0] for row in self.project.sql(_DAYS)]
        form = {"start": days[0], "end": (date.fromisoformat(days[-1]) + timedelta(days=1)).isoformat()}
        run_id = api.trigger("reconcile_windows", form)
        state = api.wait_for_end("reconcile_windows", run_id, seconds=600)
        _require(state == "success", f"reconcile_windows ended with {state}")
        totals = total_of(
            [api.returned("reconcile_windows", run_id, "reconcile", map_index=number) for number in range(len(days))]
        )
        counted = self.project.count("SELECT sum(comments) FROM speed.panes")
        _require(totals.is_sound and totals.speed_comments == counted > 0, f"{counted} comments counted, {totals}")
        return {"seconds_to_start": seconds, **asdict(totals)}

    def _nothing_waits(self) -> bool:
        workers = [str(each["Id"]) for each in self.project.containers("worker")]
        return all(self.project.ask_worker(each, "/lag").get("records") == 0 for each in workers)

    def dashboards(self) -> dict[str, Any]:
        """Every query of the dashboards runs as the role of Grafana; that role may read nothing else."""
        return run_every_query(self.project)

    def promotion(self) -> dict[str, Any]:
        """A promoted version serves in both workers without a restart."""
        self._train("second", "1")
        workers = self.project.containers("worker")
        before = {str(each["Id"]): each["RestartCount"] for each in workers}
        promoted = json.loads(
            self.project.moderation("promote", "--version", "2", "--reason", "a test of containers", "--json")
        )

        def serves() -> bool:
            return all(self.project.ask_worker(each, "/model").get("model_version") == "2" for each in before)

        seconds = wait_until(serves, seconds=120, description="version 2 in both workers", interval_seconds=1.0)
        after = {str(each["Id"]): each["RestartCount"] for each in self.project.containers("worker")}
        _require(after == before, "a worker was restarted")
        return {"version": promoted["version"], "seconds": round(seconds, 1)}

    def parked_worker(self) -> dict[str, Any]:
        """A worker that ended with 78 is unhealthy within three minutes, and its container stays."""
        options = ["--detach", "--no-deps", "--name", f"{NAME}-parked", "--env", "MODERATION_ALIAS_POLL_SECONDS=never"]
        self.project.compose("run", *options, "worker")
        try:

            def state() -> Any:
                return json.loads(docker(self._folders, "inspect", f"{NAME}-parked"))[0]

            seconds = wait_until(
                lambda: state()["State"]["Health"]["Status"] == "unhealthy",
                seconds=200,
                description="an unhealthy parked worker",
                interval_seconds=2.0,
            )
            line = state()["State"]["Health"]["Log"][-1]["Output"].strip()
            _require("ended with 78" in line, f"its health check printed {line!r}")
            _require(state()["State"]["Status"] == "running", "its container ended")
        finally:
            docker(self._folders, "rm", "--force", f"{NAME}-parked")
        return {"seconds": round(seconds, 1), "line": line}

    def killed_worker(self) -> dict[str, Any]:
        """A killed worker is restarted and goes on; each offset is stored once."""
        self.project.up("source", profiles=["traffic"])
        self._wait_for_decisions(100)
        killed = self.project.containers("worker")[0]
        os.kill(killed["State"]["Pid"], signal.SIGKILL)

        def is_back() -> bool:
            now = next(each for each in self.project.containers("worker") if each["Id"] == killed["Id"])
            return bool(now["RestartCount"] == 1 and now["State"].get("Health", {}).get("Status") == "healthy")

        seconds = wait_until(is_back, seconds=180, description="the killed worker", interval_seconds=1.0)
        wait_until(
            self._partitions_are_shared, seconds=120, description="both workers with partitions", interval_seconds=2
        )
        self._wait_for_decisions(200)
        self._require_once()
        return {"seconds_until_healthy": round(seconds, 1), "decisions": self.project.count(_DECISIONS)}

    def _require_once(self) -> None:
        """Check G1 and G2 in one snapshot: positions and panes are the sums of the ledger."""
        wrong = self.project.sql(_NOT_ONCE)
        _require(wrong == [["0", "0"]], f"partitions and panes that differ from the ledger: {wrong}")

    def stop_under_load(self) -> dict[str, Any]:
        """Every service ends by itself within its grace, while records arrive."""
        seen = {}
        for name in ("worker", "object-store", "mlflow", "kafka", "postgres"):
            seconds = seconds_of(lambda name=name: self.project.compose("stop", name))
            codes = [each["State"]["ExitCode"] for each in self.project.containers(name)]
            _require(_KILLED not in codes, f"{name} was killed after {seconds} s")
            seen[name] = {"seconds": seconds, "exit_codes": codes}
        self.project.compose("stop", "source")
        self.project.up(profiles=["batch"])
        self.project.wait_healthy("worker", 2)
        self._require_once()
        return seen

    def backup_and_restore(self) -> dict[str, Any]:
        """A backup, all volumes removed, a restore as in docs/deploy.md; the lake verifies, workers go on."""
        decisions = self.project.count(_DECISIONS)
        seen: dict[str, Any] = {"backup_bytes": backup(self._folders, self.project)}
        self.project.compose("down", "--volumes")
        errors = restore(self._folders, self.project)
        seen |= {"errors_of_the_restore": errors, "decisions": self.project.count(_DECISIONS)}
        _require(seen["decisions"] == decisions, f"{decisions} decisions before, {seen['decisions']} after")
        self.project.up()
        self.project.moderation("lake", "claim", "--yes", "--reason", "restored from a backup")
        self.project.moderation("lake", "verify")
        self.project.compose("stop", "worker")
        with contextlib.suppress(StackError):
            self.project.moderation("accept-gap")
        self.project.moderation("accept-gap", "--yes")
        self.project.compose("start", "worker")
        self.project.wait_healthy("worker", 2)
        self.project.up("source", profiles=["traffic"])
        seen["seconds_until_new_decisions"] = round(self._wait_for_decisions(50), 1)
        return seen


_DAYS = "SELECT DISTINCT (to_timestamp(event_time_us / 1e6) AT TIME ZONE 'utc')::date FROM speed.decisions ORDER BY 1"
_NOT_ONCE = """
WITH stored AS (
    SELECT topic_id, partition, sum(n) AS n FROM (
        SELECT topic_id, partition, 1 AS n FROM speed.decisions
        UNION ALL SELECT topic_id, partition, 1 FROM speed.dead_letters
        UNION ALL SELECT topic_id, partition, next_offset - first_offset FROM speed.gaps
        UNION ALL SELECT topic_id, partition, next_offset - first_offset FROM speed.holes) each GROUP BY 1, 2
), panes AS (
    SELECT topic_id, partition, sum(comments) AS n FROM speed.panes GROUP BY 1, 2
), counted AS (
    SELECT topic_id, partition, count(*) AS n FROM speed.decisions WHERE fate = 'counted' GROUP BY 1, 2
)
SELECT (SELECT count(*) FROM speed.source_offsets o LEFT JOIN stored s USING (topic_id, partition)
         WHERE o.next - o.first <> coalesce(s.n, 0)),
       (SELECT count(*) FROM counted c LEFT JOIN panes p USING (topic_id, partition) WHERE c.n <> coalesce(p.n, 0))
"""


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise StackError("docker-compose.yaml", message, "See the check in local/containers/trial.py.")


def _status(url: str, host: str | None = None) -> int:
    request = urllib.request.Request(url, headers={} if host is None else {"Host": host})  # noqa: S310 - this machine
    try:
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def _json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as response:  # noqa: S310 - this machine
        return json.load(response)
