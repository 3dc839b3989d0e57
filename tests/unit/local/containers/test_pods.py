"""A pod becomes a container with the same user, files, environment and restrictions."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from local.containers.pods import Namespace, Object, bytes_of, run_command, run_options
from moderation.errors import StackError

POD: Object = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001},
    "terminationGracePeriodSeconds": 60,
    "containers": [
        {
            "name": "worker",
            "image": "worker:1",
            "command": ["python", "-m", "stream"],
            "args": ["worker"],
            "env": [
                {"name": "PLAIN", "value": "1"},
                {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "database", "key": "url"}}},
                {"name": "ABSENT", "valueFrom": {"secretKeyRef": {"name": "database", "key": "x", "optional": True}}},
            ],
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "resources": {"limits": {"memory": "1Gi"}},
            "volumeMounts": [{"name": "state", "mountPath": "/state"}, {"name": "ca", "mountPath": "/ca"}],
        }
    ],
    "volumes": [
        {"name": "state", "emptyDir": {"sizeLimit": "2Gi"}},
        {"name": "ca", "configMap": {"name": "private-ca"}},
    ],
}


@pytest.fixture
def namespace(tmp_path: Path) -> Namespace:
    return Namespace({"database": {"url": "postgresql://x"}}, tmp_path, maps={"private-ca": {"ca.crt": "text"}})


def test_user_files_environment_and_restrictions_are_those_of_the_pod(namespace: Namespace) -> None:
    assert run_options(POD, namespace) == [
        *("--user", "10001:10001", "--group-add", "10001", "--read-only", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges:true", "--memory", "1073741824", "--stop-timeout", "60"),
        *("--env", "PLAIN=1", "--env", "SECRET=postgresql://x"),
        *("--tmpfs", "/state:mode=2777,gid=10001,size=2147483648"),
        *("--volume", f"{namespace.files / 'private-ca'}:/ca:ro"),
    ]
    assert (namespace.files / "private-ca" / "ca.crt").read_text() == "text"
    assert run_command(POD) == ["--entrypoint", "python", "worker:1", "-m", "stream", "worker"]


def test_the_platform_assigns_a_user_where_the_pod_names_none(namespace: Namespace) -> None:
    pod = deepcopy(POD)
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        del pod["securityContext"][key]
    assigned = Namespace(namespace.secrets, namespace.files, 1_000_660_000, namespace.maps)
    assert run_options(pod, assigned)[:4] == ["--user", "1000660000:0", "--group-add", "1000660000"]
    assert "/state:mode=2777,gid=1000660000,size=2147483648" in run_options(pod, assigned)
    with pytest.raises(StackError, match="it would run as user None"):
        run_options(pod, namespace)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"securityContext": {**POD["securityContext"], "runAsUser": 0}}, "it would run as user 0"),
        ({"volumes": [POD["volumes"][0], {"name": "ca", "configMap": {"name": "other"}}]}, "ConfigMap other"),
        ({"volumes": [POD["volumes"][0], {"name": "ca", "secret": {"secretName": "other"}}]}, "Secret other"),
    ],
)
def test_what_a_cluster_would_refuse_is_refused(namespace: Namespace, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(StackError, match=message):
        run_options({**POD, **changed}, namespace)


def test_a_key_that_a_secret_lacks_is_named(namespace: Namespace) -> None:
    pod = deepcopy(POD)
    pod["containers"][0]["env"][1]["valueFrom"]["secretKeyRef"]["key"] = "address"
    with pytest.raises(StackError, match="Secret database: it has no key address"):
        run_options(pod, namespace)


@pytest.mark.parametrize(("quantity", "size"), [("1024", 1_024), ("512Mi", 536_870_912), ("2Gi", 2_147_483_648)])
def test_quantities_are_bytes(quantity: str, size: int) -> None:
    assert bytes_of(quantity) == size
