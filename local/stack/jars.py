"""Jars of the broker: exactly those of ``jars.lock``, verified by size and SHA-256 before use.

``python -m local.stack.jars lock`` resolves the runtime classpath again and rewrites the lock;
``python -m local.stack.jars fetch`` fills the cache. jgo fetches the jars by exact coordinate from its
configured repository. Verified jars are stored in the account's cache folder, which all stacks share.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import jgo
import platformdirs
from jgo.config import GlobalSettings
from jgo.maven import MavenContext

from moderation.errors import ConfigurationError

LOCK_FILE = Path(__file__).with_name("jars.lock")
# The trailing "!" keeps the versions that log4j manages from replacing those that Kafka asks for.
ROOTS = (
    "org.apache.kafka:kafka_2.13:4.4.0",
    "org.apache.kafka:kafka-clients:4.4.0",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5!",
)
_HEADER = """\
# Runtime classpath of the Kafka broker: group:artifact:version[:classifier], SHA-256, bytes.
# Written by `python -m local.stack.jars lock`; do not edit.
"""
_THREADS = 8
_TRIES = 3
_REMEDY_FETCH = "Check the network and try again; jgo's configuration names the repositories it looks in."


@dataclass(frozen=True, slots=True, order=True)
class Jar:
    """One locked jar.

    Attributes:
        coordinate: ``group:artifact:version`` or ``group:artifact:version:classifier``.
        sha256: digest of the file, in hexadecimal.
        size_bytes: length of the file.
    """

    coordinate: str
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        """The file's name, unique within a lock because the group is part of it."""
        return self.coordinate.replace(":", "_") + ".jar"


def read_lock(path: Path = LOCK_FILE) -> list[Jar]:
    """Read the jars of a lock file, in class path order.

    Raises:
        ConfigurationError: the lock is absent or a line of it is malformed.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigurationError(f"lock {path}", "it cannot be read", "Restore it from the repository.") from error
    jars = []
    for number, line in enumerate(lines, start=1):
        if not line or line.startswith("#"):
            continue
        fields = line.split()
        if len(fields) != 3 or len(fields[1]) != 64 or not fields[2].isdigit():
            raise ConfigurationError(f"lock {path}, line {number}", "it is malformed", "Restore the committed lock.")
        jars.append(Jar(fields[0], fields[1], int(fields[2])))
    return jars


def write_lock(jars: Iterable[Jar], path: Path = LOCK_FILE) -> None:
    """Write a lock that :func:`read_lock` reads."""
    rows = "".join(f"{jar.coordinate} {jar.sha256} {jar.size_bytes}\n" for jar in jars)
    path.write_text(_HEADER + rows, encoding="utf-8")


def verify(jar: Jar, path: Path) -> None:
    """Check that a file is the locked jar.

    Raises:
        ConfigurationError: the file is missing, or its length or digest differs; the message names the jar.
    """
    if not path.is_file():
        raise ConfigurationError(f"jar {jar.coordinate}", f"{path} is missing", _REMEDY_FETCH)
    if path.stat().st_size != jar.size_bytes:
        cause = f"{path} has {path.stat().st_size} bytes, the lock has {jar.size_bytes}"
    elif (digest := _sha256(path)) != jar.sha256:
        cause = f"{path} has SHA-256 {digest}, the lock has {jar.sha256}"
    else:
        return
    raise ConfigurationError(f"jar {jar.coordinate}", cause, "It was altered or cut short: delete it and try again.")


def default_cache() -> Path:
    """Return the account's cache of verified jars."""
    return platformdirs.user_cache_path("comment-moderation") / "jars"


