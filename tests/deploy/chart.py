"""Render, lint and package the chart with Helm's library, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import helm_python
import yaml

from tests.conftest import ROOT

CHART = ROOT / "helm" / "comment-moderation"
EXAMPLES = CHART / "examples"
RELEASE, NAMESPACE = "moderation", "moderation"

Object = dict[str, Any]
"""A Kubernetes object."""


def example(name: str) -> Object:
    """The values, or the only document, of an example."""
    values: Object = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    return values


def merged(*values: Object) -> Object:
    """Values, later ones over earlier ones, as Helm merges several files."""
    result: Object = {}
    for each in values:
        for key, value in each.items():
            before = result.get(key)
            inside = isinstance(before, dict) and isinstance(value, dict)
            result[key] = merged(before, value) if inside else deepcopy(value)  # type: ignore[arg-type]
    return result


def render(values: Object, chart: Path = CHART) -> list[Object]:
    """All objects of the chart.

    Raises:
        helm_python.HelmError: the values are refused.
    """
    with helm_python.Chart.load(chart) as loaded:
        loaded.validate_schema(values)
        rendered = loaded.render(values, name=RELEASE, namespace=NAMESPACE, is_install=True)
    texts = [text for path, text in rendered.items() if path.endswith(".yaml")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def notes(values: Object) -> str:
    """The text that Helm prints after an installation."""
    with helm_python.Chart.load(CHART) as loaded:
        rendered = loaded.render(values, name=RELEASE, namespace=NAMESPACE, is_install=True)
    return next(text for path, text in rendered.items() if path.endswith("NOTES.txt"))


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    """The objects of one kind."""
    return [each for each in objects if each["kind"] == kind]


def named(objects: list[Object], kind: str, end: str) -> Object:
    """The only object of a kind whose name has this ending."""
    (match,) = (each for each in of_kind(objects, kind) if each["metadata"]["name"].endswith(end))
    return match


def title(each: Object) -> str:
    """Kind and name."""
    return f"{each['kind']} {each['metadata']['name']}"


def pods(objects: list[Object]) -> Iterator[tuple[str, Object, Object]]:
    """Title, labels and specification of every pod that the objects create."""
    for each in objects:
        if each["kind"] == "Pod":
            yield title(each), each["metadata"]["labels"], each["spec"]
        elif each["kind"] in ("Deployment", "Job"):
            template = each["spec"]["template"]
            yield title(each), template["metadata"]["labels"], template["spec"]


def containers(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Title and specification of every container."""
    for name, _, pod in pods(objects):
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            yield f"{name} {container['name']}", container


def environment(container: Object) -> dict[str, str | None]:
    """Names and values of a container's environment; None for a value from a secret."""
    return {each["name"]: each.get("value") for each in container.get("env", [])}
