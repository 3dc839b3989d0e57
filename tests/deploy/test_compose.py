"""docker-compose.yaml passes its checks, alone and with TLS, and every check detects its alterations."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.deploy import agreement_checks, compose_checks, operation_checks, scraping_checks, tls_checks
from tests.deploy.agreement_checks import differs_from_chart
from tests.deploy.files import CHART, EXAMPLE, Files, compose, filled

Check = Callable[[Files], list[str]]
HERE, WITH_TLS = Files(), Files(with_tls=True)
BOTH = pytest.mark.parametrize("files", [HERE, WITH_TLS], ids=["alone", "with TLS"])
CHECKS = (*compose_checks.CHECKS, *agreement_checks.CHECKS, *operation_checks.CHECKS, *scraping_checks.CHECKS)
BREAKS = (*compose_checks.BREAKS, *agreement_checks.BREAKS, *operation_checks.BREAKS, *scraping_checks.BREAKS)


def config(files: Files, environment: str) -> tuple[int, str]:
    done = compose("config", "--quiet", texts=files.compose_texts, environment=environment)
    return done.returncode, done.stderr


@BOTH
def test_compose_accepts_the_file_with_every_secret_set(files: Files) -> None:
    assert config(files, filled(files.text(EXAMPLE))) == (0, "")


def test_compose_names_a_missing_secret_and_does_not_start() -> None:
    complete = filled(HERE.text(EXAMPLE))
    secrets = [line.partition("=")[0] for line in complete.splitlines() if "=secret-" in line]
    of_tls = {name for name in secrets if name.startswith("KAFKA_")}
    assert len(secrets) - len(of_tls) > 15
    assert len(of_tls) == 6
    code, said = config(HERE, "")
    assert code != 0
    assert {name for name in secrets if name in said} == set(secrets) - of_tls
    for name in of_tls:
        code, said = config(WITH_TLS, complete.replace(f"{name}=secret-{name}", ""))
        assert code != 0
        assert f"{name} is missing a value: see .env.example" in said
    code, said = config(HERE, complete.replace("POSTGRES_GRAFANA_PASSWORD=secret-POSTGRES_GRAFANA_PASSWORD", ""))
    assert code != 0
    assert "POSTGRES_GRAFANA_PASSWORD is missing a value: see .env.example" in said


@BOTH
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_nothing_is_wrong(check: Check, files: Files) -> None:
    assert check(files) == []


@pytest.mark.parametrize("check", tls_checks.CHECKS, ids=lambda check: check.__name__)
def test_nothing_is_unencrypted_or_unverified_with_tls(check: Check) -> None:
    assert check(WITH_TLS) == []


@pytest.mark.parametrize(("check", "name", "old", "new"), BREAKS)
def test_an_alteration_is_detected(check: Check, name: str, old: str, new: str) -> None:
    assert check(HERE.altered(name, old, new)) != []


@pytest.mark.parametrize(("check", "name", "old", "new"), tls_checks.BREAKS)
def test_an_alteration_with_tls_is_detected(check: Check, name: str, old: str, new: str) -> None:
    assert check(WITH_TLS.altered(name, old, new)) != []


def test_every_check_is_proven_by_a_break() -> None:
    without = set() if CHART.is_dir() else {differs_from_chart}
    assert {check for check, *_ in BREAKS} == set(CHECKS) - without
    assert {check for check, *_ in tls_checks.BREAKS} == set(tls_checks.CHECKS)
