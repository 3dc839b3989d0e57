#!/usr/bin/env python3
"""Write .env with new secrets, from .env.example: ``docker/write-env.py [FOLDER]``; `make env` calls it.

Needs Python 3.8 and OpenSSL. An existing .env is never changed. Its owner alone can read the new one.
"""

import base64
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path


def openssl(*arguments: str, given: bytes = b"") -> bytes:
    """Run OpenSSL."""
    return subprocess.run(["openssl", *arguments], input=given, check=True, stdout=subprocess.PIPE).stdout  # noqa: S607


def certificate_keys() -> "tuple[str, str]":
    """Return a new private Ed25519 key and its public key, 32 bytes each in base64."""
    pem = openssl("genpkey", "-algorithm", "ed25519")
    ders = openssl("pkey", "-outform", "DER", given=pem), openssl("pkey", "-pubout", "-outform", "DER", given=pem)
    private, public = (base64.b64encode(der[-32:]).decode() for der in ders)
    return private, public


def filled(example: str) -> str:
    """Return the text with a new value for every empty variable."""
    private, public = certificate_keys()
    special = {
        "MODERATION_SIGNING_KEY": private,
        "MODERATION_VERIFY_KEYS": public,
        "AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }
    value = lambda name: special.get(name) or secrets.token_urlsafe(32)  # noqa: E731
    return re.sub(r"^(\w+)=$", lambda match: f"{match[1]}={value(match[1])}", example, flags=re.MULTILINE)


def main(folder: Path) -> None:
    """Write the file, or end with the reason why not."""
    path = folder / ".env"
    try:
        text = filled((folder / ".env.example").read_text())
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        sys.exit(f"{path} exists and is not changed. To make new secrets, move it away first.")
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"{path} cannot be written: {error}. It needs .env.example beside it, and the program openssl.")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    print(f"{path}: written with new secrets; keep a copy of MODERATION_SIGNING_KEY and AIRFLOW_FERNET_KEY")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
