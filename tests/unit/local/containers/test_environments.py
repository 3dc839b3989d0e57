"""The quick build replaces the instructions that install a lock, and nothing else."""

from __future__ import annotations

import pytest

from local.containers.environments import CONTEXT, PLACES, quick_dockerfile
from moderation.errors import ConfigurationError
from tests.conftest import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_only_the_installations_of_locks_differ() -> None:
    before, after = DOCKERFILE.splitlines(), quick_dockerfile(DOCKERFILE).splitlines()
    added = [line for line in after if line not in before]
    assert added == [
        f"COPY --from={CONTEXT} {target} {PLACES[target]}"
        for target in ("worker", "batch", "mlflow")  # in the order of the file
    ]
    removed = " ".join(line for line in before if line not in after)
    assert removed.count("--require-hashes") == 3
    assert [line for line in before if "--no-index" in line] == [line for line in after if "--no-index" in line]


def test_a_stage_that_installs_no_lock_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="stage worker-packages: it installs 0 locks"):
        quick_dockerfile(
            DOCKERFILE.replace("--requirement /tmp/requirements-worker.lock", "").replace(
                "&& /opt/moderation/bin/pip install --require-hashes --no-deps", "&& true"
            )
        )
