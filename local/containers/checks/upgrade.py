"""An upgrade from a former release, as docs/deploy.md describes it, with its data kept."""

from __future__ import annotations

import io
import json
import secrets
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from local.containers.checks.system import System, require
from local.containers.folders import CHECKOUT, Folders
from local.containers.images import Source, build_targets
from local.containers.project import Project, seconds_of
from local.stack.wait import wait_until
from moderation import __version__
from moderation.errors import StackError

COMMIT = "f92ede9"
"""The former release: before migration 0006, rules version 2 and signed certificates."""
_TARGETS = ("object-store", "mlflow", "worker", "batch")
_OLD_KEY = "MODERATION_CERTIFICATE_KEY"
_DIRECT = "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD"
"""Without it the former release's workers would fetch models from the object store, which they cannot reach."""
_HISTORY = ("--days", "2", "--comments-per-day", "300")
_DAY_AFTER = "2026-01-03"
"""First day of the comments of the present release, after those of the former one."""
_TRAFFIC = ("--generate", "--days", "2", "--comments-per-day", "400", "--fast")


def upgrade(system: System) -> dict[str, Any]:
    """The former release's data, model and results stay; the present workers go on after its last offset."""
    project = system.project
    project.compose("down", "--volumes", "--remove-orphans")
    _build_former(system.folders)
    project.write_env(**{_OLD_KEY: secrets.token_urlsafe(32), "MODERATION_WORKERS": 1})
    present = project.files
    try:
        project.files = [_former_compose_file(system.folders, project)]
        before = _use_former(system)
    finally:
        project.files, project.directory = present, CHECKOUT
    project.up("postgres")
    project.wait_healthy("postgres")
    _create_logins(project)
    seconds = seconds_of(project.up)
    project.wait_healthy("worker", 1)
    workers = {each["Config"]["Image"] for each in project.containers("worker")}
    require(workers == {f"comment-moderation-worker:{__version__}"}, f"workers run {workers}")
    decisions = system.decisions()
    require(decisions == before["decisions"], f"{before['decisions']} decisions before, {decisions} after")
    seen: dict[str, Any] = {"former": before, "seconds_to_upgrade": seconds}
    counted = system.counted()
    later = ("--shift-to", _DAY_AFTER, "--shift-anchor", "first")
    project.compose("run", "--rm", "--no-deps", "-T", "source", *_TRAFFIC, "--seed", "9", "--state", "after", *later)
    system.wait_for_decisions_in_all(decisions + 100)  # the workers decide while the source sends
    served = project.sql("SELECT DISTINCT model_version FROM speed.decisions")
    require(served == [[before["version"]]], f"versions {served} decided")
    project.moderation("archive")
    wait_until(system.nothing_waits, seconds=120, description="a worker without lag", interval_seconds=2.0)
    reports = {}
    for day in ("2026-01-01", _DAY_AFTER):
        reports[day] = json.loads(project.moderation("reconcile", "--date", day, "--json"))
        require(not any(reports[day]["defects"].values()), f"defects of {day}: {reports[day]['defects']}")
        require(reports[day]["speed_comments"] > 0, f"panes of {day} count nothing")
    project.moderation("lake", "verify")
    project.write_env(**{_OLD_KEY: ""})
    project.up()
    project.wait_healthy("worker", 1)
    system.require_once(counted)
    results = {day: {name: report[name] for name in ("causes", "defects")} for day, report in reports.items()}
    return {**seen, "decisions": system.decisions(), "reconciled": results}


def _create_logins(project: Project) -> None:
    """Run the statements that docs/deploy.md names, for groups and logins that the former release did not have."""
    script = (CHECKOUT / "docker" / "postgres" / "databases.sh").read_text()
    _, _, statements = script.partition("CREATE ROLE moderation_worker")
    statements, _, _ = statements.partition("CREATE ROLE grafana")
    statements = statements.replace("CREATE ROLE moderation_reader NOLOGIN;\n", "")
    passwords = "".join(line + "\n" for line in script.splitlines() if line.startswith("\\getenv"))
    given = f"{passwords}CREATE ROLE moderation_worker{statements}".encode()
    options = ("-v", "ON_ERROR_STOP=1", "--username", "postgres")
    project.compose("exec", "-T", "postgres", "psql", *options, given=given)


def _use_former(system: System) -> dict[str, Any]:
    """Run the former release until it has decided, archived and reconciled; return its figures."""
    project = system.project
    project.up()
    project.moderation("generate", "--out", "former", *_HISTORY)
    goal = ("--goal", "review_share<=0.2", "--folds", "2")
    trained = project.moderation("train", "--history", "former", "--out", "model", *goal, "--register", "--json")
    project.wait_healthy("worker", 1)
    project.compose("run", "--rm", "--no-deps", "-T", "source", *_TRAFFIC, "--seed", "8", "--state", "before")
    report = json.loads(project.moderation("archive", "--json"))
    wait_until(lambda: system.decisions() > 700, seconds=240, description="the former worker's decisions")
    wait_until(system.nothing_waits, seconds=120, description="the former worker without lag", interval_seconds=2.0)
    reconciled = json.loads(project.moderation("reconcile", "--date", "2026-01-01", "--json"))
    require(not any(reconciled["defects"].values()), f"the former release found defects {reconciled['defects']}")
    return {
        "version": json.loads(trained)["registered"]["version"],
        "decisions": system.decisions(),
        "archived_rows": report["rows"],
        "causes": reconciled["causes"],
    }


def _build_former(folders: Folders) -> None:
    """Build the former release's images from the repository's history; uv installs their locks."""
    checkout = folders.former / COMMIT / "checkout"
    if not checkout.exists():
        archive = subprocess.run(["git", "archive", COMMIT], cwd=CHECKOUT, capture_output=True, check=False)  # noqa: S607
        if archive.returncode:
            raise StackError(f"commit {COMMIT}", "the repository's history does not contain it", "Fetch the history.")
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(checkout, filter="data")
    source = Source(checkout, folders.former / COMMIT / "environments", COMMIT)
    build_targets(folders, lambda line: None, fast=True, targets=_TARGETS, source=source)


def _former_compose_file(folders: Folders, project: Project) -> Path:
    """Write the former compose file with all variables resolved: its images, free ports, and models by the server."""
    checkout = folders.former / COMMIT / "checkout"
    project.files, project.directory = [checkout / "docker-compose.yaml"], checkout
    resolved = json.loads(project.compose("--profile", "*", "config", "--format", "json"))
    project.directory = CHECKOUT
    path = folders.former / "compose.json"
    path.write_text(json.dumps(with_former_images(resolved)))
    path.chmod(0o600)
    return path


def with_former_images(resolved: dict[str, Any]) -> dict[str, Any]:
    """Return a resolved compose file with the former release's images, without published ports and builds.

    Args:
        resolved: output of ``docker compose config --format json``.
    """
    for service in resolved["services"].values():
        name, _, _ = service["image"].partition(":")
        if name.startswith("comment-moderation-"):
            service["image"] = f"{name}:{COMMIT}"
            service.setdefault("environment", {})[_DIRECT] = "false"
        service.pop("ports", None)
        service.pop("build", None)
    return resolved
