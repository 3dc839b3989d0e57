"""docs/database.md and the script of docker-compose follow from the table of grants."""

from __future__ import annotations

import pytest

from local.docs.database_roles import PAGE, updated_page
from moderation.adapters.sql.grants import Role, create_statements, login_statements
from tests.conftest import ROOT

SCRIPT = ROOT / "docker" / "postgres" / "databases.sh"
LOGINS = {
    "worker": Role.WORKER,
    "batch": Role.BATCH,
    "retention": Role.RETENTION,
    "grafana": Role.READER,
}


def test_the_tables_follow_from_the_grants() -> None:
    assert updated_page(PAGE.read_text()) == PAGE.read_text(), "generate it again: python -m local.docs.database_roles"


def test_a_page_without_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="grants"):
        updated_page(PAGE.read_text().replace("table: grants", "table: rights"))


def test_docker_compose_creates_every_group_and_limits_every_login() -> None:
    lines = SCRIPT.read_text().splitlines()
    wanted = create_statements(Role) + [
        line for login, role in LOGINS.items() for line in login_statements(login, role)
    ]
    assert [line for line in wanted if f"{line};" not in lines] == []
    given = [line for line in lines if line.startswith(("GRANT", "ALTER ROLE"))]
    assert len(given) == sum(len(login_statements(login, role)) for login, role in LOGINS.items())
