"""S3-compatible server for one test, started like the image object-store."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.stack.environment import inherited_environment
from local.stack.ports import HOST, choose_ports
from local.stack.wait import wait_until
from tests.deploy.files import Files

BUCKET = "moderation-lake"
_START_SECONDS = 60.0
_PORTS = ("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc")
_MORE_PORTS = ("filer.port", "filer.port.grpc")


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """Address and credentials of the server."""

    url: str
    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for clients, as AWS's libraries read them."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
        }


@contextlib.contextmanager
def object_store(folder: Path, *, free_megabytes: int | None = None) -> Iterator[ObjectStore]:
    """Run SeaweedFS without a bucket on free loopback ports until the block ends.

    Args:
        folder: empty folder for its data.
        free_megabytes: volumes as on a disk with that much space, MB; the space of `folder`'s disk without it.
    """
    ports = choose_ports(dict.fromkeys((*_PORTS, *_MORE_PORTS), 0))
    store = ObjectStore(f"http://{HOST}:{ports['s3.port']}", "moderation", secrets.token_urlsafe(24))
    image = Files().stages["object-store"]
    options: list[str] = json.loads(image.last("CMD") or "")
    if free_megabytes is not None:
        limit = next(int(word.partition("=")[2]) for word in options if "volumeSizeLimitMB" in word)
        options.append(f"-volume.max={max(1, free_megabytes // limit)}")
    changes = [f"-dir={folder}", f"-s3.ip.bind={HOST}", *(f"-{name}={port}" for name, port in ports.items())]
    log = folder.with_name(folder.name + ".log")
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [str(Path(sys.executable).with_name("weed")), "-logtostderr=true", *options, *changes],
            env=inherited_environment() | store.environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            wait_until(
                lambda: _answers(f"{store.url}/healthz"), seconds=_START_SECONDS, description=f"SeaweedFS, see {log}"
            )
            yield store
        finally:
            server.kill()  # its clean end takes half a minute, and nobody needs what it holds
            server.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - loopback
            return True
    except OSError:
        return False
