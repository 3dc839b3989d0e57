"""Report of a comparison as Markdown; all text of commenters is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from batch.markdown import code, minute, percent, table, threshold_ppm

_MOST_COMMUNITIES = 20


def render(fields: Mapping[str, Any], *, most_different: int) -> str:
    """Render the report of a comparison.

    Args:
        fields: as :func:`batch.challenge.run.fields_of` returns them, or read from ``comparison.json``.
        most_different: number of comments to show.
    """
    overall, models = fields["overall"], fields["models"]
    shown = fields["most_different"][:most_different]
    return "\n".join(
        [
            f"{overall['comments']:,} comments written from {minute(fields['start_us'])} "
            f"to {minute(fields['end_us'])}{_sampled(fields)}. On {overall['changed']:,} of them the verdicts differ: "
            f"**{_share(overall['disagreement'])}**. Mean score: {overall['score_shift_ppm']:+,.0f} ppm.",
            "",
            *table(
                "|  | reviews a day | removals a day | review from | remove from |",
                (
                    (
                        f"{name} (version {models[name]['version']})",
                        f"{overall[name]['reviews_per_day']:,.1f}",
                        f"{overall[name]['removals_per_day']:,.1f}",
                        threshold_ppm(models[name]["review_ppm"]),
                        threshold_ppm(models[name]["remove_ppm"]),
                    )
                    for name in ("production", "challenger")
                ),
            ),
            "",
            *table(
                f"| production says | {' | '.join(f'challenger: {verdict}' for verdict in fields['transitions'])} |",
                ((was, *(f"{count:,}" for count in counts.values())) for was, counts in fields["transitions"].items()),
            ),
            "",
            *_communities(fields["communities"]),
            "",
            *_comments(shown, len(fields["most_different"])),
            "",
        ]
    )


def _communities(communities: Mapping[str, Any]) -> Iterator[str]:
    def cells(name: str, group: Mapping[str, Any]) -> Sequence[str]:
        figures = (
            f"{group['production'][each]:,.1f} → {group['challenger'][each]:,.1f}"
            for each in ("reviews_per_day", "removals_per_day")
        )
        shift = f"{group['score_shift_ppm']:+,.0f} ppm"
        return code(name), f"{group['comments']:,}", _share(group["disagreement"]), shift, *figures

    header = "| community | comments | verdicts differ | mean score | reviews a day | removals a day |"
    largest = list(communities.items())[:_MOST_COMMUNITIES]
    yield from table(header, (cells(name, group) for name, group in largest))
    if len(communities) > len(largest):
        yield f"\n{len(communities) - len(largest):,} smaller communities are in `comparison.json`."


def _comments(shown: Sequence[Mapping[str, Any]], stored: int) -> Iterator[str]:
    if not shown:
        return
    yield f"The {len(shown)} most different of {stored} kept in `comparison.json`, verdicts before scores:\n"
    for number, each in enumerate(shown, 1):
        copies = f", {each['copies']:,} times" if each["copies"] > 1 else ""
        yield (
            f"{number}. {each['production']} → **{each['challenger']}**, "
            f"{each['production_ppm']:,} → {each['challenger_ppm']:,} ppm, "
            f"{code(each['community'])} {code(each['comment_id'])}{copies}  "
        )
        yield f"   {code(each['excerpt'])}"


def _share(estimate: Mapping[str, float]) -> str:
    return f"{percent(estimate['value'], 2)} ({100 * estimate['low']:.2f} to {100 * estimate['high']:.2f})"


def _sampled(fields: Mapping[str, Any]) -> str:
    all_of_them = fields["records"]
    return f", a sample of {all_of_them:,}" if all_of_them > fields["overall"]["comments"] else ""
