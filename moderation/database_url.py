"""Connection strings of PostgreSQL."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

from moderation.errors import ConfigurationError

_URL, _CA_FILE = "MODERATION_DATABASE_URL", "MODERATION_DATABASE_CA_FILE"
_KEYWORD = re.compile(r"\b(sslmode|sslrootcert)\s*=\s*('[^']*'|\S+)")


def verified_url(url: str, ca_file: Path) -> str:
    """Return a connection string that demands TLS with a certificate and a host name that verify.

    Args:
        url: a connection string of libpq: a URL, or pairs of keyword and value.
        ca_file: certificates of the authority, PEM.

    Raises:
        ConfigurationError: the string states another ``sslmode`` or ``sslrootcert``.
    """
    wanted = {"sslmode": "verify-full", "sslrootcert": str(ca_file)}
    # As libpq reads it: the first @ before any / ends role and password, which may contain a question mark.
    authority = re.match(r"\w+://(?:[^@/]*@)?", url)
    question = url.find("?", authority.end()) if authority else -1
    if authority:
        stated = dict(parse_qsl(url[question + 1 :], keep_blank_values=True)) if question >= 0 else {}
    else:
        stated = {name: value.strip("'") for name, value in _KEYWORD.findall(url)}
    for name, value in wanted.items():
        if stated.get(name, value) != value:
            raise ConfigurationError(
                _URL,
                f"it states {name}={stated[name]}, but {_CA_FILE} demands {name}={value}",
                f"Remove {name} from {_URL}, or do not set {_CA_FILE}.",
            )
    missing = {name: value for name, value in wanted.items() if name not in stated}
    if not missing:
        return url
    if authority:
        return f"{url}{'&' if question >= 0 else '?'}{urlencode(missing, safe='/', quote_via=quote)}"
    escaped = {name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in missing.items()}
    return " ".join([url, *(f"{name}='{value}'" for name, value in escaped.items())])
