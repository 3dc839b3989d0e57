"""A comparison for people: markdown in which nothing that a commenter wrote is more than text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from moderation.policy.policy import NEVER_PPM
from moderation.timestamps import moment_of

_MOST_COMMUNITIES = 20


def render(fields: Mapping[str, Any], *, most_different: int) -> str:
    """The page of a comparison.

    Args:
        fields: as :func:`batch.challenge.run.fields_of` gives them, also out of ``comparison.json``.
        most_different: how many comments are shown.
    """
    overall, models = fields["overall"], fields["models"]
    shown = fields["most_different"][:most_different]
    return "\n".join(
        [
            f"{overall['comments']:,} comments written from {_moment(fields['start_us'])} "
            f"to {_moment(fields['end_us'])}{_sampled(fields)}. On {overall['changed']:,} of them the verdicts differ: "
            f"**{_share(overall['disagreement'])}**. Mean score: {overall['score_shift_ppm']:+,.0f} ppm.",
            "",
            *table(
                ("", "reviews a day", "removals a day", "review from", "remove from"),
                (
                    (
                        f"{name} (version {models[name]['version']})",
                        f"{overall[name]['reviews_per_day']:,.1f}",
                        f"{overall[name]['removals_per_day']:,.1f}",
                        _threshold(models[name]["review_ppm"]),
                        _threshold(models[name]["remove_ppm"]),
                    )
                    for name in ("production", "challenger")
                ),
            ),
            "",
            *table(
                ("production says", *(f"challenger: {verdict}" for verdict in fields["transitions"])),
                ((was, *(f"{count:,}" for count in counts.values())) for was, counts in fields["transitions"].items()),
            ),
            "",
            *_communities(fields["communities"]),
            "",
            *_comments(shown, len(fields["most_different"])),
            "",
        ]
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def code(text: str) -> str:
    """A text of anybody's as code: no link, picture, markup or end of a table's cell comes of it."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return f"`{' '.join(printable.replace('`', chr(39)).replace('|', '¦').split()) or ' '}`"


def _communities(communities: Mapping[str, Any]) -> Iterator[str]:
    def cells(name: str, group: Mapping[str, Any]) -> Sequence[str]:
        figures = (
            f"{group['production'][each]:,.1f} → {group['challenger'][each]:,.1f}"
            for each in ("reviews_per_day", "removals_per_day")
        )
        shift = f"{group['score_shift_ppm']:+,.0f} ppm"
        return code(name), f"{group['comments']:,}", _share(group["disagreement"]), shift, *figures

    head = ("community", "comments", "verdicts differ", "mean score", "reviews a day", "removals a day")
    largest = list(communities.items())[:_MOST_COMMUNITIES]
    yield from table(head, (cells(name, group) for name, group in largest))
    if len(communities) > len(largest):
        yield f"\n{len(communities) - len(largest):,} smaller communities are in `comparison.json`."


def _comments(shown: Sequence[Mapping[str, Any]], known: int) -> Iterator[str]:
    if not shown:
        return
    yield f"The {len(shown)} most different of {known} kept in `comparison.json`, verdicts before scores:\n"
    for number, each in enumerate(shown, 1):
        copies = f", {each['copies']:,} times" if each["copies"] > 1 else ""
        yield (
            f"{number}. {each['production']} → **{each['challenger']}**, "
            f"{each['production_ppm']:,} → {each['challenger_ppm']:,} ppm, "
            f"{code(each['community'])} {code(each['comment_id'])}{copies}  "
        )
        yield f"   {code(each['excerpt'])}"


def _share(estimate: Mapping[str, float]) -> str:
    value, low, high = (100 * estimate[name] for name in ("value", "low", "high"))
    return f"{value:.2f} % ({low:.2f} to {high:.2f})"


def _threshold(ppm: int) -> str:
    return "never" if ppm >= NEVER_PPM else f"{ppm:,} ppm"


def _sampled(fields: Mapping[str, Any]) -> str:
    all_of_them = fields["records"]
    return f", a sample of {all_of_them:,}" if all_of_them > fields["overall"]["comments"] else ""


def _moment(time_us: int) -> str:
    return f"{moment_of(time_us):%Y-%m-%d %H:%M} UTC"
