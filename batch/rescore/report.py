"""Result of a rescoring as JSON fields and as Markdown, with a digest that equal results share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batch.markdown import aligned_table, iso_time, percent
from batch.reconcile.sql import VERDICTS
from batch.record_isolation import MOST_NAMED, Failure, failure_fields
from batch.rescore.hours import HourPair, Sums, by_community
from batch.rescore.verdicts import VerdictCounts, VerdictDiff
from batch.run_interval import Interval
from moderation.adapters.registry.certificate import Certificate

CHANGES = [(served, asked) for served in VERDICTS for asked in VERDICTS if served != asked]
"""The six ways in which a verdict can change."""


@dataclass(frozen=True, slots=True)
class RescoreResult:
    """Result of a rescoring with the requested version.

    Attributes:
        topic: full name.
        interval: of event time.
        certificate: of the requested version.
        diff: comparison with the served verdicts.
        hours: as if the version had served all the time; None if not requested.
        not_scored: records of the interval that the version cannot score, by position; no comparison contains them.
    """

    topic: str
    interval: Interval
    certificate: Certificate
    diff: VerdictDiff
    hours: Sequence[HourPair] | None
    not_scored: Sequence[Failure] = ()

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields; see ``moderation rescore``."""
        certificate, diff = self.certificate, self.diff
        return {
            "topic": self.topic,
            "start": iso_time(self.interval.start_us),
            "end": iso_time(self.interval.end_us),
            "model_name": certificate.model_name,
            "version": certificate.version,
            "model_digest": certificate.model_digest,
            "policy_version": certificate.policy_version,
            "kernel_version": certificate.kernel_version,
            "total": diff.total.fields(),
            "communities": [{"community": name, **counts.fields()} for name, counts in diff.communities.items()],
            "served_by": dict(diff.served_by),
            "most_different": [comment.fields() for comment in diff.most_different],
            "as_if": None if self.hours is None else as_if_fields(self.hours),
            "not_scored": failure_fields(self.not_scored),
        }

    @property
    def skipped(self) -> str | None:
        """Why nothing was rescored: neither the lake nor the ledger has a comment of the interval. None otherwise."""
        total = self.diff.total
        if total.comments or total.not_in_lake or self.not_scored:
            return None
        interval = f"[{iso_time(self.interval.start_us)}, {iso_time(self.interval.end_us)})"
        return f"neither the lake nor the ledger contains a comment of {interval}"

    @property
    def digest(self) -> str:
        """SHA-256 over the fields and over which row has which scores and verdicts, hexadecimal."""
        text = json.dumps([self.fields(), self.diff.fingerprint], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def as_if_fields(hours: Sequence[HourPair]) -> dict[str, Any]:
    """Return hours as JSON fields, and their sums by community."""
    sums = by_community(hours)
    return {
        "communities": [
            {"community": name, "as_if": as_if.fields(), "served": served.fields()}
            for name, (as_if, served) in sums.items()
        ],
        "hours": [pair.fields() for pair in hours],
    }


def verdict_rows(communities: Mapping[str, VerdictCounts], between: str = ", ") -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table of verdicts: heading, then communities; ``between`` separates kinds of change."""
    yield ("community", "comments", "changed", "mean shift", "changes", "not in ledger", "not in lake")
    for name, counts in communities.items():
        share = "" if counts.changed_share is None else f" ({percent(counts.changed_share, 1)})"
        shift = "–" if counts.mean_score_shift_ppm is None else f"{counts.mean_score_shift_ppm:+,.0f} ppm"
        changes = [
            f"{served} → {asked}: {counts.transitions[served, asked]:,}"
            for served, asked in CHANGES
            if (served, asked) in counts.transitions
        ]
        yield (
            *(name, f"{counts.comments:,}", f"{counts.changed:,}{share}", shift, between.join(changes)),
            *(f"{counts.not_in_ledger:,}", f"{counts.not_in_lake:,}"),
        )


def as_if_rows(sums: Mapping[str, tuple[Sums, Sums]]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table of hours: the heading, then each community."""
    yield ("community", "comments: served", "as if", "reviews: served", "as if", "removals: served", "as if")
    for name, (as_if, served) in sums.items():
        pairs = ("comments", "reviews", "removals")
        yield (name, *(f"{getattr(side, pair):,}" for pair in pairs for side in (served, as_if)))


def markdown(result: RescoreResult) -> str:
    """Return a summary that names comments by id and never quotes them."""
    interval = f"{iso_time(result.interval.start_us)} to {iso_time(result.interval.end_us)}"
    certificate, total = result.certificate, result.diff.total
    named = {**result.diff.communities, "**all**": total}
    lines = [
        f"# {certificate.model_name} version {certificate.version} beside what was served",
        f"Comments of topic {result.topic} written from {interval}, policy {certificate.policy_version}. Served by: "
        + (", ".join(f"version {name} ({count:,})" for name, count in result.diff.served_by.items()) or "none")
        + ".",
        "## Verdicts",
        *aligned_table(verdict_rows(named)),
    ]
    if result.hours is not None:
        final = sum(pair.served is not None and pair.served.state == "final" for pair in result.hours)
        lines += [
            "## As if it had served all along",
            f"{len(result.hours):,} hours of a community; what is served is final for {final:,} of them.",
            *aligned_table(as_if_rows(by_community(result.hours))),
        ]
    if result.not_scored:
        lines += ["## Records that cannot be scored", *aligned_table(_not_scored_rows(result.not_scored))]
    lines += ["## Most different comments", *aligned_table(_most_rows(result.diff))]
    return "\n".join(lines) + "\n"


def _not_scored_rows(failures: Sequence[Failure]) -> Iterator[tuple[str, ...]]:
    yield ("topic id", "position", "error")
    for each in sorted(failures)[:MOST_NAMED]:
        yield each.topic_id, f"{each.partition}:{each.offset}", each.error


def _most_rows(diff: VerdictDiff) -> Iterator[tuple[str, ...]]:
    yield (
        "comment",
        "community",
        "position",
        "score: served",
        "asked",
        "shift",
        "verdict: served",
        "asked",
        "served by",
    )
    for each in diff.most_different:
        yield (
            *(each.comment_id, each.community, f"{each.partition}:{each.offset}"),
            *(f"{each.served_score_ppm:,}", f"{each.score_ppm:,}", f"{each.score_shift_ppm:+,}"),
            *(each.served_verdict, each.verdict, each.served_model_version),
        )
