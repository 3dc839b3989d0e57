"""``python -m grafana.source``: write the dashboards, alert rules and provisioning files of grafana/."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from grafana.source.files import files
from grafana.source.variables import Addresses

FOLDER = Path(__file__).parent.parent


def main(arguments: list[str] | None = None) -> None:
    """Write the files. The options set the addresses that links use; defaults are those of the local stack."""
    parser = argparse.ArgumentParser(prog="python -m grafana.source", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to")
    parser.add_argument("--mlflow-url", default=Addresses().mlflow_url, help="address of MLflow for links")
    parser.add_argument("--model-name", default=Addresses().model_name, help="name of the registered model")
    chosen = parser.parse_args(arguments)
    for path, text in files(Addresses(chosen.mlflow_url, chosen.model_name)).items():
        target = chosen.out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    main()
