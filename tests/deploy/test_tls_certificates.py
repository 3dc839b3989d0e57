"""docker/tls/certificates.py: certificates that clients verify, keys for one server each, renewal before the end."""

from __future__ import annotations

import importlib.util
import os
import shutil
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from cryptography import x509

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


def ca_of(folder: Path) -> Path:
    return folder / "authority" / "ca.pem"


def load_certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


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
        assert handshake(folder, host, ca_of(folder)).startswith("TLSv1.")


def test_another_host_and_another_authority_are_refused(folder: Path, tmp_path: Path) -> None:
    provide(folder)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(folder, "kafka", ca_of(folder), server="postgres")
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
    for days in (0, 1, 121, 244):
        lines = provide(folder, timedelta(days=days))
        assert contents(folder) == before
        assert all(": kept, " in line for line in lines[:3])
        assert len(lines) == (4 if days < 120 else 3)
    assert (folder / "kafka" / "server.pem").stat().st_mode & 0o777 == 0o640


def test_a_certificate_that_expires_soon_is_renewed_by_the_same_authority(folder: Path) -> None:
    provide(folder, timedelta(days=-246))
    before = contents(folder)
    provide(folder)
    after = contents(folder)
    assert {name for name in before if before[name] != after[name]} == {"kafka/server.pem", "postgres/server.pem"}
    assert handshake(folder, "kafka", ca_of(folder))


def test_a_run_every_third_month_renews_before_the_end_and_names_the_restart(folder: Path) -> None:
    """Three months have at most 92 days."""
    provide(folder)
    for quarter in range(1, 40):
        before = load_certificate(folder / "kafka" / "server.pem")
        lines = provide(folder, timedelta(days=92 * quarter))
        assert before.not_valid_after_utc > NOW + timedelta(days=92 * quarter + 7)
        if load_certificate(folder / "kafka" / "server.pem") != before:
            assert any("force-recreate" in line or "restart kafka postgres" in line for line in lines)


def test_every_run_names_the_restart_while_a_certificate_is_young(folder: Path) -> None:
    provide(folder, timedelta(days=-246))
    needed = "a server that started before then needs `docker compose restart kafka postgres`"
    hint = f"made {NOW:%Y-%m-%d %H:%M} UTC: {needed}"
    assert provide(folder)[3:] == [hint]
    assert provide(folder)[3:] == [hint], "it was renewed by the run before"
    assert provide(folder, timedelta(days=119))[3:] == [hint]
    assert provide(folder, timedelta(days=120))[3:] == []


def test_servers_renewed_on_different_days_are_named_with_their_own(folder: Path) -> None:
    provide(folder, timedelta(days=-200))
    for days, name in ((-2, "postgres"), (-1, "kafka")):
        (folder / name / "server.pem").unlink()
        provide(folder, timedelta(days=days))
    first, second = provide(folder)[3:]
    assert first.startswith(f"made {NOW - timedelta(days=2):%Y-%m-%d} ")
    assert first.endswith("restart postgres`")
    assert second.startswith(f"made {NOW - timedelta(days=1):%Y-%m-%d} ")
    assert second.endswith("restart kafka`")


def test_an_authority_is_renewed_before_a_server_would_outlive_it(folder: Path) -> None:
    provide(folder)
    before = contents(folder)
    renewed = timedelta(days=9 * 365 - 119)
    lines = provide(folder, renewed)
    after = contents(folder)
    assert all(before[name] != after[name] for name in before)
    hint = f"authority made {NOW + renewed:%Y-%m-%d %H:%M} UTC: services that started before then need `docker compose "
    assert len(lines) == 4
    assert lines[3].startswith(hint)
    assert "up --detach --force-recreate`" in lines[3]
    assert provide(folder, renewed + timedelta(days=119))[3:] == lines[3:]
    assert provide(folder, renewed + timedelta(days=120))[3:] == []


def test_clients_of_a_new_authority_verify_servers_that_still_run_with_the_former_one(folder: Path) -> None:
    provide(folder, timedelta(days=-1))
    shutil.copytree(folder / "kafka", folder / "old")
    former = ca_of(folder).read_bytes()
    (folder / "signing" / "authority.pem").write_bytes(b"damaged")
    provide(folder)
    assert ca_of(folder).read_bytes().endswith(former)
    for server in ("kafka", "old"):
        assert handshake(folder, "kafka", ca_of(folder), server)
    (folder / "former.pem").write_bytes(former)
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        handshake(folder, "kafka", folder / "former.pem")


