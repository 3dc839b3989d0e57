"""Pods of the chart that run in the engine log in with the accounts of docker-compose.yaml."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from local.containers.checks.chart import rendered, secrets_of, values_of
from local.containers.checks.system import System
from local.containers.pods import Namespace, Object, run_options
from tests.deploy.files import EXAMPLE, Files, filled

ACCOUNTS = {
    "worker": ("MODERATION_DATABASE_URL", "MODERATION_MLFLOW_USERNAME", "MODERATION_MLFLOW_PASSWORD"),
    "migrate": ("MODERATION_DATABASE_URL",),
    "certify": ("MODERATION_MLFLOW_USERNAME", "MODERATION_MLFLOW_PASSWORD"),
}
"""Variables of the accounts of each pod that the service of the same name has, too."""


@pytest.fixture(scope="module")
def system() -> System:
    """A system whose ``.env`` is the example with every secret set."""
    values = dict(re.findall(r"^#?(\w+)=(.*)$", filled(Files().text(EXAMPLE)), re.MULTILINE))
    values["MODERATION_VERIFY_KEYS"] = "A" * 43 + "="
    return cast(System, SimpleNamespace(project=SimpleNamespace(value=values.__getitem__)))


@pytest.fixture(scope="module")
def objects(system: System) -> list[Object]:
    return rendered(values_of(system, {}))


def variables(objects: list[Object], name: str, namespace: Namespace) -> dict[str, str]:
    """The environment of the container that a Job or Deployment of this name becomes."""
    (pod,) = (
        each["spec"]["template"]["spec"]
        for each in objects
        if each["kind"] in ("Job", "Deployment") and each["metadata"]["name"].endswith(f"-{name}")
    )
    words = run_options(pod, namespace)
    settings = [value for option, value in pairwise(words) if option == "--env"]
    return dict(setting.split("=", 1) for setting in settings)


@pytest.mark.parametrize("name", list(ACCOUNTS))
def test_a_pod_has_the_accounts_of_its_service(
    name: str, system: System, objects: list[Object], tmp_path: Path
) -> None:
    service: dict[str, Any] = Files().services[name]["environment"]
    pod = variables(objects, name, Namespace(secrets_of(system), tmp_path))
    assert {each: pod[each] for each in ACCOUNTS[name]} == {each: service[each] for each in ACCOUNTS[name]}


def test_every_secret_that_a_pod_refers_to_exists(system: System, objects: list[Object], tmp_path: Path) -> None:
    namespace = Namespace(secrets_of(system), tmp_path)
    for name in ("migrate", "topics", "certify", "worker"):
        assert variables(objects, name, namespace)["HOME"], name
