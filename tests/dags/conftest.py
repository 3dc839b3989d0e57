from __future__ import annotations

import pytest

from tests.conftest import ROOT
from tests.dags.parsed import Parsed, parse


@pytest.fixture(scope="session")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    """The project's DAGs."""
    return parse(ROOT / "dags", tmp_path_factory.mktemp("airflow"))
