"""Write docs/dags.md from the docstrings of the DAG files: ``python -m local.docs.dag_pages``."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "dags.md"

_HEAD = """\
# DAGs

Written from the docstrings of `dags/` by `python -m local.docs.dag_pages`; a test compares. Airflow shows the same text
beside each DAG. How a DAG file is made: [contributing](../CONTRIBUTING.md).
"""


def render(folder: Path) -> str:
    """Render the page of a folder of DAG files, in the order of their names, with their screenshots; imports no DAG.

    Raises:
        ValueError: a file has no docstring.
    """
    parts = [_HEAD]
    for path in sorted(folder.glob("[!_]*.py")):
        manual = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if not manual:
            raise ValueError(f"{path} has no docstring")
        lines = [f"#{line}" if line.startswith("#") else line for line in manual.splitlines()]
        picture = f"images/airflow_{path.stem}.png"
        if (PAGE.parent / picture).exists():
            lines += ["", f"![{path.stem} in Airflow's UI after a run]({picture})"]
        parts.append("\n".join([f"## {path.stem}", *lines]) + "\n")
    return "\n".join(parts)


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(ROOT / "dags"), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)} is written\n")


if __name__ == "__main__":
    main()
