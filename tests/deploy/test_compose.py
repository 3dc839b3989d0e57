"""docker-compose.yaml passes its checks, and every check detects its alterations."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.deploy import agreement_checks, compose_checks, operation_checks, scraping_checks
from tests.deploy.agreement_checks import differs_from_chart
from tests.deploy.files import CHART, COMPOSE, EXAMPLE, Files, compose, filled

Check = Callable[[Files], list[str]]
HERE = Files()
CHECKS = (*compose_checks.CHECKS, *agreement_checks.CHECKS, *operation_checks.CHECKS, *scraping_checks.CHECKS)
BREAKS = (*compose_checks.BREAKS, *agreement_checks.BREAKS, *operation_checks.BREAKS, *scraping_checks.BREAKS)


def config(environment: str) -> tuple[int, str]:
    done = compose("config", "--quiet", text=HERE.text(COMPOSE), environment=environment)
    return done.returncode, done.stderr


def test_compose_accepts_the_file_with_every_secret_set() -> None:
    assert config(filled(HERE.text(EXAMPLE))) == (0, "")


def test_compose_names_a_missing_secret_and_does_not_start() -> None:
    complete = filled(HERE.text(EXAMPLE))
    secrets = [line for line in complete.splitlines() if "=secret-" in line]
    assert len(secrets) > 15
    code, said = config("")
    assert code != 0
    assert all(line.partition("=")[0] in said for line in secrets)
    code, said = config(complete.replace("POSTGRES_GRAFANA_PASSWORD=secret-POSTGRES_GRAFANA_PASSWORD", ""))
    assert code != 0
    assert "POSTGRES_GRAFANA_PASSWORD is missing a value: see .env.example" in said


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_nothing_is_wrong(check: Check) -> None:
    assert check(HERE) == []


@pytest.mark.parametrize(("check", "name", "old", "new"), BREAKS)
def test_an_alteration_is_detected(check: Check, name: str, old: str, new: str) -> None:
    assert check(HERE.altered(name, old, new)) != []


def test_every_check_is_proven_by_a_break() -> None:
    without = set() if CHART.is_dir() else {differs_from_chart}
    assert {check for check, *_ in BREAKS} == set(CHECKS) - without
