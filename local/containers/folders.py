"""Files of the engine and its images in one work folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
DEFAULT_WORK_FOLDER = Path("/var/tmp/comment-moderation-containers")  # noqa: S108 - large, and outside of the checkout


@dataclass(frozen=True, slots=True)
class Folders:
    """Paths in the work folder.

    Attributes:
        work: the work folder.
    """

    work: Path

    @property
    def root(self) -> Path:
        """Debian, with the engine; the root folder of every program of the engine."""
        return self.work / "root"

    @property
    def debian_archive(self) -> Path:
        """Debian without the engine, as a tar file."""
        return self.work / "contexts" / "debian" / "debian.tar"

    @property
    def contexts(self) -> Path:
        """One build context for each stand-in."""
        return self.work / "contexts"

    @property
    def socket(self) -> Path:
        """The engine's socket."""
        return self.work / "docker.sock"

    @property
    def state(self) -> Path:
        """Process of the running engine, and the machine's network settings before it started."""
        return self.work / "engine.json"

    @property
    def log(self) -> Path:
        """The engine's log."""
        return self.work / "dockerd.log"

    @property
    def pip_settings(self) -> Path:
        """Settings of pip for builds: those of this machine, with its certificates."""
        return self.work / "pip.conf"

    @property
    def certificates(self) -> Path:
        """Certificates of this machine, for builds."""
        return self.work / "certificates"

    @property
    def environments(self) -> Path:
        """Environments of packages, for quick builds."""
        return self.work / "environments"

    @property
    def former(self) -> Path:
        """Files of a former release, its environments and its resolved compose file."""
        return self.work / "former"

    @property
    def small_volume(self) -> Path:
        """Mount point of a small file system, in the engine's namespace."""
        return self.work / "small"

    @property
    def outcome(self) -> Path:
        """The outcome of each check of the last run."""
        return self.work / "outcome.json"

    @property
    def compose_project(self) -> Path:
        """The folder from which ``docker compose`` runs: copies of the project's files, and ``.env``."""
        return self.work / "project"
