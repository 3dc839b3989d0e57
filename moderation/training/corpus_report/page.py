"""Render the page: one file without scripts and external resources, and without texts of comments by default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from moderation.policy import Policy
from moderation.policy.resolve import wilson
from moderation.training.corpus_report import pictures
from moderation.training.corpus_report.figures import Exploration, Rate
from moderation.training.corpus_report.markup import escaped, figure, foreign, percent, rate_table, section, token_table
from moderation.training.corpus_report.tokens import LEAST_COMMENTS, TellingToken
from moderation.training.metrics import Floats, Metrics
from moderation.training.plots.training import draw_calibration, draw_thresholds

_STYLE = Path(__file__).with_name("style.css")
_TOKENS = 20
_SHOWN_CHARACTERS = 600
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Content security policy: the browser loads and executes nothing."""


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Out-of-fold results of a model.

    Attributes:
        probability: probability of removal, shape (comments,).
        metrics: measurements.
        policy: policy with resolved thresholds.
    """

    probability: Floats
    metrics: Metrics
    policy: Policy


def render(
    exploration: Exploration, judged: OutOfFold, source: str, texts: Sequence[str] = (), examples: int = 0
) -> str:
    """Render the page as HTML.

    Args:
        exploration: statistics of the comments.
        judged: out-of-fold results for the same comments.
        source: name of the data set.
        texts: bodies of the comments, length (comments); used only for examples.
        examples: number of bodies to show of each kind.
    """
    parts = [
        section("balance", "Removed and kept", _balance(exploration)),
        section("lengths", "Length", *_lengths(exploration)),
        section("times", "Time", *_times(exploration)),
        section("tokens", "Telling words", *_tokens(exploration)),
        section("ranks", "How often words occur", _ranks(exploration)),
        section("duplicates", "The same again", *_duplicates(exploration)),
        section("model", "What a model sees in them", *_model(exploration, judged)),
    ]
    links = {
        "balance": "removed and kept",
        "lengths": "length",
        "times": "time",
        "tokens": "words",
        "ranks": "frequency",
        "duplicates": "duplicates",
        "model": "model",
    }
    if examples:
        parts.append(section("examples", "Examples", *_examples(exploration, judged, texts, examples)))
        links["examples"] = "examples"
    nav = "".join(f'<a href="#{name}">{text}</a>' for name, text in links.items())
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Comments of {escaped(source)}</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n"
        f"</head>\n<body>\n<header><h1>Comments of {escaped(source)}</h1>"
        "<p>Comments that moderators removed and kept, and scores of a model.</p></header>\n"
        f'{_tiles(exploration, judged)}\n<nav aria-label="Parts of this page">{nav}</nav>\n<main>\n'
        + "\n".join(parts)
        + "\n</main>\n<footer>Written by <code>moderation report</code>. Intervals are of 95 %; times are UTC. "
        "The model is that of <code>moderation train</code>; every comment was scored by one that had not seen "
        "it.</footer>\n</body>\n</html>\n"
    )


def _tiles(exploration: Exploration, judged: OutOfFold) -> str:
    comments, removed = len(exploration.removed), int(exploration.removed.sum())
    period = "unknown"
    if exploration.times:
        first, last = (
            datetime.fromtimestamp(us // 1_000_000, UTC) for us in (exploration.first_us, exploration.last_us)
        )
        period = f"{first:%Y-%m-%d} <small>to {last:%Y-%m-%d}</small>"
    tiles = {
        "comments": f"{comments:,}",
        "removed": f"{removed:,} <small>{percent(wilson(removed, comments))}</small>",
        "written": period,
        "ROC AUC, out of fold": f"{judged.metrics.auc_mean:.3f} <small>folds {min(judged.metrics.auc_folds):.3f} to "
        f"{max(judged.metrics.auc_folds):.3f}</small>",
    }
    return "<dl>" + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in tiles.items()) + "</dl>"


def _balance(exploration: Exploration) -> str:
    comments, removed = len(exploration.removed), int(exploration.removed.sum())
    return figure(
        pictures.picture(lambda axes: pictures.draw_balance(axes, removed, comments - removed), height=1.4),
        f"People removed {percent(wilson(removed, comments))} of the comments. A model that keeps every comment is "
        f"right in {100 * (1 - removed / comments):.0f} % of the cases, so accuracy is not a useful measure here.",
        f"Two bars: {removed:,} removed, {comments - removed:,} kept.",
    )


def _lengths(exploration: Exploration) -> list[str]:
    characters, removed = exploration.characters, exploration.removed
    gone, kept = (int(np.median(characters[side])) for side in (removed, ~removed))
    overall = float(removed.mean())
    return [
        figure(
            pictures.picture(lambda axes: pictures.draw_lengths(axes, characters, removed)),
            f"Half of the removed comments have at most {gone:,} characters, half of the kept ones at most {kept:,}. "
            "Where the orange line is above the blue one, that length is more frequent among removed comments.",
            f"Lengths of removed and kept comments; medians {gone:,} and {kept:,} characters.",
        ),
        figure(
            pictures.picture(
                lambda axes: pictures.draw_rates(axes, exploration.by_length, "characters", overall), height=3.7
            ),
            "Each bar is about a tenth of the comments, shortest first. A bar whose interval does not reach the dashed "
            "line is removed more, or less, often than comments are in general.",
            f"Removal rate by length. {_extremes(exploration.by_length, 'characters')}",
        ),
        rate_table("Removal rate by length in characters", exploration.by_length),
    ]


def _times(exploration: Exploration) -> list[str]:
    if not exploration.times:
        return ["<p>The comments have no times, so there are no plots of hours and weekdays.</p>"]
    parts = []
    missing = len(exploration.removed) - exploration.times
    if missing:
        parts.append(f"<p>{missing:,} comments without a time are left out.</p>")
    rates = exploration.by_hour
    overall = sum(rate.removed for rate in rates) / exploration.times
    for name, shown, caption in (
        ("hour of the day (UTC)", rates, "Shows whether removal rates depend on the hour."),
        ("weekday (UTC)", exploration.by_weekday, "The same by weekday; with few weeks the intervals are wide."),
    ):
        parts.append(
            figure(
                pictures.picture(lambda axes, shown=shown, name=name: pictures.draw_rates(axes, shown, name, overall)),  # type: ignore[misc]
                caption,
                f"Removal rate by {name}. {_extremes(shown, '')}",
            )
        )
        parts.append(rate_table(f"Removal rate by {name}", shown))
    return parts


def _tokens(exploration: Exploration) -> list[str]:
    return [
        f"<p>Only words that at least {LEAST_COMMENTS} different comments contain are shown, in lower case.</p>",
        "<h3>Counted</h3><p>How much larger a word's share of all words is in removed comments than in kept ones, in "
        "standard deviations of its log-odds ratio; among so many words, values below 4 may be chance. A prior keeps "
        "rare words from the top.</p>",
        _token_tables(exploration, "deviations", lambda each: each.z),
        "<h3>Learned</h3><p>What the model adds to the log-odds of removal for a comment of this one word. It weighs "
        "words jointly, so a word that only occurs near an indicative one may be missing here.</p>",
        _token_tables(exploration, "log-odds", lambda each: each.weight),
    ]


def _token_tables(exploration: Exploration, column: str, value: Callable[[TellingToken], float]) -> str:
    """Build two tables, of tokens that indicate removal and keeping."""
    tables = []
    for kind, what, sign in (("removed", "removal", 1), ("kept", "keeping", -1)):
        strength = {each: sign * value(each) for each in exploration.tokens.telling}
        shown = exploration.tokens.strongest(strength.__getitem__, _TOKENS)
        tables.append(token_table(f"Speak for {what}", column, kind, [(each, strength[each]) for each in shown]))
    return f'<div class="pair">{"".join(tables)}</div>'


def _ranks(exploration: Exploration) -> str:
    frequency = exploration.tokens.frequency
    if not len(frequency):
        return "<p>There are no words.</p>"
    total, distinct, once = int(frequency.sum()), len(frequency), exploration.tokens.once
    return figure(
        pictures.picture(lambda axes: pictures.draw_ranks(axes, frequency)),
        f"{total:,} words and marks, {distinct:,} different ones; {100 * once / distinct:.0f} % of these occur once: "
        "a model will always meet new words. Human text roughly follows the dotted line; "
        "flat steps at the top indicate text repeated by machines.",
        f"Occurrences over rank, both logarithmic. The most frequent token occurs {int(frequency[0]):,} times, "
        f"{once:,} of {distinct:,} occur once.",
    )


def _duplicates(exploration: Exploration) -> list[str]:
    duplicates = exploration.duplicates
    if not duplicates.bodies:
        return ["<p>No body occurs more than once.</p>"]
    return [
        f"<p>Bodies that occur more than once: {duplicates.bodies:,}, in {duplicates.repeated.comments:,} comments; "
        f"the most frequent one in {duplicates.most:,}. Both removed and kept: {duplicates.contradicting:,} of these "
        "bodies; no model that sees the text alone can be right about both. Equal bodies are in the same fold.</p>",
        rate_table("Removal rate of bodies by how often they occur", (duplicates.once, duplicates.repeated)),
    ]


def _model(exploration: Exploration, judged: OutOfFold) -> list[str]:
    removed, probability, metrics, policy = exploration.removed, judged.probability, judged.metrics, judged.policy
    gone, kept = (float(np.median(probability[side])) for side in (removed, ~removed))
    return [
        figure(
            pictures.picture(lambda axes: pictures.draw_scores(axes, probability, removed)),
            "The less the two overlap, the better the model separates them. Comments in the overlap need review.",
            f"Probabilities of removed and kept comments; medians {gone:.2f} and {kept:.2f}.",
        ),
        figure(
            pictures.picture(lambda axes: draw_calibration(axes, probability, removed, metrics), height=4),
            "Of comments with a probability of 0.7, seven of ten should have been removed: the nearer the dots are to "
            "the dotted line, the better the model is calibrated.",
            f"Removed share over predicted probability; expected calibration error {metrics.calibration_error:.3f}.",
        ),
        figure(
            pictures.picture(lambda axes: draw_thresholds(axes, probability, removed, policy), height=4),
            "Effect of a threshold: found removals (recall), correct ones among the comments above it (precision), and "
            "the share of comments above it. Vertical lines are the thresholds resolved from the goals: "
            f"{', '.join(policy.goals)}.",
            f"Precision, recall and share of comments over the threshold; best F1 {metrics.best_f1:.3f}, average "
            f"precision {metrics.average_precision:.3f}, share removed {removed.mean():.3f}.",
        ),
    ]


def _examples(exploration: Exploration, judged: OutOfFold, texts: Sequence[str], most: int) -> list[str]:
    removed, probability = exploration.removed, judged.probability
    order = np.argsort(probability, kind="stable")
    kinds = {
        "Removed, and scored highest": order[::-1][removed[order[::-1]]],
        "Removed, and scored lowest: missed": order[removed[order]],
        "Kept, and scored highest: false alarms": order[::-1][~removed[order[::-1]]],
        "Kept, and scored lowest": order[~removed[order]],
    }
    parts = []
    for title, indices in kinds.items():
        parts.append(f"<h3>{title}</h3>")
        for index in indices[:most].tolist():
            text = texts[index]
            cut = text[:_SHOWN_CHARACTERS] + ("…" if len(text) > _SHOWN_CHARACTERS else "")
            parts.append(
                f"<blockquote>{foreign(cut)}<footer>probability {probability[index]:.2f}</footer></blockquote>"
            )
    return parts


def _extremes(rates: Sequence[Rate], unit: str) -> str:
    """Describe the lowest and highest removal rate."""
    filled = [rate for rate in rates if rate.comments]
    low, high = (choose(filled, key=lambda rate: rate.share.value) for choose in (min, max))
    described = [f"{100 * rate.share.value:.0f} % at {rate.group} {unit}".strip() for rate in (low, high)]
    return f"Lowest {described[0]}, highest {described[1]}."
