"""JSON Schemas of the contracts, generated from the classes: ``python -m moderation.contracts.json_schemas``.

The committed files in ``contracts/schemas`` are for producers and consumers in other languages. A test compares them
with the output of this module.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from moderation.contracts.records import Action, Comment, DeadLetter, Decision, Pane

SCHEMAS_DIR = Path(__file__).parent / "schemas"
CONTRACTS: dict[str, type] = {
    "comment": Comment,
    "action": Action,
    "decision": Decision,
    "pane": Pane,
    "dead_letter": DeadLetter,
}


def json_schema(name: str) -> dict[str, Any]:
    """Generate the JSON Schema (draft 2020-12) of a contract: no additional properties, ``schema_version`` required.

    Args:
        name: ``comment``, ``action``, ``decision``, ``pane`` or ``dead_letter``.

    Raises:
        KeyError: there is no such contract.
    """
    schema = TypeAdapter(CONTRACTS[name]).json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["additionalProperties"] = False
    schema["required"] = [*schema["required"], "schema_version"]
    schema["properties"]["schema_version"].pop("default")
    if name == "dead_letter":
        schema["properties"]["raw"] = {"type": "string", "contentEncoding": "base64", "title": "Raw"}
    return schema


def rendered(name: str) -> str:
    """The text of the schema file of a contract."""
    return json.dumps(json_schema(name), indent=2, sort_keys=True) + "\n"


def write_all() -> None:
    """Write the schema files of all contracts to ``contracts/schemas``."""
    SCHEMAS_DIR.mkdir(exist_ok=True)
    for name in CONTRACTS:
        (SCHEMAS_DIR / f"{name}.json").write_text(rendered(name))


if __name__ == "__main__":
    write_all()
