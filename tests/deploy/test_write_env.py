"""docker/write-env.py (`make env`): a complete .env with new secrets, for its owner only; never changes one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from moderation.adapters.registry.keys import KeyRing, SigningKey
from tests.conftest import ROOT
from tests.deploy.files import EXAMPLE, Files, compose

PROGRAM = ROOT / "docker" / "write-env.py"
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")


def write_env(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, PROGRAM, folder], capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ROOT / EXAMPLE, tmp_path)
    return tmp_path


def test_compose_starts_with_the_written_file_and_only_its_owner_reads_it(folder: Path) -> None:
    done = write_env(folder)
    path = folder / ".env"
    assert (done.returncode, done.stderr) == (0, "")
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert not re.search(r"^\w+=$", text, re.MULTILINE)
    assert all(value not in done.stdout for value in re.findall(r"^\w+=(\S+)$", text, re.MULTILINE))
    accepted = compose("config", "--quiet", texts=Files(with_tls=True).compose_texts, environment=text)
    assert (accepted.returncode, accepted.stderr) == (0, "")


def test_secrets_differ_and_the_certificate_keys_are_a_pair(folder: Path) -> None:
    write_env(folder)
    values = dict(re.findall(r"^(\w+)=(\S+)$", (folder / ".env").read_text(), re.MULTILINE))
    assert len(set(values.values())) == len(values) > 15
    key, ring = SigningKey.parse(values["MODERATION_SIGNING_KEY"]), KeyRing.parse(values["MODERATION_VERIFY_KEYS"])
    assert ring.verify(ring.key_ids[0], key.sign(b"a certificate"), b"a certificate")


def test_an_existing_file_is_not_changed(folder: Path) -> None:
    (folder / ".env").write_text("POSTGRES_PASSWORD=mine\n")
    done = write_env(folder)
    assert done.returncode == 1
    assert "exists and is not changed" in done.stderr
    assert (folder / ".env").read_text() == "POSTGRES_PASSWORD=mine\n"


def test_without_an_example_the_error_names_it(tmp_path: Path) -> None:
    done = write_env(tmp_path)
    assert done.returncode == 1
    assert ".env.example" in done.stderr
    assert not (tmp_path / ".env").exists()
