"""Run pods of the rendered chart as containers of the engine, with the restrictions that Kubernetes would set.

Translated: image, command, environment with values of Secrets, volumes (emptyDir, Secret, ConfigMap), user, groups,
read-only root file system, capabilities, privilege escalation, memory limit, and the grace of a stop. Not translated:
scheduling, services, network policies, and what operators do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moderation.errors import StackError

Object = dict[str, Any]
_UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_SET_GROUP_MODE = "2777"
"""Mode of an emptyDir under fsGroup: new files belong to the group."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """What a cluster has besides the chart.

    Attributes:
        secrets: value by key, by name of a Secret.
        files: folder with a subfolder for each Secret and ConfigMap that is mounted.
        assigned_user: user and group of pods that name none, as OpenShift assigns them; None refuses such pods.
        maps: value by key, by name of a ConfigMap.
    """

    secrets: Mapping[str, Mapping[str, str]]
    files: Path
    assigned_user: int | None = None
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def run_options(pod: Object, namespace: Namespace) -> list[str]:
    """Return options of ``docker run`` for the only container of a pod, without its image and command.

    Args:
        pod: specification of the pod.
        namespace: Secrets and ConfigMaps that the pod refers to.

    Raises:
        StackError: the pod refers to something that does not exist, or has more than one container.
    """
    container = _container(pod)
    context, own = pod["securityContext"], container["securityContext"]
    return [
        *_identity({**context, **own}, namespace),
        *(["--read-only"] if own["readOnlyRootFilesystem"] else []),
        *(word for name in own["capabilities"]["drop"] for word in ("--cap-drop", name)),
        *([] if own["allowPrivilegeEscalation"] else ["--security-opt", "no-new-privileges:true"]),
        *("--memory", str(bytes_of(container["resources"]["limits"]["memory"]))),
        *("--stop-timeout", str(pod.get("terminationGracePeriodSeconds", 30))),
        *_environment(container, namespace),
        *_volumes(pod, container, namespace),
    ]


def run_command(pod: Object) -> list[str]:
    """Return image, command and arguments of the only container of a pod, as ``docker run`` takes them at its end."""
    container = _container(pod)
    program, *words = [str(word) for word in (*container["command"], *container.get("args", []))]
    return ["--entrypoint", program, container["image"], *words]


def _container(pod: Object) -> Object:
    container: Object
    (container,) = pod["containers"]
    return container


def bytes_of(quantity: str) -> int:
    """Return the bytes of a Kubernetes quantity, e.g. ``512Mi``."""
    number, unit = re.fullmatch(r"(\d+)([KMG]i|)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * _UNITS[unit]


def _identity(context: Object, namespace: Namespace) -> list[str]:
    """User and groups; where the pod names none, those that the platform assigns, with group 0 as OpenShift does."""
    user, group, fs_group = context.get("runAsUser"), context.get("runAsGroup", 0), context.get("fsGroup")
    if user is None:
        user = fs_group = namespace.assigned_user
    if not user or not context["runAsNonRoot"]:
        raise StackError("a pod of the chart", f"it would run as user {user}", "See podSecurityContext.")
    return ["--user", f"{user}:{group}", *(["--group-add", str(fs_group)] if fs_group else [])]


def _environment(container: Object, namespace: Namespace) -> list[str]:
    words = []
    for variable in container.get("env", []):
        value = variable.get("value")
        if value is None:
            reference = variable["valueFrom"]["secretKeyRef"]
            value = _keys(namespace.secrets, "Secret", reference["name"]).get(reference["key"])
            if value is None:
                if reference.get("optional"):
                    continue
                raise StackError(f"Secret {reference['name']}", f"it has no key {reference['key']}", "")
        words += ["--env", f"{variable['name']}={value}"]
    return words


def _volumes(pod: Object, container: Object, namespace: Namespace) -> list[str]:
    sources = {volume["name"]: volume for volume in pod.get("volumes", [])}
    group = pod["securityContext"].get("fsGroup", namespace.assigned_user)
    words = []
    for mount in container.get("volumeMounts", []):
        source, path = sources[mount["name"]], mount["mountPath"]
        if "emptyDir" in source:
            limit = source["emptyDir"].get("sizeLimit", "1Gi")
            words += ["--tmpfs", f"{path}:mode={_SET_GROUP_MODE},gid={group},size={bytes_of(limit)}"]
        else:
            words += ["--volume", f"{_written(source, namespace)}:{path}:ro"]
    return words


def _written(source: Object, namespace: Namespace) -> Path:
    """Write the files of a Secret or ConfigMap and return their folder."""
    if "secret" in source:
        kind, name, known = "Secret", source["secret"]["secretName"], namespace.secrets
    else:
        kind, name, known = "ConfigMap", source["configMap"]["name"], namespace.maps
    folder = namespace.files / str(name)
    folder.mkdir(parents=True, exist_ok=True)
    for key, text in _keys(known, kind, name).items():
        (folder / key).write_text(text)
    return folder


def _keys(known: Mapping[str, Mapping[str, str]], kind: str, name: str) -> Mapping[str, str]:
    if name not in known:
        raise StackError(f"{kind} {name}", "it does not exist", "")
    return known[name]