def provide(
    folder: Path,
    *,
    jars: list[Jar] | None = None,
    cache: Path | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Put every locked jar into ``folder``, from the cache or from the network.

    Args:
        folder: receives links to the cached files, or copies if links are impossible. Other jars in it are removed.
        jars: the jars; those of the committed lock by default.
        cache: folder of verified jars.
        on_progress: receives a line before a long download.

    Returns:
        The files in class path order, each verified by this call.

    Raises:
        ConfigurationError: a jar cannot be fetched, or a file differs from the lock; the message names the jar.
    """
    wanted = read_lock() if jars is None else jars
    cache_folder = cache or default_cache()
    for needed_folder in (folder, cache_folder):
        needed_folder.mkdir(parents=True, exist_ok=True)
    if missing := [
        jar
        for jar in wanted
        if not any((known_folder / jar.file_name).exists() for known_folder in (folder, cache_folder))
    ]:
        on_progress(f"fetching {len(missing)} jars, {sum(jar.size_bytes for jar in missing) / 1e6:.0f} MB")
        _fetch(missing, cache_folder)
    names = {jar.file_name for jar in wanted}
    for stray in folder.glob("*.jar"):
        if stray.name not in names:
            stray.unlink()
    for jar in wanted:
        if not (folder / jar.file_name).exists():
            verify(jar, cache_folder / jar.file_name)
            _link(cache_folder / jar.file_name, folder / jar.file_name)
        verify(jar, folder / jar.file_name)
    return [folder / jar.file_name for jar in wanted]


def resolve() -> list[Jar]:
    """Resolve the class path of :data:`ROOTS` again and describe its jars.

    Raises:
        ConfigurationError: a jar cannot be fetched.
    """
    artifacts = jgo.resolve("+".join(ROOTS))
    coordinates = [
        ":".join(filter(None, (artifact.groupId, artifact.artifactId, artifact.version, artifact.classifier)))
        for artifact in artifacts
        if artifact.packaging == "jar"
    ]
    with tempfile.TemporaryDirectory() as scratch:
        context = _context(Path(scratch))
        with ThreadPoolExecutor(_THREADS) as pool:
            paths = pool.map(lambda coordinate: _download(context, coordinate), coordinates)
            return [
                Jar(coordinate, _sha256(path), path.stat().st_size)
                for coordinate, path in zip(coordinates, paths, strict=True)
            ]


def _fetch(jars: list[Jar], cache: Path) -> None:
    """Download jars in parallel; only verified files enter the cache."""
    with tempfile.TemporaryDirectory(dir=cache) as scratch, ThreadPoolExecutor(_THREADS) as pool:
        context = _context(Path(scratch))

        def fetch(jar: Jar) -> None:
            path = _download(context, jar.coordinate)
            verify(jar, path)
            copy = Path(scratch) / jar.file_name
            shutil.copyfile(path, copy)
            copy.replace(cache / jar.file_name)

        list(pool.map(fetch, jars))


def _context(scratch: Path) -> MavenContext:
    """Configure jgo to search the account's Maven repository first and to download only into ``scratch``."""
    settings = GlobalSettings.load()
    context = MavenContext(repo_cache=scratch / "repository", local_repos=[settings.repo_cache], timeout=30)
    context.remote_repos = {**settings.repositories, **context.remote_repos}
    return context


def _download(context: MavenContext, coordinate: str) -> Path:
    group, artifact, version, *classifier = coordinate.split(":")
    wanted = context.project(group, artifact).at_version(version).artifact(*classifier)
    for attempt in range(1, _TRIES + 1):
        try:
            return wanted.resolve()
        except (RuntimeError, OSError) as error:
            if (partial := wanted.cached_path) is not None:
                partial.unlink(missing_ok=True)
            if attempt == _TRIES:
                raise ConfigurationError(
                    f"jar {coordinate}", f"it cannot be fetched: {error}", _REMEDY_FETCH
                ) from error
    raise AssertionError("the last attempt returns or raises")


def _link(cached: Path, target: Path) -> None:
    try:
        os.link(cached, target)
    except OSError:
        shutil.copyfile(cached, target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _print_line(message: str) -> None:
    sys.stdout.write(message + "\n")


def main(arguments: list[str]) -> int:
    """``lock`` rewrites the lock; ``fetch`` fills the cache from it."""
    match arguments:
        case ["lock"]:
            jars = resolve()
            write_lock(jars)
            _print_line(f"{LOCK_FILE}: {len(jars)} jars, {sum(jar.size_bytes for jar in jars) / 1e6:.1f} MB")
        case ["fetch"]:
            with tempfile.TemporaryDirectory() as folder:
                provide(Path(folder), on_progress=_print_line)
            _print_line(f"{default_cache()}: {len(read_lock())} jars, verified")
        case _:
            sys.stderr.write("usage: python -m local.stack.jars lock|fetch\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
