"""``moderation grants``: compare the rights of the database roles with the table, and print statements for logins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import print_json, print_line
from stream.exit_codes import REPORTED

if TYPE_CHECKING:
    from moderation.adapters.sql.grants import Differences


def grants(data_folder: FolderOption = DEFAULT_FOLDER, as_json: JsonOption = False) -> None:
    """Compare the grants of the database roles with those of this release, and print what an administrator may run.

    `moderation migrate` applies the grants. The exit code is 1 if roles are missing or grants differ.

    Example: `moderation grants`

    --json prints {"missing_roles": [names], "missing": [statements], "excess": [statements], "logins": {role:
    [statements]}}. "missing" and "excess" are the statements that would correct the grants; "logins" are those that
    make a login NAME a member of a role and limit its times.
    """
    from moderation.adapters.sql.connection import connected
    from moderation.adapters.sql.grants import (
        Differences,
        Role,
        create_statements,
        differences,
        login_statements,
        missing_roles,
    )
    from moderation.settings import required

    settings = connected_settings(data_folder)
    with connected(required(settings.database_url, "database_url"), name="moderation grants") as connection:

        def query(statement: str) -> list[tuple[object, ...]]:
            return connection.execute(statement.encode()).fetchall()

        absent = missing_roles(query)
        found = Differences((), ()) if absent else differences(query)
    logins = {role.value: login_statements("NAME", role) for role in Role}
    if as_json:
        print_json(
            {
                "missing_roles": [role.value for role in absent],
                "missing": [each.grant_statement for each in found.missing],
                "excess": [each.revoke_statement for each in found.excess],
                "logins": logins,
            }
        )
    else:
        for line in (*_report(found), *(f"{each};" for each in create_statements(absent))):
            print_line(line)
        print_line(
            "for the login NAME of a program, as administrator: CREATE ROLE NAME LOGIN; \\password NAME; then one of"
        )
        for statements in logins.values():
            print_line("; ".join(statements) + ";")
    if absent or found.missing or found.excess:
        raise typer.Exit(REPORTED)


def _report(found: Differences) -> list[str]:
    corrections = [
        *(each.grant_statement for each in found.missing),
        *(each.revoke_statement for each in found.excess),
    ]
    if not corrections:
        return ["the grants are those of this release"]
    return ["the grants differ; `moderation migrate` runs:", *(f"{each};" for each in corrections)]
