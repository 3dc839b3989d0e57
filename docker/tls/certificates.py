#!/usr/bin/env python3
"""Make a private authority and certificates of servers: ``certificates.py FOLDER GROUP:SERVER:HOST,HOST… …``.

The job `certificates` of docker-compose.tls.yaml runs it at every start. What is valid stays as it is; a certificate
that expires soon, names other hosts or belongs to another authority is made again. Each folder is a volume of its own:

FOLDER/signing/authority.pem   key and certificate of the authority; for this job only
FOLDER/authority/ca.pem        certificates of the authority and of former ones that have not expired; for every client
FOLDER/SERVER/server.pem       key and certificate of a server; only its group can read it

A server presents the certificate that it read when it started, which a former authority may have signed. So `ca.pem`
keeps former authorities, and contains a new one before a server has a certificate of it.

PostgreSQL accepts a key of root that its group can read, so the job is root, without capabilities: it may give files to
groups that it is a member of, and do nothing else.
"""

from __future__ import annotations

import datetime
import fcntl
import ipaddress
import os
import sys
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER_LIFE = datetime.timedelta(days=365)
AUTHORITY_LIFE = 10 * SERVER_LIFE
RENEWED_BEFORE = datetime.timedelta(days=120)
"""A server's certificate is renewed when less of its life is left. Hints appear this long after it was made."""
_CLOCKS = datetime.timedelta(hours=1)
"""Certificates are valid this long before they are made, because clocks differ."""
_FOR_EVERYONE, _FOR_OWNER, _FOR_GROUP = 0o444, 0o600, 0o640


class Server(NamedTuple):
    """A server that needs a certificate.

    Attributes:
        group: number of the group that can read the key.
        name: of the server and of its folder.
        hosts: names and addresses by which clients connect to it.
    """

    group: int
    name: str
    hosts: tuple[str, ...]


class Pair(NamedTuple):
    """A private key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def pem(self) -> bytes:
        """Return both in one file, so that no server can read one of them without the other."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return key + self.certificate.public_bytes(Encoding.PEM)


def parse_server(text: str) -> Server:
    """Return the server of an argument ``GROUP:SERVER:HOST,HOST…``.

    Raises:
        ValueError: the text has another form.
    """
    group, name, hosts = text.split(":")
    if not name or "" in (listed := tuple(hosts.split(","))):
        raise ValueError(f"{text!r} names no server, or an empty host")
    return Server(int(group), name, listed)


