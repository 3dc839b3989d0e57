"""Checks of containers have names of their own and are in the evidence, and the former release gets its own images."""

from __future__ import annotations

import json
from typing import Any

from local.containers import documented, stand_ins
from local.containers.checks.upgrade import COMMIT, with_former_images
from local.containers.images import TARGETS
from local.containers.trial import CHECKS, SHORT, SHORT_STAND_INS, SHORT_TARGETS
from local.docs.evidence import EVIDENCE
from tests.deploy.files import Files
from tests.deploy.image_checks import external_images


def test_checks_have_names_of_their_own_and_say_what_is_promised() -> None:
    names = [check.__name__ for check in (*CHECKS, *SHORT)]
    assert len(set(names)) == len({*CHECKS, *SHORT})
    assert all(check.__doc__ for check in (*CHECKS, *SHORT))


def test_the_evidence_contains_every_check_and_each_passed() -> None:
    checks = json.loads((EVIDENCE / "containers.json").read_text())["figures"]["checks"]
    assert {name: check["passed"] for name, check in checks.items()} == {check.__name__: True for check in CHECKS}


def test_a_check_or_a_test_runs_every_command_of_the_page_or_a_reason_says_why_none_does() -> None:
    commands = list(documented.commands(documented.PAGE.read_text()))
    assert len(commands) > 50
    assert [each for each in commands if documented.covered_by(each) is None] == []
    keys = [key.removesuffix("*") for key in documented.COVERED]
    assert [key for key in keys if not any(each.startswith(key) for each in commands)] == []
    used = {documented.covered_by(each) for each in commands}
    names = {check.__name__ for check in CHECKS}
    tests = {"all checks", "all tests", "tests/deploy", "tests/integration", "tests/unit"}
    assert {each for each in used if each and not each.startswith("not run: ")} - tests <= names


def test_a_command_is_read_without_its_comment_and_on_one_line() -> None:
    page = "Run `docker compose\nps`, not `docker`.\n```\nmake env     # a comment\na \\\n    b\n```\n"
    assert list(documented.commands(page)) == ["make env", "a b", "docker compose ps"]
    assert documented.covered_by("a b") is None


def test_the_short_run_builds_every_image_of_its_services() -> None:
    files = Files()
    always = {name for name, each in files.services.items() if not each.get("profiles")}
    services = {name: each for name, each in files.services.items() if name in always | {"moderation"}}
    targets = {each["build"]["target"] for each in services.values() if "build" in each}
    assert targets == set(SHORT_TARGETS) <= set(TARGETS)
    images = {each["image"] for each in services.values() if "build" not in each}
    bases = {
        image for _, image in external_images(files) if image.startswith(("python:", "chrislusf/", "apache/airflow:"))
    }
    assert {*images, *bases, stand_ins.DEBIAN} == {stand_ins.image_name(name) for name in SHORT_STAND_INS}


def test_a_former_release_has_its_own_images_and_publishes_nothing() -> None:
    worker: dict[str, Any] = {"image": "comment-moderation-worker:0.1.0", "build": {"target": "worker"}}
    kafka: dict[str, Any] = {
        "image": "apache/kafka:4.4.0",
        "ports": [{"published": "29092"}],
        "environment": {"A": "1"},
    }
    services = with_former_images({"services": {"worker": worker, "kafka": kafka}})["services"]
    assert services["worker"]["image"] == f"comment-moderation-worker:{COMMIT}"
    assert services["worker"]["environment"] == {"MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false"}
    assert services["kafka"] == {"image": "apache/kafka:4.4.0", "environment": {"A": "1"}}
    assert "build" not in services["worker"]
