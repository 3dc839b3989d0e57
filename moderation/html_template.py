"""Load the HTML templates of a package: everything that a template shows is escaped."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def html_templates(package: str) -> Environment:
    """Return the templates in the folder ``templates`` of a package.

    A name that a template uses and nobody gave it raises ``jinja2.UndefinedError``.

    Args:
        package: its dotted name.
    """
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
