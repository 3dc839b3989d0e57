"""Where the archive of a partition goes on: a pure function of manifest, log and accepted gaps."""

from __future__ import annotations

from collections.abc import Sequence

from moderation.adapters.lake.files import Source
from moderation.adapters.sql.manifest import Range, uncovered
from moderation.errors import SourceRefused


def next_range(source: Source, archived_end: int | None, log: Range, accepted: Sequence[Range]) -> Range:
    """The offsets that are to be archived next.

    Args:
        source: whose.
        archived_end: one after the last archived offset; None when nothing is archived.
        log: the first offset that the log has, and its end.
        accepted: offsets that a person accepted as missing.

    Returns:
        Offsets, half-open; empty when there is nothing new.

    Raises:
        SourceRefused: the log begins after the archive's end and nobody accepted that, or it ends before it.
    """
    first, end = log
    if archived_end is None:
        return first, end
    if archived_end > end:
        raise SourceRefused(
            str(source),
            f"it ends at {end}, but the lake holds offsets up to {archived_end}: the topic lost records",
            "New records would take the places of archived ones: restore the topic, or make it anew.",
        )
    missing = uncovered((archived_end, first), list(accepted))
    if missing:
        ranges = ", ".join(f"[{one}, {following})" for one, following in missing)
        raise SourceRefused(
            str(source),
            f"retention overtook the archive: offsets {ranges} are gone from the topic and not in the lake",
            "`moderation accept-gap --lake --yes` records them as lost; then archive again.",
        )
    return max(archived_end, first), end
