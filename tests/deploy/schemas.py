"""Objects held against Kubernetes' own schemas, and the resources of operators against small ones kept in crds/."""

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
    """What the schemas have against objects; unknown fields and unknown kinds too."""
    found = []
    for each in objects:
        validator = _crd(each["apiVersion"], each["kind"])
        if validator is not None:
            found += [f"{title(each)}: {error.json_path}: {error.message}" for error in validator.iter_errors(each)]
            continue
        try:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{title(each)}: {error.json_path}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError as error:
            found.append(f"{title(each)}: {error.message}")
    return found
