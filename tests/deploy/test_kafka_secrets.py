"""The commands on the page about Kubernetes make the secrets of Kafka that the examples name.

They run in a shell, with stand-ins for kubectl and for programs in a pod.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from moderation.adapters.kafka.connection import kafka_of
from moderation.settings import Settings
from tests.conftest import ROOT
from tests.deploy.chart import Object, containers, example, merged, pods, render
from tests.deploy.example_checks import KEDA, kafka_documents

PAGE = ROOT / "docs" / "kubernetes.md"
AUTHORITY = "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n"
KUBECTL = r"""#!/usr/bin/env python3
import base64, json, os, pathlib, subprocess, sys

words = sys.argv[1:]
assert words[0] == "-n", words
namespace, verb = words[1], words[2]
if verb == "get" and words[3] == "secret":
    stored = json.loads(pathlib.Path(os.environ["STORED"]).read_text())[namespace][words[4]]
    assert words[5] == "--output" and words[6].startswith("jsonpath={.data.") and words[6].endswith("}"), words
    key = words[6].removeprefix("jsonpath={.data.").removesuffix("}").replace("\\.", ".")
    print(base64.b64encode(stored[key].encode()).decode(), end="")
elif verb == "get":
    print("pod/airflow-scheduler-0")
elif verb == "exec":
    sys.exit(subprocess.run(words[words.index("--") + 1 :]).returncode)
else:
    assert words[2:5] == ["create", "secret", "generic"], words
    content = {}
    for option in words[6:]:
        kind, _, given = option.partition("=")
        if kind == "--from-literal":
            key, _, content[key] = given.partition("=")
        else:
            assert kind == "--from-file", option
            name = given.rpartition("=")[2]
            content[given.partition("=")[0]] = pathlib.Path(name).read_text()
    with open(os.environ["CREATED"], "a") as file:
        file.write(json.dumps([namespace, words[5], content]) + "\n")
"""
MODERATION = """#!/bin/sh
printf '%s %s %s' "$MODERATION_KAFKA_USERNAME" "$MODERATION_KAFKA_PASSWORD" "$*" > "$CREATED.command"
"""
Secrets = dict[tuple[str, str], dict[str, str]]
"""Content of each secret, by namespace and name."""


def blocks() -> list[str]:
    """The commands of the section on accounts of Kafka."""
    section = PAGE.read_text().split("### Accounts of Kafka\n")[1].split("\n## ")[0]
    return re.findall(r"^```\n(.+?)^```$", section, re.MULTILINE | re.DOTALL)


def password_of(user: str) -> str:
    """The password that Strimzi made for a user."""
    return f"secret-{user}"


def run(commands: str, folder: Path) -> None:
    """Run commands in a folder, with the stand-ins; Strimzi's secrets exist."""
    programs = folder / "programs"
    programs.mkdir()
    for name, text in {"kubectl": KUBECTL, "moderation": MODERATION}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o700)
    users = [each["metadata"]["name"] for each in kafka_documents() if each["kind"] == "KafkaUser"]
    stored = {user: {"password": password_of(user)} for user in users}
    stored["moderation-cluster-ca-cert"] = {"ca.crt": AUTHORITY}
    (folder / "stored.json").write_text(json.dumps({"kafka": stored}))
    environment = {
        "PATH": f"{programs}:{Path(shutil.which('python3') or '').parent}:/usr/bin:/bin",
        "STORED": str(folder / "stored.json"),
        "CREATED": str(folder / "created"),
    }
    work = folder / "work"
    work.mkdir()
    subprocess.run(["sh", "-eu", "-c", commands], cwd=work, env=environment, check=True, timeout=60)


