"""Write the tables of docs/message-formats.md from the contracts: ``python -m local.docs.message_formats``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from batch.markdown import table
from moderation.contracts.json_schemas import json_schema

PAGE = Path(__file__).parents[2] / "docs" / "message-formats.md"
_BLOCK = re.compile(r"(<!-- fields: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_NO_NUL = "^[^\\u0000]*$"

MEANINGS: dict[str, dict[str, str]] = {
    "comment": {
        "comment_id": "id of the comment; an edit has the same one",
        "community": "where it was written, e.g. the forum or the subreddit",
        "body": "the text, as written",
        "event_time_us": "when this text was written, microseconds since 1970-01-01, UTC",
        "author_key": "pseudonym of the author, always the same for one author",
        "parent_id": "id of the comment that it answers",
        "schema_version": "version of this format",
    },
    "action": {
        "comment_id": "the comment",
        "kind": "what the moderator did",
        "moderator_key": "who did it, e.g. a pseudonym",
        "reason": "why, in words or as a code; may be empty",
        "action_time_us": "when, microseconds since 1970-01-01, UTC",
        "inclusion_probability": "how likely the comment was to be looked at: 1 where moderators look at everything, "
        "0.05 where they look at a random 5 %",
        "schema_version": "version of this format",
    },
    "decision": {
        "topic": "name of the topic that the comment was on",
        "topic_id": "Kafka's id of that topic",
        "partition": "position of the comment's record",
        "offset": "position of the comment's record",
        "comment_id": "of the comment",
        "community": "of the comment",
        "event_time_us": "of the comment",
        "score_ppm": "probability of removal, parts per million",
        "verdict": "what to do with the comment",
        "model_version": "version in the registry that scored it",
        "policy_version": "thresholds that were applied",
        "fate": "how it entered the statistics",
        "repairs": "what had to be changed to read the record",
        "schema_version": "version of this format",
        "inclusion_ppm": "probability that the policy gives it the verdict `review`, parts per million; null if the "
        "policy does not explore",
    },
}
"""Meaning of each field, by contract."""


def updated_page(text: str) -> str:
    """Return the page with all tables rendered again.

    Args:
        text: of the page; tables are between ``<!-- fields: CONTRACT -->`` and ``<!-- end -->``.

    Raises:
        ValueError: a table is missing or unknown.
    """
    names = [match[2] for match in _BLOCK.finditer(text)]
    if sorted(names) != sorted(MEANINGS):
        raise ValueError(f"the page has tables of {sorted(names)}, not of {sorted(MEANINGS)}")
    return _BLOCK.sub(lambda match: f"{match[1]}{fields_table(match[2])}{match[3]}", text)


def fields_table(name: str) -> str:
    """Return the table of a contract's fields, as Markdown.

    Args:
        name: of the contract, see :data:`moderation.contracts.json_schemas.CONTRACTS`.

    Raises:
        KeyError: a field has no meaning here.
    """
    schema = json_schema(name)
    rows = []
    for field, definition in schema["properties"].items():
        is_required = "yes" if field in schema["required"] else ""
        rows.append((f"`{field}`", is_required, _type(definition, schema.get("$defs", {})), MEANINGS[name][field]))
    return "\n".join(table("| field | required | type | meaning |", rows)) + "\n"


def _type(definition: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Return the type of a field with its limits in words."""
    if "anyOf" in definition:
        return "; or ".join(_type(each, definitions) for each in definition["anyOf"])
    if "$ref" in definition:
        return _type(definitions[definition["$ref"].rpartition("/")[2]], definitions)
    if "const" in definition:
        return f"`{definition['const']}`"
    if "enum" in definition:
        return " or ".join(f"`{value}`" for value in definition["enum"])
    if definition["type"] == "array":
        return f"list of: {_type(definition['items'], definitions)}"
    texts = [_range(definition, "minLength", "maxLength", " characters"), _range(definition, "minimum", "maximum", "")]
    if "exclusiveMinimum" in definition:
        texts.insert(0, f"above {definition['exclusiveMinimum']}")
    if definition.get("pattern") == _NO_NUL:
        texts.append("without NUL")
    return ", ".join([definition["type"], *filter(None, texts)])


def _range(definition: dict[str, Any], least: str, most: str, unit: str) -> str:
    if most not in definition:
        return f"at least {definition[least]:,}{unit}" if least in definition else ""
    first = f"{definition[least]:,} to " if least in definition else "at most "
    return f"{first}{definition[most]:,}{unit}"


def main() -> None:
    """Write the page."""
    PAGE.write_text(updated_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"docs/{PAGE.name} is written\n")


if __name__ == "__main__":
    main()
