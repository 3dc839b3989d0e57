"""Write the tables of docs/scaling.md, or print them for other assumptions: ``python -m local.docs.scaling``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields

from local.docs.scaling.assumptions import Assumptions
from local.docs.scaling.measurements import read
from local.docs.scaling.page import PAGE, tables, updated_page


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page, or print its tables for the assumptions given."""
    parser = argparse.ArgumentParser(prog="python -m local.docs.scaling", description=__doc__)
    for field in fields(Assumptions):
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(
            option, type=float, default=field.default, help=f"{field.metadata['meaning']} (%(default)s)"
        )
    assumed, measured = Assumptions(**vars(parser.parse_args(arguments))), read()
    if assumed == Assumptions():
        PAGE.write_text(updated_page(PAGE.read_text(), measured, assumed))
        sys.stdout.write("docs/scaling.md is written\n")
        return
    rendered = tables(measured, assumed)
    sys.stdout.write("\n".join(rendered[name] for name in ("assumed", "sizes", "costs")))


if __name__ == "__main__":
    main()
