"""Licences of packages: one that allows the use suffices; the GPL, the AGPL and no licence at all are named."""

from __future__ import annotations

from typing import Any

import pytest

from local.containers.sbom import check_licences
from moderation.errors import StackError


def bill(*stated: dict[str, Any]) -> dict[str, Any]:
    """A bill of one package."""
    return {"components": [{"name": "package", "licenses": list(stated)}]}


def named(text: str) -> dict[str, Any]:
    return {"license": {"name": text}}


@pytest.mark.parametrize(
    "stated",
    [
        [{"license": {"id": "MIT"}}],
        [{"license": {"id": "LGPL-3.0-only"}}],
        [named("License :: OSI Approved :: GNU Library or Lesser General Public License (LGPL)")],
        [{"license": {"id": "GPL-2.0-or-later"}}, named("License :: OSI Approved :: Artistic License")],
        [{"expression": "GPL-3.0-only OR Apache-2.0"}],
        [{"expression": "MPL-2.0 AND MIT"}],
    ],
)
def test_licences_that_allow_the_use(stated: list[dict[str, Any]]) -> None:
    check_licences("worker", bill(*stated))


@pytest.mark.parametrize(
    "stated",
    [
        [{"license": {"id": "GPL-3.0-only"}}],
        [{"license": {"id": "AGPL-3.0-or-later"}}],
        [named("License :: OSI Approved :: GNU General Public License v3 (GPLv3)")],
        [named("License :: OSI Approved :: GNU Affero General Public License v3")],
        [{"expression": "GPL-2.0-only OR AGPL-3.0-only"}],
        [{"expression": "MIT AND GPL-3.0-only"}],
    ],
)
def test_strong_copyleft_is_named(stated: list[dict[str, Any]]) -> None:
    with pytest.raises(StackError, match="under the GPL or AGPL: package"):
        check_licences("worker", bill(*stated))


def test_a_package_without_licence_is_named() -> None:
    with pytest.raises(StackError, match="packages state none: package"):
        check_licences("worker", bill())
