"""Build the stand-ins and the images of this project, and load them into the engine.

buildah builds the unchanged Dockerfile, because it mounts certificates and pip's settings of this machine for the build
only. Layers are kept: a build after a change of code installs no packages again.
"""

from __future__ import annotations

import configparser
import json
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local.containers import stand_ins
from local.containers.engine import docker, inside, run_inside
from local.containers.environments import CONTEXT, PLACES, make_environment, quick_dockerfile
from local.containers.folders import CHECKOUT, Folders
from moderation import __version__

TARGETS = ("object-store", "mlflow", "worker", "batch", "source")
"""Targets of the Dockerfile, each after those that it shares layers with."""
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_PIP_FILES = (Path("/etc/pip.conf"), Path.home() / ".config" / "pip" / "pip.conf")


@dataclass(frozen=True, slots=True)
class Source:
    """What images are built from.

    Attributes:
        checkout: folder of the Dockerfile and the locks.
        environments: folder of the environments that uv makes.
        tag: of the images.
    """

    checkout: Path
    environments: Path
    tag: str


@dataclass(frozen=True, slots=True)
class Built:
    """An image that was built and loaded.

    Attributes:
        image: its name.
        bytes: its size in the engine.
        seconds: time of build and loading, with the layers that were there before.
    """

    image: str
    bytes: int
    seconds: float


def build_stand_ins(
    folders: Folders, on_progress: Callable[[str], None], names: Sequence[str] = stand_ins.NAMES
) -> None:
    """Build stand-ins, all of them by default, and load those of which containers are made."""
    for name in names:
        image = stand_ins.image_name(name)
        on_progress(f"stand-in for {image}")
        context = stand_ins.prepare_context(folders, name)
        arguments = ["--build-arg", f"PYTHON_IMAGE={stand_ins.image_name('python')}"] if name == "airflow" else []
        _build(folders, image, context, ["--file", str(context / "Containerfile"), *arguments])
        if name in stand_ins.IN_THE_STACK:
            _load(folders, image)


def build_targets(
    folders: Folders,
    on_progress: Callable[[str], None],
    *,
    fast: bool = False,
    targets: Sequence[str] = TARGETS,
    source: Source | None = None,
) -> list[Built]:
    """Build targets of the Dockerfile, load them and return their sizes.

    Args:
        folders: of the engine.
        on_progress: receives one line for each target.
        fast: whether uv installs the locks, see :mod:`local.containers.environments`.
        targets: see :data:`TARGETS`.
        source: what is built; this checkout if None.
    """
    source = source or Source(CHECKOUT, folders.environments, __version__)
    _write_pip_settings(folders)
    built = []
    for target in targets:
        image = f"comment-moderation-{target}:{source.tag}"
        on_progress(f"image {image}")
        begun = time.monotonic()
        dockerfile = _quick(source, target) if fast else ["--file", str(source.checkout / "Dockerfile")]
        mounts = {folders.certificates: _CERTIFICATES.parent, folders.pip_settings: "/etc/pip.conf"}
        volumes = [f"--volume={folder}:{place}:ro" for folder, place in mounts.items()]
        _build(folders, image, source.checkout, ["--target", target, *dockerfile, *volumes, *_labels()])
        _load(folders, image)
        built.append(Built(image, _size(folders, image), round(time.monotonic() - begun, 1)))
    docker(folders, "image", "prune", "--force")  # images that these replaced, some GB for each build
    return built


def make_environments(folders: Folders, targets: Sequence[str]) -> None:
    """Make the environments that quick builds of the targets need."""
    source = Source(CHECKOUT, folders.environments, __version__)
    for target in targets:
        _make_environment(source, target)


def sizes(folders: Folders) -> dict[str, int]:
    """Return the bytes of each loaded image of this project."""
    names = docker(folders, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "comment-moderation-*").split()
    return {name: _size(folders, name) for name in sorted(names)}


def _build(folders: Folders, image: str, context: Path, arguments: Sequence[str]) -> None:
    # buildah asks for more than this process has, and root may not be allowed to raise its limits.
    limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    own = [f"--ulimit={name}={most}:{most}" for name, kind in limits.items() for most in [resource.getrlimit(kind)[1]]]
    run_inside(
        folders,
        [
            *("buildah", "bud", "--isolation", "chroot", "--pull=never", "--layers", "--format", "docker"),
            *(*own, *arguments, "--tag", image, str(context)),
        ],
    )


def _quick(source: Source, target: str) -> list[str]:
    """Arguments of a build that copies packages from environments that uv made."""
    _make_environment(source, target)
    dockerfile = source.environments / "Dockerfile"
    dockerfile.write_text(quick_dockerfile((source.checkout / "Dockerfile").read_text()))
    return ["--file", str(dockerfile), "--build-context", f"{CONTEXT}={source.environments}"]


def _make_environment(source: Source, target: str) -> None:
    source.environments.mkdir(parents=True, exist_ok=True)
    for name in PLACES:
        if target == name or (target, name) == ("source", "worker"):
            make_environment(source.environments, name, source.checkout)


def _load(folders: Folders, image: str) -> None:
    """Load an image from buildah's store into the engine, unless it is there."""
    digest = run_inside(folders, ["buildah", "inspect", "--type", "image", "--format", "{{.FromImageID}}", image])
    loaded = subprocess.run(
        inside(folders, "docker", "image", "inspect", "--format", "{{.Id}}", image),
        capture_output=True,
        text=True,
        check=False,
    )
    if loaded.stdout.strip().removeprefix("sha256:") == digest.strip():
        return
    archive = folders.work / f"{re.sub(r'[^a-z0-9.]', '-', image)}.tar"
    archive.unlink(missing_ok=True)
    run_inside(folders, ["buildah", "push", "--quiet", image, f"docker-archive:{archive}:{image}"])
    docker(folders, "load", "--quiet", "--input", str(archive))
    archive.unlink()


def _labels() -> list[str]:
    """Build arguments that end up in the labels of an image."""
    commit = ["git", "-C", str(CHECKOUT), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(commit, capture_output=True, text=True, check=False)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return ["--build-arg", f"REVISION={done.stdout.strip() or 'unknown'}", "--build-arg", f"CREATED={created}"]


def _size(folders: Folders, image: str) -> int:
    return int(json.loads(docker(folders, "image", "inspect", image))[0]["Size"])


def _write_pip_settings(folders: Folders) -> None:
    """Copy this machine's certificates and settings of pip to where the engine sees them."""
    folders.certificates.mkdir(exist_ok=True)
    shutil.copy(_CERTIFICATES, folders.certificates / _CERTIFICATES.name)
    settings = configparser.ConfigParser()
    settings.read(_PIP_FILES)
    if not settings.has_section("global"):
        settings.add_section("global")
    settings["global"]["cert"] = str(_CERTIFICATES)
    with folders.pip_settings.open("w") as file:
        settings.write(file)
