"""docker/tls/certificates.py: certificates that clients verify, keys for one server each, renewal before the end."""

from __future__ import annotations

import importlib.util
import os
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT
from tests.support.tls import Authority

PROGRAM = ROOT / "docker" / "tls" / "certificates.py"
HOSTS = ("kafka", "localhost", "127.0.0.1")


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("certificates", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


certificates = loaded()
NOW = datetime.now(UTC)
GROUP = 54_321 if os.geteuid() == 0 else os.getgid()
SERVERS = [certificates.Server(GROUP, "kafka", HOSTS), certificates.Server(os.getgid(), "postgres", ("postgres",))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("signing", "authority", "kafka", "postgres"):
        (tmp_path / name).mkdir()
    return tmp_path


def provide(folder: Path, after: timedelta = timedelta()) -> list[str]:
    lines: list[str] = certificates.provide(folder, SERVERS, NOW + after)
    return lines


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.pem")}


def handshake(folder: Path, host: str, ca: Path, server: str = "kafka") -> str:
    """Connect a client to a server without a socket; return the version of TLS."""
    of_server, of_client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=str(ca))
    of_server.load_cert_chain(folder / server / "server.pem")
    of_client.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = of_client.wrap_bio(to_client, to_server, server_hostname=host)
    other = of_server.wrap_bio(to_server, to_client, server_side=True)
    for each in (client, other, client, other):
        try:
            each.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return str(client.version())


def test_clients_verify_every_name_of_a_server(folder: Path) -> None:
    provide(folder)
    for host in HOSTS:
        assert handshake(folder, host, folder / "authority" / "ca.pem").startswith("TLSv1.")


def test_another_host_and_another_authority_are_refused(folder: Path, tmp_path: Path) -> None:
    provide(folder)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(folder, "kafka", folder / "authority" / "ca.pem", server="postgres")
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        handshake(folder, "kafka", Authority(tmp_path / "other", "another authority").file)


def test_keys_are_for_their_owner_or_group_and_each_is_in_one_file(folder: Path) -> None:
    provide(folder)
    modes = {str(path.relative_to(folder)): path.stat().st_mode & 0o777 for path in folder.rglob("*.pem")}
    assert modes == {
        "signing/authority.pem": 0o600,
        "authority/ca.pem": 0o444,
        "kafka/server.pem": 0o640,
        "postgres/server.pem": 0o640,
    }
    assert (folder / "kafka" / "server.pem").stat().st_gid == GROUP
    with_keys = {name for name, content in contents(folder).items() if b"PRIVATE KEY" in content}
    assert with_keys == modes.keys() - {"authority/ca.pem"}
    keys = {content.partition(b"-----END")[0] for name, content in contents(folder).items() if name in with_keys}
    assert len(keys) == 3


def test_what_is_valid_is_never_made_again(folder: Path) -> None:
    first = provide(folder)
    before = contents(folder)
    (folder / "kafka" / "server.pem").chmod(0o600)
    assert [line.partition(": ")[2].partition(",")[0] for line in first[:3]] == ["made"] * 3
    for days in (0, 1, 304):
        lines = provide(folder, timedelta(days=days))
        assert contents(folder) == before
        assert all(": kept, " in line for line in lines)
    assert (folder / "kafka" / "server.pem").stat().st_mode & 0o777 == 0o640


def test_a_certificate_that_expires_soon_is_renewed_by_the_same_authority(folder: Path) -> None:
    provide(folder, timedelta(days=-306))
    before = contents(folder)
    lines = provide(folder)
    after = contents(folder)
    assert {name for name in before if before[name] != after[name]} == {"kafka/server.pem", "postgres/server.pem"}
    assert lines[-1] == "a server that ran before needs `docker compose restart kafka postgres`"
    assert handshake(folder, "kafka", folder / "authority" / "ca.pem")


def test_an_authority_is_renewed_before_a_server_would_outlive_it(folder: Path) -> None:
    provide(folder)
    before = contents(folder)
    lines = provide(folder, timedelta(days=9 * 365 - 59))
    after = contents(folder)
    assert all(before[name] != after[name] for name in before)
    assert "docker compose restart`" in lines[-1]


@pytest.mark.parametrize("damage", [b"", b"no certificate", None])
def test_a_damaged_file_is_replaced(folder: Path, damage: bytes | None) -> None:
    provide(folder)
    path, other = folder / "kafka" / "server.pem", folder / "postgres" / "server.pem"
    kept = other.read_bytes()
    key, certificate = path.read_bytes().split(b"-----BEGIN CERTIFICATE-----")
    of_other = kept.split(b"-----BEGIN CERTIFICATE-----")[0]
    path.write_bytes(damage if damage is not None else of_other + b"-----BEGIN CERTIFICATE-----" + certificate)
    lines = provide(folder)
    assert other.read_bytes() == kept
    assert key not in path.read_bytes()
    assert handshake(folder, "kafka", folder / "authority" / "ca.pem")
    assert lines[-1].endswith("restart kafka`")


def test_a_certificate_of_other_hosts_or_of_another_authority_is_replaced(folder: Path) -> None:
    certificates.provide(folder, [certificates.Server(GROUP, "kafka", ("broker",)), SERVERS[1]], NOW)
    assert provide(folder)[-1].endswith("restart kafka`")
    assert handshake(folder, "127.0.0.1", folder / "authority" / "ca.pem")
    (folder / "signing" / "authority.pem").unlink()
    provide(folder)
    assert handshake(folder, "kafka", folder / "authority" / "ca.pem")


@pytest.mark.parametrize("arguments", [[], [".", "999:postgres"], [".", "x:kafka:kafka"], [".", "1:kafka:"]])
def test_wrong_arguments_are_named(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="Usage"):
        certificates.main(arguments)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="signing"):
        certificates.main([str(tmp_path), "0:kafka:kafka"])


def test_the_image_of_the_job_has_the_library() -> None:
    lock = (ROOT / "docker" / "requirements-worker.lock").read_text()
    imported = {line.split()[1].split(".")[0] for line in PROGRAM.read_text().splitlines() if line.startswith("from ")}
    assert imported - sys.stdlib_module_names - {"__future__"} == {"cryptography"}
    assert "\ncryptography==" in lock
