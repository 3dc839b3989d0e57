"""Validate objects with Kubernetes' own schemas, and resources of operators with the small schemas in crds/."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
from jsonschema import Draft202012Validator

from tests.deploy.chart import Object, title

KUBERNETES = "1.37"
_CRDS = Path(__file__).parent / "crds"


@cache
def _crd(api_version: str, kind: str) -> Draft202012Validator | None:
    for path in _CRDS.glob("*.json"):
        schema: dict[str, Any] = json.loads(path.read_text())
        if (schema["x-api-version"], schema["x-kind"]) == (api_version, kind):
            return Draft202012Validator(schema)
    return None


def schema_complaints(objects: list[Object]) -> list[str]:
    """Violations of the schemas, including unknown fields and unknown kinds."""
    complaints = []
    for each in objects:
        validator = _crd(each["apiVersion"], each["kind"])
        if validator is not None:
            complaints += [
                f"{title(each)}: {error.json_path}: {error.message}" for error in validator.iter_errors(each)
            ]
            continue
        try:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            complaints.append(f"{title(each)}: {error.json_path}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError as error:
            complaints.append(f"{title(each)}: {error.message}")
    return complaints
