"""Clean texts: entities, Markdown links, escapes and dashes. Linear in the length of the text."""

from __future__ import annotations

import html
import re

_ENTITY = re.compile(r"&(?:#[0-9]{1,7};?|#[xX][0-9a-fA-F]{1,6};?|[A-Za-z][A-Za-z0-9]{1,31};?)")
_CODE_POINT = re.compile(r"<[uU]\+([0-9a-fA-F]{4,6})>")
_LINK = re.compile(r"\[([^\[\]]*)\]\(([^()\s]*)\)")
# Bytes 0x80-0x9f of an ISO-8859-1 export are cp1252 characters (curly quotes, dashes).
_C1 = {code: char for code in range(0x80, 0xA0) if (char := bytes([code]).decode("cp1252", "ignore"))}


def clean(text: str) -> str:
    """Convert the body of a comment to plain text.

    HTML entities and ``<U+2019>`` escapes become characters, cp1252 bytes decoded as ISO-8859-1 are corrected,
    ``[text](url)`` becomes both parts, ``--`` a dash between spaces, and backslashes are removed.

    Args:
        text: any string, also empty or with lone surrogates.

    Returns:
        The cleaned text; unchanged if there is nothing to clean.
    """
    # The tests are much cheaper than the substitutions, which most comments do not need.
    if not text.isascii():
        text = text.translate(_C1)
    if "&" in text:
        text = _ENTITY.sub(_entity, text)
    if "<" in text:
        text = _CODE_POINT.sub(_character, text)
    if "](" in text:
        text = _LINK.sub(r" \1 \2 ", text)
    if "--" in text:
        text = text.replace("--", " - ")
    if "\\" in text:
        text = text.replace("\\", "")
    return text


def _entity(match: re.Match[str]) -> str:
    return html.unescape(match.group())


def _character(match: re.Match[str]) -> str:
    code = int(match.group(1), 16)
    is_scalar = code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF
    return chr(code) if is_scalar else match.group()
