"""A Docker Engine in a mount namespace of its own: install it, start it, run its commands, stop it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local.containers import network
from local.containers.folders import CHECKOUT, Folders
from local.containers.processes import ENVIRONMENT, attempt, run
from local.stack.wait import wait_until
from moderation.errors import ConfigurationError, StackError

RELEASE = "trixie"
_PACKAGES = (
    "docker.io docker-cli docker-buildx docker-compose iptables iproute2 ca-certificates buildah netavark git".split()
)
_NEEDED_HERE = {"debootstrap": "debootstrap", "unshare": "util-linux", "nsenter": "util-linux", "chroot": "coreutils"}
"""Programs of this machine and their Debian packages."""
_START_SECONDS = 60
_STOP_SECONDS = 90


def check_machine() -> None:
    """Check that this machine can run an engine.

    Raises:
        ConfigurationError: it cannot; the message names what is missing.
    """
    if os.geteuid() != 0:
        raise ConfigurationError("the engine", "mount namespaces and networks need root", "Run the command as root.")
    if shutil.which("apt-get") is None:
        raise ConfigurationError("the engine", "there is no apt-get", "Run it on Debian, or use a Docker Engine.")
    try:
        run(["unshare", "--mount", "--propagation", "private", "true"])
    except (OSError, StackError) as error:
        raise ConfigurationError(
            "the engine",
            f"it cannot have a mount namespace: {error}",
            "Run it on a machine or in a container with more rights.",
        ) from error
    controllers = {line.split()[0] for line in Path("/proc/cgroups").read_text().splitlines()[1:]}
    if missing := {"memory", "cpu", "pids"} - controllers:
        raise ConfigurationError("the engine", f"the kernel has no cgroup {', '.join(sorted(missing))}", "")


def install(folders: Folders, on_progress: Callable[[str], None]) -> None:
    """Install Debian and the engine into the work folder; does nothing the second time."""
    installed = folders.work / ".installed"
    if installed.exists():
        return
    missing = sorted({package for program, package in _NEEDED_HERE.items() if shutil.which(program) is None})
    if missing:
        on_progress(f"installing {', '.join(missing)}")
        run(["apt-get", "update", "-qq"])
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing])
    folders.root.mkdir(parents=True, exist_ok=True)
    on_progress(f"Debian {RELEASE} into {folders.root}")
    run(["debootstrap", "--variant=minbase", RELEASE, folders.root], remedy="Delete the work folder and try again.")
    folders.debian_archive.parent.mkdir(parents=True, exist_ok=True)
    run(
        [
            *("tar", "-C", folders.root, "--one-file-system", "--exclude=./dev/*", "--exclude=./proc/*"),
            *("--exclude=./sys/*", "--exclude=./var/cache/apt/*", "-cf", folders.debian_archive, "."),
        ]
    )
    on_progress("Docker Engine, Compose and buildah from Debian's packages")
    no_services = folders.root / "usr" / "sbin" / "policy-rc.d"
    no_services.write_text("#!/bin/sh\nexit 101\n")
    no_services.chmod(0o755)
    shutil.copy("/etc/resolv.conf", folders.root / "etc" / "resolv.conf")
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *_PACKAGES]):
        run(
            ["chroot", folders.root, "apt-get", *command],
            environment={"DEBIAN_FRONTEND": "noninteractive"},
            remedy="Check the network and try again.",
        )
    installed.touch()


def start(folders: Folders) -> None:
    """Start the engine unless it runs, and wait until it responds.

    Raises:
        StackError: it does not start; the message names its log.
    """
    if process_of(folders) is not None:
        return
    before = network.read(folders)
    folders.socket.unlink(missing_ok=True)
    with folders.log.open("wb") as log:
        process = subprocess.Popen(
            [
                *("unshare", "--mount", "--propagation", "private"),
                *(str(Path(__file__).with_name("engine.sh")), str(folders.root), str(folders.work), str(CHECKOUT)),
            ],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    threading.Thread(target=process.wait, daemon=True).start()  # so that it is no zombie after its end
    folders.state.write_text(json.dumps({"process": process.pid, "network": before.as_json()}))
    wait_until(
        lambda: process.poll() is not None or _responds(folders),
        seconds=_START_SECONDS,
        description="the Docker Engine",
        remedy=f"Its log is {folders.log}.",
    )
    if process.poll() is not None:
        stop(folders)
        raise StackError("the Docker Engine", f"it ended with {process.returncode}", f"Its log is {folders.log}.")


def stop(folders: Folders) -> list[str]:
    """Stop the engine with its containers and restore the machine's network; return what could not be restored."""
    if not folders.state.exists():
        return []
    state = json.loads(folders.state.read_text())
    process = process_of(folders)
    if process is not None:
        os.kill(process, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while process_of(folders) is not None and time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process, os.WNOHANG)
            time.sleep(0.2)
    differences = network.restore(folders, network.NetworkSettings(**state["network"]))
    for folder in Path("/sys/fs/cgroup").glob("**/docker"):
        with contextlib.suppress(OSError):
            folder.rmdir()
    folders.state.unlink()
    folders.socket.unlink(missing_ok=True)
    return differences


def process_of(folders: Folders) -> int | None:
    """Return the engine's process; None if it does not run."""
    if not folders.state.exists():
        return None
    process = int(json.loads(folders.state.read_text())["process"])
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
        status = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None
    return process if str(folders.work).encode() in command and status != "Z" else None


def inside(folders: Folders, *command: str | Path, folder: Path = CHECKOUT) -> list[str]:
    """Return a command that runs in the engine's namespace, in a folder, with the engine as Docker's host.

    Raises:
        StackError: the engine does not run.
    """
    process = process_of(folders)
    if process is None:
        raise StackError("the Docker Engine", "it does not run", "Start it: `make containers`.")
    return [
        *("nsenter", "--target", str(process), "--mount", "--root", "--", "env", f"--chdir={folder}"),
        *(f"DOCKER_HOST=unix://{folders.socket}", *map(str, command)),
    ]


def docker(folders: Folders, *arguments: str, given: bytes | None = None, seconds: float | None = None) -> str:
    """Run ``docker`` and return what it printed.

    Raises:
        StackError: it failed.
    """
    return run(inside(folders, "docker", *arguments), given=given, seconds=seconds)


def run_inside(folders: Folders, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> str:
    """Run a program in the engine's namespace and return what it printed.

    Raises:
        StackError: it failed.
    """
    return run(inside(folders, *command), environment=environment)


def _responds(folders: Folders) -> bool:
    try:
        return attempt(inside(folders, "docker", "version"), seconds=10).returncode == 0
    except (StackError, subprocess.TimeoutExpired):
        return False
