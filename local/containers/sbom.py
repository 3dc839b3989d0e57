"""Software bills of materials of the images, as CycloneDX, and a check of the licences in them.

A bill lists the Python packages of an image with version and licence. It is made from an environment that contains the
image's lock and nothing else. What the base image adds is not in it: see ``docs/deploy.md``.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local.containers.environments import PLACES, install_lock
from local.containers.processes import run
from local.stack.environment import inherited_environment
from moderation import __version__
from moderation.errors import StackError

SBOM_FOLDER = Path("build") / "sbom"
_UNSTATED = {"huey": "MIT", "protobuf": "BSD-3-Clause"}
"""Licences of packages whose metadata state none; their repositories do."""
_STRONG_COPYLEFT = re.compile(r"\b(?:AGPL|GPL|Affero|GNU General Public)", re.IGNORECASE)
_WEAK_COPYLEFT = re.compile(r"LGPL|Lesser General Public|Library General Public", re.IGNORECASE)


def write_all(folder: Path, on_progress: Callable[[str], None]) -> None:
    """Write the bill of each image with Python packages, and check its licences.

    Args:
        folder: gets ``comment-moderation-TARGET.cdx.json`` for each target.
        on_progress: receives one line for each target.

    Raises:
        StackError: a package cannot be installed, states no licence, or its only licence is the GPL or the AGPL.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for target in PLACES:
        with tempfile.TemporaryDirectory(prefix="moderation-sbom-") as parent:
            bill = bill_of(target, install_lock(target, Path(parent) / target))
        path = folder / f"comment-moderation-{target}.cdx.json"
        path.write_text(json.dumps(bill, indent=1) + "\n")
        on_progress(f"{path}: {len(bill['components'])} packages")
        check_licences(target, bill)


def bill_of(target: str, python: Path) -> dict[str, Any]:
    """Return the bill of an image.

    Args:
        target: of the Dockerfile.
        python: interpreter of an environment with the packages of the image.
    """
    tool = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--of", "JSON", "-o", "-"]
    bill: dict[str, Any] = json.loads(run([*tool, python], environment=inherited_environment()))
    bill["metadata"]["component"] = {
        "type": "container",
        "bom-ref": f"comment-moderation-{target}",
        "name": f"comment-moderation-{target}",
        "version": __version__,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    for each in bill["components"]:
        if not licences(each) and each["name"] in _UNSTATED:
            each["licenses"] = [{"license": {"id": _UNSTATED[each["name"]]}}]
    return bill


def licences(component: Mapping[str, Any]) -> list[str]:
    """Return the licences that a package states, each as an SPDX id, an SPDX expression or a text."""
    stated = []
    for each in component.get("licenses", []):
        named = each.get("license", {})
        stated.append(each.get("expression") or named.get("id") or named.get("name") or "")
    return [licence for licence in stated if licence]


def check_licences(target: str, bill: Mapping[str, Any]) -> None:
    """Check that no package of an image needs the GPL or the AGPL; one of several licences suffices to use it.

    Raises:
        StackError: a package states no licence, or its only licence is the GPL or the AGPL.
    """
    stated = {each["name"]: licences(each) for each in bill["components"]}
    if unknown := [name for name, each in stated.items() if not each]:
        raise StackError(
            f"licences of the image {target}",
            f"packages state none: {', '.join(unknown)}",
            "Look them up and name them in local/containers/sbom.py.",
        )
    if refused := [name for name, each in stated.items() if all(map(_is_strong, each))]:
        raise StackError(
            f"licences of the image {target}",
            f"packages under the GPL or AGPL: {', '.join(refused)}",
            "Replace them, or make them optional parts that users install themselves.",
        )


def _is_strong(licence: str) -> bool:
    # An expression with alternatives is strong only if each of them is.
    return all(_STRONG_COPYLEFT.search(_WEAK_COPYLEFT.sub("", part)) is not None for part in licence.split(" OR "))
