"""Airflow and the dashboards."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

from local.containers.checks.system import System, require
from local.containers.dashboards import run_every_query
from local.containers.project import seconds_of
from local.demo.airflow_api import AirflowApi
from local.demo.reconcile_all import total_of
from local.stack.airflow import API_SERVER
from local.stack.commands import StackInfo
from local.stack.wait import wait_until

SERVICES = ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")
_DAYS = "SELECT DISTINCT (to_timestamp(event_time_us / 1e6) AT TIME ZONE 'utc')::date FROM speed.decisions ORDER BY 1"


def airflow(system: System) -> dict[str, Any]:
    """Airflow archives, and reconciles the days of the traffic; every difference has a cause."""
    project = system.project
    seconds = seconds_of(lambda: project.up(profiles=["batch"]))
    api = healthy_airflow(system)
    project.compose("stop", "source")
    wait_until(system.nothing_waits, seconds=120, description="workers without lag", interval_seconds=2.0)
    run_dag(api, "archive_topics")
    days = [row[0] for row in project.sql(_DAYS)]
    form = {"start": days[0], "end": (date.fromisoformat(days[-1]) + timedelta(days=1)).isoformat()}
    run_id = run_dag(api, "reconcile_windows", form)
    totals = total_of(
        [api.returned("reconcile_windows", run_id, "reconcile", map_index=number) for number in range(len(days))]
    )
    counted = project.count("SELECT sum(comments) FROM speed.panes")
    require(totals.is_sound and totals.speed_comments == counted > 0, f"{counted} comments counted, {totals}")
    return {"seconds_to_start": seconds, **asdict(totals)}


def healthy_airflow(system: System) -> AirflowApi:
    """Wait until every started part of Airflow is healthy; return its API."""
    for name in SERVICES:
        system.project.wait_healthy(name, seconds=400)
    stack = StackInfo(system.folders.work, "", "", "", {API_SERVER: system.project.ports["AIRFLOW_PORT"]}, {})
    return AirflowApi(stack, system.project.value("AIRFLOW_ADMIN_PASSWORD"))


def run_dag(api: AirflowApi, dag: str, form: dict[str, str] | None = None) -> str:
    """Run a DAG and return the id of its run, which succeeded.

    Raises:
        StackError: it did not succeed.
    """
    wait_until(lambda: api.is_parsed(dag), seconds=240, description=dag, interval_seconds=2.0)
    api.ask("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})
    run_id = api.trigger(dag, form)
    state = api.wait_for_end(dag, run_id, seconds=600)
    require(state == "success", f"{dag} ended with {state}")
    return run_id


def dashboards(system: System) -> dict[str, Any]:
    """Every query of the dashboards runs as the role of Grafana; that role may read nothing else."""
    return run_every_query(system.project)
