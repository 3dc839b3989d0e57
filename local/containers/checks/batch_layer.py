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
    for name in SERVICES:
        project.wait_healthy(name, seconds=400)
    project.compose("stop", "source")
    wait_until(system.nothing_waits, seconds=120, description="workers without lag", interval_seconds=2.0)
    stack = StackInfo(system.folders.work, "", "", "", {API_SERVER: project.ports["AIRFLOW_PORT"]}, {})
    api = AirflowApi(stack, project.value("AIRFLOW_ADMIN_PASSWORD"))
    for dag in ("archive_topics", "reconcile_windows"):
        wait_until(lambda dag=dag: api.is_parsed(dag), seconds=240, description=dag, interval_seconds=2.0)  # type: ignore[misc]
        api.ask("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})
    state = api.wait_for_end("archive_topics", api.trigger("archive_topics"), seconds=400)
    require(state == "success", f"archive_topics ended with {state}")
    days = [row[0] for row in project.sql(_DAYS)]
    form = {"start": days[0], "end": (date.fromisoformat(days[-1]) + timedelta(days=1)).isoformat()}
    run_id = api.trigger("reconcile_windows", form)
    state = api.wait_for_end("reconcile_windows", run_id, seconds=600)
    require(state == "success", f"reconcile_windows ended with {state}")
    totals = total_of(
        [api.returned("reconcile_windows", run_id, "reconcile", map_index=number) for number in range(len(days))]
    )
    counted = project.count("SELECT sum(comments) FROM speed.panes")
    require(totals.is_sound and totals.speed_comments == counted > 0, f"{counted} comments counted, {totals}")
    return {"seconds_to_start": seconds, **asdict(totals)}


def dashboards(system: System) -> dict[str, Any]:
    """Every query of the dashboards runs as the role of Grafana; that role may read nothing else."""
    return run_every_query(system.project)
