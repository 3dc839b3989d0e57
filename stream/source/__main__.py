"""``python -m stream.source``: the source without the command line of the worker."""

from __future__ import annotations

import sys

from stream.source.cli import main

if __name__ == "__main__":
    main(sys.argv[1:])
