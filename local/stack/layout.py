"""Folders of a local stack: one data folder contains everything.

    <root>/run/       supervisord.conf, process ids, stack.json, credentials.json (mode 0600), one folder per program
    <root>/log/       one rotated log per program, and the supervisor's own
    <root>/kafka/     broker configuration and topic data
    <root>/postgres/  the database cluster
    <root>/mlflow/    artifacts of models and runs
    <root>/lake/      every record that was archived, as Parquet
    <root>/airflow/   AIRFLOW_HOME: the logs of tasks, closed to other accounts
    <root>/jars/      the verified jars of the broker (links into the cache of the account)
    <root>/kind.json  which command created the folder

The supervisor listens on a loopback port with a generated password and not on a UNIX socket, because socket paths are
limited to about 108 bytes and the path of a data folder may be longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from moderation.errors import ConfigurationError

_REFUSED = frozenset(",:;%\"'\\\n")


@dataclass(frozen=True, slots=True)
class StackLayout:
    """The folders of one stack.

    Attributes:
        root: the data folder, absolute. Each stack needs its own.

    Raises:
        ConfigurationError: ``root`` contains a character that path lists of Java or Kafka cannot contain.
    """

    root: Path

    def __post_init__(self) -> None:
        """Make the root absolute; refuse characters that path lists cannot contain."""
        root = self.root.expanduser().resolve()
        if refused := sorted(_REFUSED & set(str(root))):
            raise ConfigurationError(
                f"data folder {root}",
                f"its path contains {' '.join(map(repr, refused))}, which path lists cannot contain",
                "Choose another folder.",
            )
        object.__setattr__(self, "root", root)

    @classmethod
    def default(cls) -> StackLayout:
        """The layout under ``var`` in the current folder."""
        return cls(Path.cwd() / "var")

    @classmethod
    def demonstration(cls) -> StackLayout:
        """The layout of ``moderation demo`` under ``var-demo`` in the current folder."""
        return cls(Path.cwd() / "var-demo")

    @property
    def run(self) -> Path:
        """Configuration, process ids, addresses and credentials; closed to other accounts."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        """One log per program."""
        return self.root / "log"

    @property
    def kafka(self) -> Path:
        """The broker's configuration and data."""
        return self.root / "kafka"

    @property
    def postgres(self) -> Path:
        """The database cluster."""
        return self.root / "postgres"

    @property
    def mlflow(self) -> Path:
        """Artifacts, and the working folder of the MLflow server."""
        return self.root / "mlflow"

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME: files that Airflow writes, mainly logs of tasks."""
        return self.root / "airflow"

    @property
    def demo(self) -> Path:
        """Data and models of a demonstration."""
        return self.root / "demo"

    @property
    def state(self) -> Path:
        """Files that may be lost: those of Faust, downloaded models, the traffic source's checkpoint."""
        return self.root / "state"

    @property
    def lake(self) -> Path:
        """The Parquet lake."""
        return self.root / "lake"

    @property
    def faults(self) -> Path:
        """Fault orders of a chaos run to its workers."""
        return self.root / "faults"

    @property
    def jars(self) -> Path:
        """The broker's verified jars."""
        return self.root / "jars"

    @property
    def programs(self) -> Path:
        """Supervised programs: a configuration section, a specification and a state for each."""
        return self.run / "programs"

    @property
    def lock_file(self) -> Path:
        """Locked while a command starts or stops the stack."""
        return self.run / "lock"

    @property
    def kind_file(self) -> Path:
        """Names the command that created the data folder, see :mod:`local.stack.folder_kind`."""
        return self.root / "kind.json"

    @property
    def state_file(self) -> Path:
        """Ports and parts of the running stack."""
        return self.run / "stack.json"

    @property
    def credentials_file(self) -> Path:
        """Generated passwords; stored as long as the data that they protect."""
        return self.run / "credentials.json"

    def log_file(self, program: str) -> Path:
        """The log of one program."""
        return self.log / f"{program}.log"

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders that a stack writes, the folder of its lock last."""
        return (
            *(self.log, self.kafka, self.postgres, self.mlflow, self.airflow),
            *(self.jars, self.demo, self.state, self.lake, self.faults),
            self.run,
        )

    def make_folders(self) -> None:
        """Create every folder. ``run`` is closed to other accounts; the rest is readable."""
        for folder in (self.root, self.log, self.kafka, self.postgres, self.mlflow, self.jars):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.run, self.programs):
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