def test_an_authority_that_has_expired_is_no_longer_trusted(folder: Path) -> None:
    provide(folder)
    provide(folder, timedelta(days=9 * 365))
    assert ca_of(folder).read_bytes().count(b"BEGIN") == 2
    provide(folder, timedelta(days=10 * 365 - 1))
    assert ca_of(folder).read_bytes().count(b"BEGIN") == 2
    provide(folder, timedelta(days=10 * 365))
    assert ca_of(folder).read_bytes().count(b"BEGIN") == 1


@pytest.mark.parametrize("content", [b"damaged", None])
def test_clients_without_the_authority_get_a_new_one_and_the_hint(folder: Path, content: bytes | None) -> None:
    """Services may have started while `ca.pem` was wrong, so the date must be that of the correction."""
    provide(folder, timedelta(days=-200))
    shutil.copytree(folder / "kafka", folder / "old")
    ca_of(folder).unlink()
    if content is not None:
        ca_of(folder).write_bytes(content)
    assert any("force-recreate" in line for line in provide(folder))
    assert any("force-recreate" in line for line in provide(folder, timedelta(days=1)))
    for server in ("kafka", "old"):
        assert handshake(folder, "kafka", ca_of(folder), server)


@pytest.mark.parametrize("writes", range(4))
def test_an_interrupted_renewal_keeps_every_server_verifiable_and_the_next_run_names_the_restart(
    folder: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    provide(folder, timedelta(days=-200))
    shutil.copytree(folder / "kafka", folder / "old")
    (folder / "signing" / "authority.pem").unlink()
    write = certificates._write
    done: list[Path] = []

    def interrupted(path: Path, *arguments: object) -> None:
        if len(done) == writes:
            raise OSError("no space left on device")
        done.append(path)
        write(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(certificates, "_write", interrupted)
        with pytest.raises(OSError, match="no space"):
            provide(folder)
    for server in ("kafka", "old"):
        assert handshake(folder, "kafka", ca_of(folder), server), "clients and servers that start now"
    later = timedelta(minutes=30)
    lines = provide(folder, later)
    assert any("force-recreate" in line for line in lines)
    made = load_certificate(folder / "kafka" / "server.pem").not_valid_before_utc + timedelta(hours=1)
    assert any(f"made {made:%Y-%m-%d %H:%M} UTC" in line for line in lines)
    assert provide(folder, later + timedelta(days=1))[3:] == lines[3:]
    for server in ("kafka", "old"):
        assert handshake(folder, "kafka", ca_of(folder), server)


def test_nothing_is_written_before_everything_is_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provide(folder, timedelta(days=-9 * 365))
    before = contents(folder)

    def failing(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(certificates, "make_server", failing)
    with pytest.raises(MemoryError):
        provide(folder)
    assert contents(folder) == before


@pytest.mark.parametrize("damage", [b"", b"no certificate", None])
def test_a_damaged_file_is_replaced(folder: Path, damage: bytes | None) -> None:
    provide(folder, timedelta(days=-1))
    path, other = folder / "kafka" / "server.pem", folder / "postgres" / "server.pem"
    kept = other.read_bytes()
    key, certificate = path.read_bytes().split(b"-----BEGIN CERTIFICATE-----")
    of_other = kept.split(b"-----BEGIN CERTIFICATE-----")[0]
    path.write_bytes(damage if damage is not None else of_other + b"-----BEGIN CERTIFICATE-----" + certificate)
    lines = provide(folder)
    assert other.read_bytes() == kept
    assert key not in path.read_bytes()
    assert handshake(folder, "kafka", ca_of(folder))
    assert lines[-1].endswith("restart kafka`")


def test_a_certificate_of_other_hosts_or_of_another_authority_is_replaced(folder: Path) -> None:
    certificates.provide(
        folder, [certificates.Server(GROUP, "kafka", ("broker",)), SERVERS[1]], NOW - timedelta(days=1)
    )
    assert provide(folder)[-1].endswith("restart kafka`")
    assert handshake(folder, "127.0.0.1", ca_of(folder))
    (folder / "signing" / "authority.pem").unlink()
    provide(folder)
    assert handshake(folder, "kafka", ca_of(folder))


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
