"""The examples in docs/message-formats.md: code blocks by language, and the messages that they send."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Any

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "message-formats.md"
NOW_US = 1_767_225_600_000_000
"""The time that stands for the present one in the messages."""


def block(language: str) -> str:
    """Return the only code block of a language."""
    (code,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(code)


def messages(language: str) -> dict[str, dict[str, Any]]:
    """Return the messages ``comment`` and ``action`` of a code block."""
    code = block(language)
    return {name: _READERS[language](code, name) for name in ("comment", "action")}


def _python(code: str, name: str) -> dict[str, Any]:
    for node in ast.parse(code).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            fields: dict[str, Any] = ast.literal_eval(ast.unparse(node.value).replace("now_us", str(NOW_US)))
            return fields
    raise AssertionError(f"the block assigns no {name}")


def _java(code: str, name: str) -> dict[str, Any]:
    (arguments,) = re.findall(rf"{name} = Map\.of\((.*?)\);", code, re.DOTALL)
    values = json.loads(f"[{arguments.replace('nowUs', str(NOW_US))}]")
    return dict(zip(values[::2], values[1::2], strict=True))


def _javascript(code: str, name: str) -> dict[str, Any]:
    (literal,) = re.findall(rf"const {name} = (\{{.*?\}});", code, re.DOTALL)
    fields: dict[str, Any] = json.loads(literal.replace("nowUs", str(NOW_US)))
    return fields


_READERS: dict[str, Callable[[str, str], dict[str, Any]]] = {"python": _python, "java": _java, "js": _javascript}
LANGUAGES = tuple(_READERS)