def provide(folder: Path, servers: list[Server], now: datetime.datetime) -> list[str]:
    """Make what is missing, invalid or expires soon.

    Args:
        folder: contains the folders ``signing``, ``authority``, and one of each server.
        servers: that need a certificate.
        now: the current time.

    Returns:
        A line for each certificate, and what to restart.

    Raises:
        OSError: a folder is missing or cannot be written.
    """
    signing, public = folder / "signing", folder / "authority" / "ca.pem"
    paths = [folder / server.name / "server.pem" for server in servers]
    lock = os.open(signing, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        former, trusted = _read(signing / "authority.pem"), _read_certificates(public)
        authority = _kept_authority(former, trusted, now) or make_authority(now)
        present = [_read(path) for path in paths]
        pairs = [
            _kept_server(pair, server, authority, now) or make_server(server, authority, now)
            for server, pair in zip(servers, present, strict=True)
        ]
        trusted = [authority.certificate, *([former.certificate] if former else []), *trusted]
        _write(public, _bundle(trusted, now), _FOR_EVERYONE, None)
        _write(signing / "authority.pem", authority.pem(), _FOR_OWNER, None)
        for server, path, pair in zip(servers, paths, pairs, strict=True):
            _write(path, pair.pem(), _FOR_GROUP, server.group)
    finally:
        os.close(lock)
    lines = [_line("authority", authority.certificate, is_made=authority is not former)]
    for server, pair, before in zip(servers, pairs, present, strict=True):
        lines.append(_line(f"{server.name} ({', '.join(server.hosts)})", pair.certificate, is_made=pair is not before))
    made = {server.name: _made(pair.certificate) for server, pair in zip(servers, pairs, strict=True)}
    return lines + _hints(_made(authority.certificate), made, now)


def _kept_authority(pair: Pair | None, trusted: list[x509.Certificate], now: datetime.datetime) -> Pair | None:
    """Return the authority if it can sign for a year and clients have its certificate.

    Otherwise a new one is made: its date states which services started before clients had its certificate.
    """
    if pair and _lasts(pair.certificate, now, SERVER_LIFE + RENEWED_BEFORE) and pair.certificate in trusted:
        return pair
    return None


def _kept_server(pair: Pair | None, server: Server, authority: Pair, now: datetime.datetime) -> Pair | None:
    """Return the pair of a server if it does not expire soon, is of this authority, and names the server's hosts."""
    if (
        pair
        and _lasts(pair.certificate, now, RENEWED_BEFORE)
        and _is_signed_by(pair.certificate, authority.certificate)
        and _alternative_names(pair.certificate) == _names(server.hosts)
    ):
        return pair
    return None


def _bundle(certificates: list[x509.Certificate], now: datetime.datetime) -> bytes:
    """Return each certificate once, without those that have expired."""
    valid = dict.fromkeys(each for each in certificates if each.not_valid_after_utc > now)
    return b"".join(each.public_bytes(Encoding.PEM) for each in valid)


def _hints(authority: datetime.datetime, servers: dict[str, datetime.datetime], now: datetime.datetime) -> list[str]:
    """Return what to restart. The job does not know when services started, so the lines state times.

    Args:
        authority: when the authority was made.
        servers: when the certificate of each server was made.
        now: the current time.
    """
    lines = []
    if now - authority < RENEWED_BEFORE:
        lines.append(
            f"authority made {_time(authority)}: services that started before then need `docker compose --profile … up "
            "--detach --force-recreate`, with the profiles in use; copies of ca.pem from before then must be replaced"
        )
        servers = {name: made for name, made in servers.items() if made > authority}
    for time in sorted({made for made in servers.values() if now - made < RENEWED_BEFORE}):
        names = " ".join(name for name, made in servers.items() if made == time)
        lines.append(f"made {_time(time)}: a server that started before then needs `docker compose restart {names}`")
    return lines


def make_authority(now: datetime.datetime) -> Pair:
    """Return a new authority, which may sign certificates of servers and clients only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("comment-moderation private authority")
    certificate = (
        _builder(name, name, key.public_key(), now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(key, certificate)


def make_server(server: Server, authority: Pair, now: datetime.datetime) -> Pair:
    """Return a new key of a server and its certificate for the server's hosts."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    certificate = (
        _builder(_name(server.name), issuer, key.public_key(), now, SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(server.hosts)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
        .sign(authority.key, hashes.SHA256())
    )
    return Pair(key, certificate)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    life: datetime.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS)
        .not_valid_after(now + life)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _names(hosts: tuple[str, ...]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _lasts(certificate: x509.Certificate, now: datetime.datetime, least: datetime.timedelta) -> bool:
    return certificate.not_valid_before_utc <= now and certificate.not_valid_after_utc >= now + least


def _is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _read(path: Path) -> Pair | None:
    """Return the pair of a file; None if there is none, or if it is damaged."""
    try:
        content = path.read_bytes()
        key, certificate = load_pem_private_key(content, None), x509.load_pem_x509_certificate(content)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return Pair(key, certificate)


def _read_certificates(path: Path) -> list[x509.Certificate]:
    """Return the certificates of a file; none if there is no file, or if it is damaged."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return []


def _write(path: Path, content: bytes, mode: int, group: int | None) -> None:
    """Replace a file at once, so that nobody reads a part of it; a file with this content gets mode and group only."""
    if not path.exists() or path.read_bytes() != content:
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fsync(file.fileno())
        _give(temporary, mode, group)
        temporary.replace(path)
    _give(path, mode, group)


def _give(path: Path, mode: int, group: int | None) -> None:
    if group is not None:
        os.chown(path, -1, group)
    path.chmod(mode)


def _made(certificate: x509.Certificate) -> datetime.datetime:
    return certificate.not_valid_before_utc + _CLOCKS


def _time(time: datetime.datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _line(name: str, certificate: x509.Certificate, *, is_made: bool) -> str:
    return f"{name}: {'made' if is_made else 'kept'}, valid until {certificate.not_valid_after_utc:%Y-%m-%d}"


def main(arguments: list[str]) -> None:
    """Provide the certificates and print a line for each, or end with the reason why not."""
    try:
        folder, servers = Path(arguments[0]), [parse_server(each) for each in arguments[1:]]
    except (IndexError, ValueError) as error:
        sys.exit(f"certificates: {error}. Usage: certificates.py FOLDER GROUP:SERVER:HOST,HOST…")
    try:
        lines = provide(folder, servers, datetime.datetime.now(datetime.UTC))
    except OSError as error:
        sys.exit(
            f"certificates: {error}. Each folder below {folder} must exist and be writable, and this process must be a "
            "member of the groups it names."
        )
    for line in lines:
        print(line)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
