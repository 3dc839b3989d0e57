"""Sections of the page about groups of comments, leakage, words and suspected labels."""

from __future__ import annotations

from collections.abc import Sequence

from moderation.training.corpus_report import pictures
from moderation.training.corpus_report.blocks import (
    BarRow,
    Bars,
    Block,
    Cloud,
    Notice,
    Picture,
    Rates,
    Text,
    percent,
    printable,
)
from moderation.training.corpus_report.figures import Exploration
from moderation.training.corpus_report.groups import Rate
from moderation.training.corpus_report.leaks import LEAK_AUC, LEAST_COMMENTS
from moderation.training.corpus_report.tokens import TokenFigures
from moderation.training.corpus_report.word_cloud import lay_out
from moderation.training.label_errors import LabelSuspicions
from moderation.training.metrics import Bools

CLOUD_WORDS = 60
_NAME_CHARACTERS = 60


def leaks(exploration: Exploration) -> list[Block]:
    """Return the parts about properties of the record that predict the label."""
    found = exploration.leaks
    warnings = found.warnings()
    parts: list[Block] = [Notice(printable(each)) for each in warnings]
    parts.append(
        Text(
            "Properties of the record, not of what the author wrote. One that predicts the label nearly alone is often "
            "a trace of the moderation itself, or of how the file was put together. A model learns it, and fails on "
            "live comments, which do not have it. Remove the trace from the data, or leave the comments out."
        )
    )
    if not warnings:
        parts.append(Text("Nothing of this kind was found."))
    if found.groups:
        rows = [
            BarRow(each.name, 200 * max(each.auc - 0.5, 0.0), f"{each.auc:.2f}", f"{each.groups:,} groups")
            for each in found.groups
        ]
        caption = f"ROC AUC of the group alone; a warning from {LEAK_AUC} on, 0.5 is chance"
        parts.append(Bars(caption, ("property", "ROC AUC", ""), "kept", rows))
    if found.marks:
        caption = f"Removal rate of comments with a mark, if at least {LEAST_COMMENTS} have it"
        parts.append(_bars(caption, "comments that", [each.rate for each in found.marks]))
    return parts


def communities(exploration: Exploration) -> list[Block]:
    """Return the parts about communities."""
    rates = exploration.by_community
    if len(rates) == 1:
        return [Text(f"All comments are of one community, {printable(rates[0].group)}.")]
    caption = "Removal rate by community, the largest first"
    text = "Rates that differ much mean other rules or other comments; one model for all learns a mixture of them."
    return [Text(text), _bars(caption, "community", rates)]


def periods(exploration: Exploration) -> list[Block]:
    """Return the parts about removal rates over time; none if all comments are of one day."""
    shown = exploration.by_period
    if len(shown.rates) < 2:
        return []
    overall = sum(rate.removed for rate in shown.rates) / sum(rate.comments for rate in shown.rates)
    title = f"{shown.unit} (UTC)"
    busiest = max(shown.rates, key=lambda rate: rate.comments)
    return [
        Picture(
            pictures.picture(lambda axes: pictures.draw_counts(axes, shown.rates, title)),
            f"Comments of each {shown.unit}, removed and kept. A gap is a {shown.unit} without data.",
            f"Numbers of comments over time. Most are of {busiest.group}: {busiest.comments:,}.",
        ),
        Picture(
            pictures.picture(lambda axes: pictures.draw_rates(axes, shown.rates, title, overall)),
            "A rate that jumps may be a change of rules or moderators, or of how the data was collected: train on "
            "comments of the rules that hold now.",
            f"Removal rate by {shown.unit}, overall {100 * overall:.0f} %.",
        ),
        Rates.of(f"Removal rate by {shown.unit}", shown.rates),
    ]


def clouds(exploration: Exploration) -> list[Block]:
    """Return word clouds of removed and kept comments, as in the talk; none without words to show."""
    parts: list[Block] = []
    for side, sign in (("removed", 1), ("kept", -1)):
        strength = {each: sign * each.z for each in exploration.tokens.telling}
        strongest = exploration.tokens.strongest(strength.__getitem__, len(strength))
        words = [(printable(each.token), strength[each]) for each in strongest if any(map(str.isalpha, each.token))]
        words = words[:CLOUD_WORDS]
        if words:
            most = ", ".join(word for word, _ in words[:10])
            alternative = f"Word cloud of {side} comments. The largest words are {most}."
            parts.append(Cloud(f"Words of {side} comments", side, alternative, lay_out(words)))
    return parts


def ranks(tokens: TokenFigures) -> Block:
    """Return the plot of the frequencies of words."""
    frequency = tokens.frequency
    if not len(frequency):
        return Text("There are no words.")
    total, distinct, once = int(frequency.sum()), len(frequency), tokens.once
    return Picture(
        pictures.picture(lambda axes: pictures.draw_ranks(axes, frequency)),
        f"{total:,} words and marks, {distinct:,} different ones; {100 * once / distinct:.0f} % of these occur once: "
        "a model will always meet new words. Human text roughly follows the dotted line; "
        "flat steps at the top indicate text repeated by machines.",
        f"Occurrences over rank, both logarithmic. The most frequent token occurs {int(frequency[0]):,} times, "
        f"{once:,} of {distinct:,} occur once.",
    )


def suspected_labels(removed: Bools, suspicions: LabelSuspicions) -> list[Block]:
    """Return the parts about labels that are probably wrong."""
    suspected = suspicions.is_suspected
    if not suspected.any():
        return [Text("The model doubts no label.")]
    text = (
        f"The model doubts {int((suspected & ~removed).sum()):,} of {int((~removed).sum()):,} kept comments and "
        f"{int((suspected & removed).sum()):,} of {int(removed.sum()):,} removed ones: it gives them the other label "
        "with at least the probability that comments with that label get on average. These are candidates for people "
        "to look at; moderation label-errors lists them."
    )
    return [Text(text)]


def _bars(caption: str, column: str, rates: Sequence[Rate]) -> Bars:
    rows = []
    for rate in rates:
        name = printable(rate.group if len(rate.group) <= _NAME_CHARACTERS else rate.group[:_NAME_CHARACTERS] + "…")
        rows.append(BarRow(name, 100 * rate.share.value, percent(rate.share), f"{rate.comments:,} comments"))
    return Bars(caption, (column, "removed (95 %)", ""), "removed", rows)
