"""What a Docker Engine changes in the machine's network: read before it starts, restored after it ends.

dockerd sets the policy of FORWARD to DROP, adds chains and the bridge ``docker0``, and switches forwarding on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local.containers.folders import Folders
from local.containers.processes import run

_SWITCHES = ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables")
_TABLES = ("filter", "nat", "mangle", "raw")
_EMPTY = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "raw": ("PREROUTING", "OUTPUT"),
}


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The machine's network settings at one moment.

    Attributes:
        interfaces: names of network interfaces.
        switches: values of the kernel's switches by name; those that exist.
        tables: rules by table, in the format of ``iptables-restore``; a table without rules has only its chains.
    """

    interfaces: list[str]
    switches: dict[str, str]
    tables: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)


def read(folders: Folders) -> NetworkSettings:
    """Read the current settings."""
    return NetworkSettings(
        interfaces=sorted(path.name for path in Path("/sys/class/net").iterdir() if path.is_symlink()),
        switches={name: path.read_text().strip() for name in _SWITCHES if (path := Path("/proc/sys") / name).exists()},
        tables={table: _rules(folders, table) for table in _TABLES},
    )


def restore(folders: Folders, before: NetworkSettings) -> list[str]:
    """Restore settings that :func:`read` returned; return what still differs afterwards."""
    for name in set(read(folders).interfaces) - set(before.interfaces):
        if name == "docker0" or name.startswith(("br-", "veth")):
            run(["chroot", folders.root, "ip", "link", "delete", name])
    for rules in before.tables.values():
        run(["chroot", folders.root, "iptables-restore"], given=rules.encode())
    for name, value in before.switches.items():
        Path("/proc/sys", name).write_text(value)
    after = read(folders)
    return [
        f"{name}: {getattr(after, name)}, before {getattr(before, name)}"
        for name in ("interfaces", "tables")
        if getattr(after, name) != getattr(before, name)
    ] + [
        f"{name}: {after.switches.get(name)}"
        for name, value in before.switches.items()
        if after.switches[name] != value
    ]


def rules_without_counters(saved: str, table: str) -> str:
    """Return the output of ``iptables-save`` without comments and counters; empty output becomes an empty table."""
    lines = [line.partition(" [")[0] for line in saved.splitlines() if line and not line.startswith("#")]
    if not lines:
        lines = [f"*{table}", *(f":{chain} ACCEPT" for chain in _EMPTY[table]), "COMMIT"]
    return "\n".join(lines) + "\n"


def _rules(folders: Folders, table: str) -> str:
    return rules_without_counters(run(["chroot", folders.root, "iptables-save", "--table", table]), table)
