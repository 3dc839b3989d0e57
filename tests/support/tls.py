"""Certificates for tests of TLS: authorities, and server certificates that they sign."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Authority that signs certificates.

    Args:
        name: of the authority.
    """

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder(self._name, self._name, self._key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def write(self, path: Path) -> Path:
        """Write the authority's certificate and return the path."""
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def issue(self, folder: Path, host: str, *, expires: timedelta = timedelta(days=1)) -> tuple[Path, Path]:
        """Write a server's certificate and key, and return the paths.

        Args:
            folder: receives ``HOST.crt`` and ``HOST.key``, or ``expired-…`` ones.
            host: name or address in the certificate.
            expires: from now; negative for a certificate that has expired.
        """
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        name: x509.GeneralName = x509.DNSName(host)
        if host[0].isdigit():
            name = x509.IPAddress(ipaddress.ip_address(host))
        certificate = (
            x509.CertificateBuilder(
                self._name,
                x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]),
                key.public_key(),
                x509.random_serial_number(),
            )
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + expires)
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        stem = folder / f"{'expired-' if expires < timedelta() else ''}{host}"
        certificate_path, key_path = Path(f"{stem}.crt"), Path(f"{stem}.key")
        certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate_path, key_path
