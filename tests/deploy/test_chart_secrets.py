"""The page about Kubernetes creates every secret that the examples refer to; workers have no account of a job."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT
from tests.deploy.chart import EXAMPLES, NAMESPACE, Object, containers, merged, render
from tests.deploy.test_chart import MINIMAL, RENDERED, VALUES
from tests.deploy.test_chart_examples import DEFAULTS, HA, written

PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
OF_CHART = sorted(
    path.stem
    for path in EXAMPLES.glob("*.yaml")
    if path.stem != "strimzi" and written(path.stem).keys() <= DEFAULTS.keys()
)
"""Examples that are values of this chart; the others are values of other charts, or objects."""
EACH = pytest.mark.parametrize("name", [*OF_CHART, "ha, private-ca and the source"])
_DATABASE, _MLFLOW = "MODERATION_DATABASE_URL", "MODERATION_MLFLOW_PASSWORD"

Reference = tuple[str, str | None]
"""Name of a secret and its key; None for all keys."""


def created() -> dict[str, set[str]]:
    """Keys of each secret that a command of the page creates in the chart's namespace."""
    commands = re.sub(r"\\\n\s*", " ", "\n".join(re.findall(r"^```\w*\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL)))
    secrets: dict[str, set[str]] = {}
    for words in re.findall(rf"^kubectl -n {NAMESPACE} create secret generic (.+)$", commands, re.MULTILINE):
        name, *options = shlex.split(words, comments=True)
        assert name not in secrets, f"two commands create {name}"
        sources = [option.partition("=")[2] for option in options if option.startswith("--from-")]
        secrets[name] = {source.partition("=")[0] for source in sources}
    return secrets


def listed() -> set[str]:
    """Secrets in the table of the page."""
    section = PAGE.split("\n## Secrets\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(.+?)`", row)}


def references(node: object) -> Iterator[Reference]:
    """Secrets that objects need, with each key; optional keys are left out."""
    if isinstance(node, list):
        for each in node:
            yield from references(each)
    elif isinstance(node, dict):
        for field, value in node.items():
            if field in ("secretKeyRef", "credentials") and not value.get("optional"):
                yield value["name"], value["key"]
            elif field == "secretTargetRef":
                yield from ((each["name"], each["key"]) for each in value)
            elif field == "imagePullSecrets":
                yield from ((each["name"], ".dockerconfigjson") for each in value)
            elif field in ("secret", "secretRef"):
                yield value.get("secretName") or value["name"], None
            else:
                yield from references(value)


def missing_secrets(objects: list[Object]) -> list[Reference]:
    """References to a secret or key that no command of the page creates."""
    secrets = created()
    return sorted(
        (name, key)
        for name, key in set(references(objects))
        if name not in secrets or (key is not None and key not in secrets[name])
    )


def account_complaints(objects: list[Object]) -> list[str]:
    """Jobs with an account of the worker, and a worker with an account of a job."""
    accounts: dict[str, dict[str, str]] = {}
    for title, container in containers(objects):
        pod = "worker" if title.startswith("Deployment") and title.endswith(" worker") else title.rpartition(" ")[2]
        accounts[pod] = {
            each["name"]: each["valueFrom"]["secretKeyRef"]["name"]
            for each in container.get("env", [])
            if "valueFrom" in each
        }
    worker, migrate, certify = (accounts[pod] for pod in ("worker", "migrate", "certify"))
    complaints = []
    if any(each.get(_DATABASE) == migrate[_DATABASE] for pod, each in accounts.items() if pod != "migrate"):
        complaints.append(f"migrate shares {migrate[_DATABASE]} with another pod")
    if (_MLFLOW in worker) != (_MLFLOW in certify):
        complaints.append("only one of worker and certify has an account of MLflow")
    elif _MLFLOW in worker and worker[_MLFLOW] == certify[_MLFLOW]:
        complaints.append(f"certify has the worker's account of MLflow: {certify[_MLFLOW]}")
    return complaints


def test_these_examples_are_values_of_the_chart() -> None:
    assert OF_CHART == ["air-gapped", "ha", "keda", "minimal", "openshift", "private-ca"]
    assert set(OF_CHART) <= VALUES.keys()


def test_the_table_lists_the_secrets_that_commands_create_and_no_others() -> None:
    assert listed() == created().keys()


@EACH
def test_commands_create_every_secret_that_an_example_refers_to(name: str) -> None:
    assert missing_secrets(RENDERED[name]) == []


@EACH
def test_workers_have_no_account_of_a_job(name: str) -> None:
    assert account_complaints(RENDERED[name]) == []


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"database": {"ownerSecret": "owner"}}, [("owner", "url")]),
        ({"httpToken": {"key": "bearer"}}, [("moderation-http", "bearer")]),
        ({"imagePullSecrets": ["registry"]}, [("registry", ".dockerconfigjson")]),
        ({"extraVolumes": [{"name": "x", "secret": {"secretName": "ca"}}]}, [("ca", None)]),
    ],
)
def test_a_secret_that_no_command_creates_is_detected(change: Object, missing: list[Reference]) -> None:
    assert missing_secrets(render(merged(MINIMAL, change))) == missing


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"database": {"ownerSecret": ""}}, "migrate shares moderation-database with another pod"),
        (
            {"hooks": {"certify": {"mlflowSecret": ""}}},
            "certify has the worker's account of MLflow: moderation-mlflow",
        ),
        ({"mlflow": {"existingSecret": ""}}, "only one of worker and certify has an account of MLflow"),
    ],
)
def test_an_account_that_a_worker_shares_with_a_job_is_detected(change: Object, complaint: str) -> None:
    assert account_complaints(render(merged(HA, change))) == [complaint]
