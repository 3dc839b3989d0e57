"""Write ``golden_kernel.json`` again: ``python -m tests.parity.write_golden``. Only with a new KERNEL_VERSION."""

from __future__ import annotations

import json

from moderation.text import KERNEL_VERSION
from tests.parity.golden import GOLDEN_FILE, golden_rows

if __name__ == "__main__":
    GOLDEN_FILE.write_text(json.dumps({"kernel_version": KERNEL_VERSION, "rows": golden_rows()}, indent=1) + "\n")
