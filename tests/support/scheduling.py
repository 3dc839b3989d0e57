"""Scheduler of pytest-xdist: distributes whole files, those that need servers first.

Each process has its own stack and its own session fixtures, so tests that share an expensive fixture belong together.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

FOLDERS = ("long", "integration", "contract", "deploy", "dags", "parity", "unit")
"""Folders of tests in the order in which they start; what is short comes last and fills up the processes."""
WITH_SERVERS = {"long", "integration", "contract"}
TOGETHER = {
    "tests/integration/test_dashboards.py": "filled day",
    "tests/integration/test_preview.py": "filled day",
    "tests/deploy/test_image_environments.py": "image environments",
    "tests/integration/test_mlflow_image.py": "image environments",
}
"""Files that run in one process because of what they share."""
FIRST = ("tests/long/test_airflow_in_a_browser.py", "tests/integration/test_mlflow_image.py")
"""Files that take minutes: started last they would run after all others have ended."""


class ByFile(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Distributes files, or groups of files, in the order of collection.

    Tests on servers wait more than they compute. With three or more processes, the last one therefore has no servers:
    it takes tests without servers from the other end of the queue.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = _path(nodeid)
        return TOGETHER.get(path, path)

    def _assign_work_unit(self, node: WorkerController) -> None:
        if len(self.nodes) < 3 or node is not self.nodes[-1]:
            super()._assign_work_unit(node)
            return
        scope = next(reversed(self.workqueue))
        if _needs_servers(next(iter(self.workqueue[scope]))):
            node.shutdown()
            return
        self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)


def _path(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _needs_servers(nodeid: str) -> bool:
    return nodeid.split("/")[1] in WITH_SERVERS


def order(items: list[pytest.Item]) -> None:
    """Sort tests by folder, those of ``FIRST`` first; keep the order within a folder."""
    items.sort(key=lambda item: (_path(item.nodeid) not in FIRST, FOLDERS.index(item.nodeid.split("/")[1])))


def scheduler(config: pytest.Config, log: object) -> ByFile:
    """Return the scheduler of a parallel run."""
    config.option.loadscopereorder = False
    return ByFile(config, log)
