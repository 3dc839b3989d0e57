"""Addresses of databases in the form that settings accept."""

from __future__ import annotations

from typing import Any

from sqlalchemy import make_url


def altered_url(url: str, *, options: str | None = None, **parts: Any) -> str:
    """Return an address with other parts.

    Args:
        url: begins with ``postgresql://``.
        options: parameter ``options`` of libpq.
        parts: ``username``, ``password``, ``host``, ``port`` or ``database``.
    """
    altered = make_url(url).set(**parts)
    if options is not None:
        altered = altered.update_query_dict({"options": options})
    return altered.render_as_string(hide_password=False)
