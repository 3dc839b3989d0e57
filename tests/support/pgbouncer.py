"""PgBouncer in front of the stack's PostgreSQL, in transaction mode."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from local.stack import postgres
from local.stack.commands import StackInfo
from local.stack.layout import StackLayout
from local.stack.ports import HOST, any_free_port
from local.stack.wait import wait_until

_PROGRAM = "/usr/sbin/pgbouncer"
_SETTINGS = """
[databases]
moderation = host={host} port={server_port} dbname=moderation
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = 5
max_client_conn = 100
logfile = {folder}/log
"""


@dataclass(frozen=True)
class Pooler:
    """Running PgBouncer.

    Attributes:
        port: on the loopback address.
        passwords: of the logins that it lets in.
    """

    port: int
    passwords: Mapping[str, str]

    def url(self, login: str) -> str:
        """Return the URL of a login to the project's database."""
        return f"postgresql://{login}:{self.passwords[login]}@{HOST}:{self.port}/moderation"


@contextmanager
def running_pooler(stack: StackInfo, passwords: Mapping[str, str]) -> Iterator[Pooler]:
    """Run PgBouncer until the block ends; skip the test where it is not installed.

    Args:
        stack: whose PostgreSQL it leads to.
        passwords: of the logins that it lets in.
    """
    if not Path(_PROGRAM).exists():
        pytest.skip("no PgBouncer is installed; on Debian: apt-get install pgbouncer")
    folder, port = Path(tempfile.mkdtemp(prefix="moderation-pgbouncer-")), any_free_port()
    folder.chmod(0o755)
    users, settings = folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text("".join(f'"{login}" "{password}"\n' for login, password in passwords.items()))
    settings.write_text(_SETTINGS.format(host=HOST, server_port=stack.ports["postgres"], port=port, folder=folder))
    account = postgres.account(StackLayout(folder))  # it refuses to run as root
    for path in (folder, users, settings):
        path.chmod(0o700 if path is folder else 0o600)
        if account is not None:
            os.chown(path, account.user_id, account.group_id)
    process = subprocess.Popen(
        [_PROGRAM, "--quiet", settings], user=account.user_id if account else None, extra_groups=[] if account else None
    )
    pooler = Pooler(port, passwords)

    def answers() -> bool:
        try:
            with psycopg.connect(pooler.url(next(iter(passwords))), connect_timeout=2) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    try:
        wait_until(answers, seconds=20, description="PgBouncer answers")
        yield pooler
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder)
