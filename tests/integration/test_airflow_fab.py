"""Accounts of a deployed Airflow: commands of docker-compose.yaml create them, a real api-server applies roles."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg import sql

from local.stack.airflow_health import answers
from local.stack.commands import StackInfo
from local.stack.environment import inherited_environment
from local.stack.ports import HOST, any_free_port
from local.stack.wait import wait_until
from tests.conftest import ROOT
from tests.support.forbidden_acts import AIRFLOW_ACTS, REFUSED, Act, status_of
from tests.support.secret_traces import CommandLines

pytestmark = pytest.mark.long

PASSWORD = "password-of-the-tests-of-fab"
SERVICES = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
RUN = {"run": "no-such-run"}


@pytest.fixture(scope="module")
def environment(stack: StackInfo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Environment of the containers of Airflow, on a database of its own."""
    folder, port, name = tmp_path_factory.mktemp("airflow"), any_free_port(), f"fab_{uuid.uuid4().hex[:8]}"
    compose = SERVICES["airflow-init"]["environment"]
    with psycopg.connect(stack.database_url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    address = stack.database_url().rsplit("/", 1)[0].replace("://", "+psycopg2://", 1)
    try:
        yield inherited_environment() | {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(folder),
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__AUTH_MANAGER": compose["AIRFLOW__CORE__AUTH_MANAGER"],
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"{address}/{name}",
            "AIRFLOW__API__SECRET_KEY": "secret-key-of-the-tests-of-fab",
            "AIRFLOW__API_AUTH__JWT_SECRET": "jwt-secret-of-the-tests-of-fab-which-is-long-enough-for-sha-512-x",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW_ADMIN_PASSWORD": PASSWORD,
        }
    finally:
        with psycopg.connect(stack.database_url(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def shell(environment: Mapping[str, str], *words: str) -> str:
    """Run a command of a container to its end."""
    done = subprocess.run(
        words,
        env=dict(environment),
        cwd=environment["AIRFLOW_HOME"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        start_new_session=True,  # as in a container, without a terminal that could be asked for a password
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout


@pytest.fixture(scope="module")
def port(environment: Mapping[str, str]) -> Iterator[int]:
    """Port of an api-server with the users that the job creates, and two more."""
    service = SERVICES["airflow-init"]
    words = [word.replace("$$", "$") for word in (*service["entrypoint"], *service["command"])]
    with CommandLines() as lines:
        shell(environment, *words)
        shell(environment, "airflow", "roles", "create", "Approver")  # the job runs again with every `up`
    assert any("users create" in line for line in lines.seen)
    assert [line for line in lines.seen if PASSWORD in line] == []
    for name, roles in (("ann", ("User", "Approver")), ("bob", ("User",))):
        create = (
            f"airflow users create --role User --username {name} --firstname F --lastname L --email {name}@x.invalid"
        )
        asked = f'printf \'%s\\n%s\\n\' "$AIRFLOW_ADMIN_PASSWORD" "$AIRFLOW_ADMIN_PASSWORD" | {create}'
        added = [f"airflow users add-role --username {name} --role {role}" for role in roles[1:]]
        shell(environment, "/bin/bash", "-euc", " && ".join([asked, *added]))
    number, log = int(environment["AIRFLOW__API__PORT"]), Path(environment["AIRFLOW_HOME"], "api-server.log")
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "airflow", "api-server"],
            env=dict(environment),
            cwd=environment["AIRFLOW_HOME"],
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            wait_until(lambda: answers(number), seconds=120, description=f"the api-server, see {log}")
            yield number
        finally:
            server.terminate()
            server.wait(30)
    assert PASSWORD not in log.read_text()


def token(port: int, user: str) -> dict[str, str]:
    """Log in; return the header of further requests."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    body = json.dumps({"username": user, "password": PASSWORD})
    try:
        connection.request("POST", "/auth/token", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    finally:
        connection.close()
    assert response.status == 201, answer
    return {"Authorization": f"Bearer {answer['access_token']}"}


@pytest.mark.budget(240)
def test_a_deployed_airflow_lets_approvers_only_decide_on_promotions(port: int) -> None:
    decisions = [act for act in AIRFLOW_ACTS if act.who == "user" and "promote_model" in act.path]
    assert len(decisions) >= 5
    user, approver, admin = token(port, "bob"), token(port, "ann"), token(port, "admin")
    assert {
        str(act): status_of(port, act, RUN, user) for act in decisions if status_of(port, act, RUN, user) != 403
    } == {}
    answers_of_approvals = [act for act in decisions if "hitlDetails" in act.path]
    assert {status_of(port, act, RUN, approver) for act in answers_of_approvals} == {404}, "there is no such run"
    assert {status_of(port, act, RUN, admin) for act in decisions} <= {404, 422}
    assert {status_of(port, act, RUN, {}) for act in decisions} <= REFUSED
    look = Act("user", "list the DAGs", "GET", "/api/v2/dags")
    assert [status_of(port, look, RUN, headers) for headers in (user, approver, admin)] == [200] * 3
