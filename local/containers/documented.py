"""The commands of docs/deploy.md, and what runs each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from local.containers.folders import CHECKOUT

PAGE = CHECKOUT / "docs" / "deploy.md"
_PROGRAMS = ("docker", "make", "moderation", "openssl", "chmod", "gunzip")
_BLOCK = re.compile(r"^```\n(.*?)^```", re.DOTALL | re.MULTILINE)

HERE = "documented_commands"
"""The check that runs a command as it stands in the page."""
COVERED = {
    # A command, or with `*` the beginning of commands: the check that runs it, the tests that do, or why nothing does.
    "IMAGE_REVISION=$(git rev-parse --short HEAD)*": "not run: see the build below",
    "make env": "taken_port",  # the first to write .env, by the same program
    "docker compose --profile '*' build*": (
        "not run: BuildKit has no way to a package registry; buildah builds the same Dockerfile"
    ),
    "docker compose up --detach": "first_start",
    "docker compose run --rm --no-deps moderation generate --out history": "demonstration",
    "docker compose run --rm --no-deps moderation train history --out model*": "demonstration",
    "docker compose ps": HERE,
    "docker compose --profile traffic up --detach source": "two_workers",
    "docker compose --profile batch --profile monitoring up --detach": "not run: Grafana's image has no stand-in",
    "docker compose --profile batch up --detach": "airflow",
    "docker compose --profile monitoring up --detach": "not run: Grafana's image has no stand-in",
    "docker compose --profile … up --detach": "airflow",
    "docker compose --profile batch --profile monitoring up --detach --force-recreate": (
        "not run: no check has a new authority; tests/integration/test_compose_tls.py has one, without containers"
    ),
    "docker compose exec --env KAFKA_HEAP_OPTS=-Xmx256m kafka *": (
        "not run: the stand-in for Kafka's image has no scripts"
    ),
    "COMPOSE_FILE=docker-compose.yaml:docker-compose.tls.yaml": "tls",
    "docker compose exec airflow-api-server airflow users create*": HERE,
    "docker compose exec airflow-api-server airflow users add-role*": HERE,
    "openssl genpkey -algorithm ed25519*": HERE,
    "openssl pkey -in signing.pem -outform DER*": HERE,
    "openssl pkey -in signing.pem -pubout*": HERE,
    "docker compose exec -T postgres pg_dumpall*": "backup_and_restore",
    "docker compose stop object-store": "backup_and_restore",
    "docker run --rm --volumes-from*": "backup_and_restore",
    "docker compose start object-store": "backup_and_restore",
    "docker compose up --detach --wait postgres": "backup_and_restore",
    "gunzip --stdout backup.sql.gz | docker compose exec -T postgres psql*": "backup_and_restore",
    "docker compose create object-store": "backup_and_restore",
    "docker compose run --rm --no-deps moderation lake claim*": "backup_and_restore",
    "docker compose run --rm --no-deps moderation lake verify": "backup_and_restore",
    "docker compose stop worker": "backup_and_restore",
    "docker compose run --rm --no-deps moderation accept-gap*": "backup_and_restore",
    "docker compose start worker": "backup_and_restore",
    "moderation up": "tests/integration",
    "moderation down": "tests/integration",
    "make setup": "tests/integration",
    "make containers-test": "all checks",
    "make test": "all tests",
    "make test-long": "all tests",
    "docker compose config": "tests/deploy",
    "moderation status": "all tests",
    "moderation --version": "jobs_without_no_deps",
    "docker compose run": "jobs_without_no_deps",
    "docker compose run moderation": "jobs_without_no_deps",
    "docker compose run --rm --no-deps moderation …": "jobs_without_no_deps",
    "make lock": "not run: it asks the package registry; tests/deploy compare its files",
    "docker buildx*": "not run: it needs an image registry",
    "make sbom": "tests/deploy",
    "docker compose run --rm --no-deps source --csv*": HERE,
    "docker compose run --rm --no-deps moderation bootstrap": "tls",
    "make compose-demo": "demonstration",
    "docker compose --profile '*' down*": "upgrade",
    "moderation source": "tests/integration",
    "moderation replay": "tests/integration",
    "moderation retire": "tests/integration",
    "docker compose exec worker python -P -c*": HERE,
    "docker compose exec postgres psql --username postgres --command*": HERE,
    "docker compose exec postgres psql --username postgres": "tests/integration",
    "docker compose exec postgres psql": "tests/integration",
    "docker compose exec -T worker cat /etc/tls/authority/ca.pem*": "tls",
    "docker compose logs certificates": "tls",
    "docker compose restart kafka postgres": "tls",
    "docker volume rm": "not run: the documents name no volume",
    "moderation migrate": "first_start",
    "moderation topics": "first_start",
    "moderation certify*": "first_start",
    "chmod 600 .env": "taken_port",
    "moderation keys": "tests/unit",
    "docker inspect --format*": HERE,
    "docker compose restart worker": HERE,
    "moderation lake claim --yes": "backup_and_restore",
}


def commands(page: str) -> Iterator[str]:
    """Return each line of the page's blocks and each command between backticks, on one line, without comments.

    Args:
        page: Markdown.
    """
    found = dict.fromkeys(
        line
        for block in _BLOCK.findall(page)
        for each in re.sub(r"\s*\\\n\s*", " ", block).splitlines()
        if (line := re.sub(r"\s{2,}#.*$", "", each).strip())
    )
    for code in re.findall(r"`([^`]+)`", _BLOCK.sub("", page)):
        words = code.split()
        if len(words) > 1 and words[0] in _PROGRAMS:
            found.setdefault(" ".join(words))
    yield from found


def covered_by(command: str) -> str | None:
    """Return what runs a command: the value of the longest key of :data:`COVERED` that fits; None if there is none."""
    fitting = [
        key for key in COVERED if key == command or (key.endswith("*") and command.startswith(key.removesuffix("*")))
    ]
    return COVERED[max(fitting, key=len)] if fitting else None


def command_with(beginning: str) -> str:
    """Return the command of docs/deploy.md with a beginning.

    Raises:
        ValueError: there is none, or there are several.
    """
    (command,) = (each for each in commands(PAGE.read_text()) if each.startswith(beginning))
    return command
