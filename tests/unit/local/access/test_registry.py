from __future__ import annotations

import pytest

from local.access.registry import READABLE

READ = (
    "/api/2.0/mlflow/registered-models/get",
    "/api/2.0/mlflow/registered-models/alias",
    "/api/2.0/mlflow/model-versions/get",
    "/api/2.0/mlflow/model-versions/get-download-uri",
    "/api/2.0/mlflow-artifacts/artifacts",
    "/api/2.0/mlflow-artifacts/artifacts/1/models/m-1/artifacts/model/model.json",
)
REFUSED = (
    "/",
    "/api/2.0/mlflow/registered-models/create",
    "/api/2.0/mlflow/registered-models/aliases",
    "/api/2.0/mlflow/registered-models/get/x",
    "/x/api/2.0/mlflow/registered-models/get",
    "/api/2.0/mlflow/experiments/create",
    "/api/2.0/mlflow/users/get",
    "/api/2.0/mlflow-artifacts/mpu/create/x",
    "/api/2.0/mlflow-artifacts/presigned/x",
    "/api/3.0/mlflow/traces/search",
    "/graphql",
)


@pytest.mark.parametrize("path", READ)
def test_a_reader_gets_versions_and_artifacts(path: str) -> None:
    assert READABLE.fullmatch(path)
    assert READABLE.fullmatch(path.replace("/api/", "/ajax-api/", 1))


@pytest.mark.parametrize("path", REFUSED)
def test_a_reader_gets_nothing_else(path: str) -> None:
    assert not READABLE.fullmatch(path)
