"""Files of a deployment as data: checks are plain functions, and a test can alter one text and check again."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local.stack.environment import inherited_environment
from tests.conftest import ROOT

COMPOSE, DOCKERFILE, EXAMPLE = "docker-compose.yaml", "Dockerfile", ".env.example"
TLS_COMPOSE, HBA = "docker-compose.tls.yaml", "docker/tls/pg_hba.conf"
PROMETHEUS, DEPLOY_PAGE, LOCK = "docker/prometheus/prometheus.yml", "docs/deploy.md", "requirements.lock"
WORKER_LOCK = "docker/requirements-worker.lock"
DAGS = tuple(f"dags/{path.name}" for path in sorted((ROOT / "dags").glob("*.py")))
NAMES = (COMPOSE, DOCKERFILE, EXAMPLE, PROMETHEUS, DEPLOY_PAGE, LOCK, WORKER_LOCK, *DAGS)
CHART = ROOT / "helm" / "comment-moderation"

Service = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile, continued lines joined."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a Dockerfile."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def last(self, name: str) -> str | None:
        """The arguments of the last instruction of this name; None if there is none."""
        arguments = [each.arguments for each in self.instructions if each.name == name]
        return arguments[-1] if arguments else None

    @property
    def ports(self) -> set[int]:
        """Exposed ports."""
        return {int(port) for port in (self.last("EXPOSE") or "").split()}

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the ENV instructions."""
        text = " ".join(each.arguments for each in self.instructions if each.name == "ENV")
        return dict(re.findall(r"(\w+)=(\S+)", text))


class Files:
    """The texts of the files of a deployment.

    Args:
        texts: by path below the checkout; those of the checkout where absent.
        with_tls: whether the services are those of docker-compose.tls.yaml over docker-compose.yaml.
    """

    def __init__(self, texts: Mapping[str, str] | None = None, *, with_tls: bool = False) -> None:
        self._texts = dict(texts or {})
        self._with_tls = with_tls

    def text(self, name: str) -> str:
        """One file."""
        return self._texts.get(name) or _text(name)

    def altered(self, name: str, old: str, new: str) -> Files:
        """The same files, with a text replaced everywhere in one of them."""
        text = self.text(name)
        assert old in text, f"{name} does not contain {old!r}, so the alteration changes nothing"
        return Files({**self._texts, name: text.replace(old, new)}, with_tls=self._with_tls)

    @property
    def compose_texts(self) -> tuple[str, ...]:
        """The compose files, later ones over earlier ones."""
        names = (COMPOSE, TLS_COMPOSE) if self._with_tls else (COMPOSE,)
        return tuple(map(self.text, names))

    @property
    def services(self) -> dict[str, Service]:
        """The services as Compose parses them, with all profiles, all secrets set and no optional variable."""
        return self.services_with("")

    def services_with(self, options: str) -> dict[str, Service]:
        """The services with optional variables: the lines of an environment file."""
        services: dict[str, Service] = _rendered(self.compose_texts, options)["services"]
        return services

    @property
    def stages(self) -> dict[str, Stage]:
        """The Dockerfile's stages by name."""
        return {stage.name: stage for stage in _stages(self.text(DOCKERFILE))}

    @property
    def prometheus(self) -> dict[str, Any]:
        """Prometheus' configuration."""
        configuration: dict[str, Any] = yaml.safe_load(self.text(PROMETHEUS))
        return configuration

    def locked(self, package: str) -> str:
        """The version of a package in the lock."""
        match = re.search(rf"^{re.escape(package)}==([^ ]+)", self.text(LOCK), re.MULTILINE)
        assert match, f"{package} is not in the lock"
        return match[1]


def compose(*arguments: str, texts: Sequence[str], environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``docker-compose`` on the texts of compose files, with only the variables of another text."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files: list[str | Path] = []
        (folder / "env").write_text(environment)
        for number, text in enumerate(texts):
            (folder / f"{number}.yaml").write_text(text)
            files += ["--file", str(folder / f"{number}.yaml")]
        return subprocess.run(
            [
                Path(sys.executable).with_name("docker-compose"),
                *(*files, "--project-directory", ROOT, "--env-file", folder / "env", "--profile", "*"),
                *arguments,
            ],
            env={"PATH": inherited_environment()["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )


def filled(example: str) -> str:
    """An example of an environment file with every secret set."""
    return re.sub(r"^(\w+)=$", r"\1=secret-\1", example, flags=re.MULTILINE)


@functools.lru_cache(maxsize=64)
def _rendered(texts: tuple[str, ...], options: str) -> dict[str, Any]:
    # With the example as it is, so that a check, and not Compose, detects an altered example.
    done = compose("config", "--format", "json", texts=texts, environment=f"{filled(_text(EXAMPLE))}\n{options}\n")
    assert done.returncode == 0, done.stderr
    rendered: dict[str, Any] = json.loads(done.stdout)
    return rendered


@functools.cache
def _text(name: str) -> str:
    return (ROOT / name).read_text()


def _stages(text: str) -> list[Stage]:
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", " ", lines).splitlines():
        name, _, arguments = line.strip().partition(" ")
        if name == "FROM":
            base, _, stage = arguments.partition(" AS ")
            stages.append(Stage(stage, base, ()))
        elif name:
            last = stages.pop()
            stages.append(Stage(last.name, last.base, (*last.instructions, Instruction(name, arguments.strip()))))
    return stages