@pytest.fixture(scope="module")
def created(tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    """The secrets that the first block of commands makes."""
    folder = tmp_path_factory.mktemp("secrets")
    run(blocks()[0], folder)
    assert list((folder / "work").iterdir()) == [], "a file with a password is left"
    lines = [json.loads(line) for line in (folder / "created").read_text().splitlines()]
    secrets = {(namespace, name): content for namespace, name, content in lines}
    assert len(secrets) == len(lines)
    return secrets


def referred(objects: list[Object]) -> Iterator[tuple[str, str]]:
    """Name and key of each secret of Kafka that rendered objects refer to."""
    for _, container in containers(objects):
        for each in container.get("env", []):
            if each["name"].startswith("MODERATION_KAFKA_") and "valueFrom" in each:
                yield each["valueFrom"]["secretKeyRef"]["name"], each["valueFrom"]["secretKeyRef"]["key"]
    for _, _, pod in pods(objects):
        for volume in pod.get("volumes", []):
            if "secret" in volume:
                yield volume["secret"]["secretName"], "ca.crt"
    for each in objects:
        if each["kind"] == "TriggerAuthentication":
            yield from ((target["name"], target["key"]) for target in each["spec"]["secretTargetRef"])


@pytest.mark.parametrize(
    "values",
    [merged(example("ha"), {"source": {"enabled": True}}), merged(example("openshift"), example("keda"))],
    ids=["ha", "openshift and keda"],
)
def test_the_commands_make_every_secret_that_the_chart_refers_to(values: Object, created: Secrets) -> None:
    references = set(referred(render(values)))
    assert len({name for name, _ in references}) >= 4
    missing = {(name, key) for name, key in references if key not in created.get(("moderation", name), {})}
    assert missing == set()


def test_each_secret_has_the_account_of_its_role(created: Secrets) -> None:
    connection = example("ha")["kafka"]["connection"]
    users = {role: connection[f"{role}_principal"].removeprefix("User:") for role in ("worker", "operator", "source")}
    accounts = {
        ("moderation", "moderation-kafka"): users["worker"],
        ("moderation", "moderation-kafka-operator"): users["operator"],
        ("moderation", "moderation-kafka-source"): users["source"],
        ("moderation", "moderation-keda"): KEDA,
        ("airflow", "moderation-kafka-batch"): connection["batch_principal"].removeprefix("User:"),
    }
    found = {
        key: (content["username"], content["password"]) for key, content in created.items() if "username" in content
    }
    assert found == {key: (user, password_of(user)) for key, user in accounts.items()}
    authorities = {key: content["ca.crt"] for key, content in created.items() if "ca.crt" in content}
    assert len(authorities) == 3
    assert set(authorities.values()) == {AUTHORITY}


def test_airflow_gets_the_connection_of_its_settings(created: Secrets) -> None:
    airflow = example("airflow")
    wanted = {each["secretName"]: each["secretKey"] for each in airflow["secret"] if "-kafka-" in each["secretName"]}
    wanted["moderation-kafka-ca"] = "ca.crt"
    assert all(key in created["airflow", name] for name, key in wanted.items())
    prefix = "MODERATION_KAFKA_"
    given = {each["name"]: each["value"] for each in airflow["env"] if each["name"].startswith(prefix)}
    mounted = given[f"{prefix}CA_FILE"]
    given[f"{prefix}CA_FILE"] = __file__  # settings require that the file exists
    account = created["airflow", "moderation-kafka-batch"]
    given |= {f"{prefix}USERNAME": account["username"], f"{prefix}PASSWORD": account["password"]}
    settings = Settings.model_validate({name.removeprefix("MODERATION_").lower(): given[name] for name in given})
    extra = kafka_of(settings).airflow_extra() | {"ssl.ca.location": mounted}
    connection = json.loads(created["airflow", "moderation-kafka-connection"]["connection"])
    assert connection == {"conn_type": "kafka", "extra": extra}


def test_a_command_that_publishes_runs_as_the_operator(tmp_path: Path) -> None:
    run(blocks()[1], tmp_path)
    user, password, command = (tmp_path / "created.command").read_text().split(" ", 2)
    assert (user, password) == ("moderation-operator", password_of("moderation-operator"))
    assert command.startswith("republish --topic decisions")
