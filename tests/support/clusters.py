"""PostgreSQL clusters of a test's own: of the stack's programs, or of Debian's, which are built with TLS."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.stack import postgres
from local.stack.layout import StackLayout
from local.stack.ports import HOST, any_free_port


@dataclass(frozen=True)
class Cluster:
    """Running cluster whose administrator ``postgres`` logs in over the socket without a password.

    Attributes:
        folder: of data, socket and log; the account that runs the server owns it.
        port: on the loopback address, where passwords are required.
    """

    folder: Path
    port: int

    @property
    def administrator(self) -> str:
        """Return the URL of the administrator."""
        return f"postgresql://postgres@/postgres?host={self.folder}&port={self.port}"

    def url(self, role: str, database: str, password: str | None = None) -> str:
        return f"postgresql://{role}:{password or f'secret-{role}'}@{HOST}:{self.port}/{database}"

    def give(self, path: Path) -> Path:
        """Make a file readable by the server alone; return it."""
        path.chmod(0o600)
        if (account := postgres.account(StackLayout(self.folder))) is not None:
            os.chown(path, account.user_id, account.group_id)
        return path


@contextlib.contextmanager
def running_cluster(programs: Path | None = None) -> Iterator[Cluster]:
    """Run an empty cluster until the block ends.

    Args:
        programs: folder of PostgreSQL's programs; None for those of the stack.
    """
    # Not in pytest's folder, which other accounts cannot enter: PostgreSQL does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="moderation-cluster-"))
    folder.chmod(0o755)
    account = postgres.account(StackLayout(folder))
    data, port, programs = folder / "data", any_free_port(), programs or postgres.binaries()
    owner: dict[str, Any] = {}
    if account is not None:
        owner = {"user": account.user_id, "group": account.group_id, "extra_groups": []}
        os.chown(folder, account.user_id, account.group_id)

    def run(*command: str | Path) -> None:
        subprocess.run(command, **owner, cwd="/", check=True, capture_output=True, timeout=60)

    options = f"-c listen_addresses={HOST} -c port={port} -c unix_socket_directories={folder}"
    authentication = ("--auth-local=trust", "--auth-host=scram-sha-256", "--data-checksums")
    try:
        run(programs / "initdb", "--username=postgres", *authentication, data)
        run(programs / "pg_ctl", "start", "--wait", f"--pgdata={data}", f"--options={options}", f"--log={folder}/log")
        yield Cluster(folder, port)
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            run(programs / "pg_ctl", "stop", "--wait", "--mode=immediate", f"--pgdata={data}")
        shutil.rmtree(folder)


def programs_with_tls() -> Path:
    """Return the folder of programs that are built with TLS; skip the test without any."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        pytest.skip("no PostgreSQL with TLS is installed; on Debian: apt-get install postgresql")
    return found[-1].parent
