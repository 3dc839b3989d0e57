"""Write the tables of docs/scaling.md, or print them for other assumptions: ``python -m local.docs.scaling``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields

from local.docs.scaling.assumed import Assumed
from local.docs.scaling.measured import read
from local.docs.scaling.page import PAGE, tables, written


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page, or print its tables for the assumptions given."""
    parser = argparse.ArgumentParser(prog="python -m local.docs.scaling", description=__doc__)
    for field in fields(Assumed):
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(
            option, type=float, default=field.default, help=f"{field.metadata['meaning']} (%(default)s)"
        )
    assumed, measured = Assumed(**vars(parser.parse_args(arguments))), read()
    if assumed == Assumed():
        PAGE.write_text(written(PAGE.read_text(), measured, assumed))
        sys.stdout.write("docs/scaling.md is written\n")
        return
    found = tables(measured, assumed)
    sys.stdout.write("\n".join(found[name] for name in ("assumed", "sizes", "costs")))


if __name__ == "__main__":
    main()
