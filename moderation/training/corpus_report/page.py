"""Render the page: one file without scripts and external resources, and without texts of comments by default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from moderation.policy import Policy
from moderation.policy.resolve import wilson
from moderation.training.corpus_report import pictures, sections
from moderation.training.corpus_report.blocks import (
    Block,
    Example,
    Heading,
    Picture,
    Rates,
    Section,
    Text,
    Tile,
    Tokens,
    TokenTable,
    percent,
    printable,
)
from moderation.training.corpus_report.figures import Exploration
from moderation.training.corpus_report.groups import Rate
from moderation.training.corpus_report.html_page import render_page, written_tile
from moderation.training.corpus_report.tokens import LEAST_COMMENTS, TellingToken
from moderation.training.label_errors import find_label_errors
from moderation.training.metrics import Floats, Metrics
from moderation.training.plots.training import draw_calibration, draw_thresholds

_TOKENS = 20
_SHOWN_CHARACTERS = 600


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
    suspicions = find_label_errors(judged.probability, exploration.removed)
    shown = [
        Section("balance", "removed and kept", "Removed and kept", [_balance(exploration)]),
        Section("leaks", "leakage", "Leakage", sections.leaks(exploration)),
        Section("communities", "communities", "Communities", sections.communities(exploration)),
        Section("lengths", "length", "Length", _lengths(exploration)),
        Section("times", "time", "Time", _times(exploration)),
        Section("tokens", "words", "Telling words", _tokens(exploration)),
        Section("ranks", "frequency", "How often words occur", [sections.ranks(exploration.tokens)]),
        Section("duplicates", "duplicates", "The same again", _duplicates(exploration)),
        Section("labels", "labels", "Labels to check", sections.suspected_labels(exploration.removed, suspicions)),
        Section("model", "model", "What a model sees in them", _model(exploration, judged)),
    ]
    if examples:
        blocks = _examples(exploration, judged, texts, examples)
        shown.append(Section("examples", "examples", "Examples", blocks))
    intro = "Comments that moderators removed and kept, and scores of a model."
    model = "The model is that of moderation train; every comment was scored by one that had not seen it."
    return render_page(source, intro, model, _tiles(exploration, judged), shown)


def _tiles(exploration: Exploration, judged: OutOfFold) -> list[Tile]:
    comments, removed, folds = len(exploration.removed), int(exploration.removed.sum()), judged.metrics.auc_folds
    return [
        Tile("comments", f"{comments:,}"),
        Tile("removed", f"{removed:,}", percent(wilson(removed, comments))),
        written_tile(exploration.times, exploration.first_us, exploration.last_us),
        Tile("leakage warnings", f"{len(exploration.leaks.warnings()):,}"),
        Tile("ROC AUC, out of fold", f"{judged.metrics.auc_mean:.3f}", f"folds {min(folds):.3f} to {max(folds):.3f}"),
    ]


def _balance(exploration: Exploration) -> Picture:
    comments, removed = len(exploration.removed), int(exploration.removed.sum())
    return Picture(
        pictures.picture(lambda axes: pictures.draw_balance(axes, removed, comments - removed), height=1.4),
        f"People removed {percent(wilson(removed, comments))} of the comments. A model that keeps every comment is "
        f"right in {100 * (1 - removed / comments):.0f} % of the cases, so accuracy is not a useful measure here.",
        f"Two bars: {removed:,} removed, {comments - removed:,} kept.",
    )


def _lengths(exploration: Exploration) -> list[Block]:
    characters, removed = exploration.characters, exploration.removed
    gone, kept = (int(np.median(characters[side])) for side in (removed, ~removed))
    overall = float(removed.mean())
    return [
        Picture(
            pictures.picture(lambda axes: pictures.draw_lengths(axes, characters, removed)),
            f"Half of the removed comments have at most {gone:,} characters, half of the kept ones at most {kept:,}. "
            "Where the orange line is above the blue one, that length is more frequent among removed comments.",
            f"Lengths of removed and kept comments; medians {gone:,} and {kept:,} characters.",
        ),
        Picture(
            pictures.picture(
                lambda axes: pictures.draw_rates(axes, exploration.by_length, "characters", overall), height=3.7
            ),
            "Each bar is about a tenth of the comments, shortest first. A bar whose interval does not reach the dashed "
            "line is removed more, or less, often than comments are in general.",
            f"Removal rate by length. {_extremes(exploration.by_length, 'characters')}",
        ),
        Rates.of("Removal rate by length in characters", exploration.by_length),
    ]


def _times(exploration: Exploration) -> list[Block]:
    if not exploration.times:
        return [Text("The comments have no times, so there are no plots of hours and weekdays.")]
    parts: list[Block] = []
    missing = len(exploration.removed) - exploration.times
    if missing:
        parts.append(Text(f"{missing:,} comments without a time are left out."))
    parts += sections.periods(exploration)
    rates = exploration.by_hour
    overall = sum(rate.removed for rate in rates) / exploration.times
    for name, shown, caption in (
        ("hour of the day (UTC)", rates, "Shows whether removal rates depend on the hour."),
        ("weekday (UTC)", exploration.by_weekday, "The same by weekday; with few weeks the intervals are wide."),
    ):
        parts.append(
            Picture(
                pictures.picture(lambda axes, shown=shown, name=name: pictures.draw_rates(axes, shown, name, overall)),  # type: ignore[misc]
                caption,
                f"Removal rate by {name}. {_extremes(shown, '')}",
            )
        )
        parts.append(Rates.of(f"Removal rate by {name}", shown))
    return parts


def _tokens(exploration: Exploration) -> list[Block]:
    return [
        *sections.clouds(exploration),
        Text(f"Only words that at least {LEAST_COMMENTS} different comments contain are shown, in lower case."),
        Heading("Counted"),
        Text(
            "How much larger a word's share of all words is in removed comments than in kept ones, in standard "
            "deviations of its log-odds ratio; among so many words, values below 4 may be chance. A prior keeps rare "
            "words from the top."
        ),
        _token_tables(exploration, "deviations", lambda each: each.z),
        Heading("Learned"),
        Text(
            "What the model adds to the log-odds of removal for a comment of this one word. It weighs words jointly, "
            "so a word that only occurs near an indicative one may be missing here."
        ),
        _token_tables(exploration, "log-odds", lambda each: each.weight),
    ]


def _token_tables(exploration: Exploration, column: str, value: Callable[[TellingToken], float]) -> Tokens:
    """Build two tables, of tokens that indicate removal and keeping."""
    tables = []
    for side, what, sign in (("removed", "removal", 1), ("kept", "keeping", -1)):
        strength = {each: sign * value(each) for each in exploration.tokens.telling}
        strongest = exploration.tokens.strongest(strength.__getitem__, _TOKENS)
        tables.append(TokenTable.of(f"Speak for {what}", column, side, [(each, strength[each]) for each in strongest]))
    return Tokens(tables)


def _duplicates(exploration: Exploration) -> list[Block]:
    duplicates = exploration.duplicates
    if not duplicates.bodies:
        return [Text("No body occurs more than once.")]
    return [
        Text(
            f"Bodies that occur more than once: {duplicates.bodies:,}, in {duplicates.repeated.comments:,} comments; "
            f"the most frequent one in {duplicates.most:,}. Both removed and kept: {duplicates.contradicting:,} of "
            "these bodies; no model that sees the text alone can be right about both. Equal bodies are in the same "
            "fold."
        ),
        Rates.of("Removal rate of bodies by how often they occur", (duplicates.once, duplicates.repeated)),
    ]


def _model(exploration: Exploration, judged: OutOfFold) -> list[Block]:
    removed, probability, metrics, policy = exploration.removed, judged.probability, judged.metrics, judged.policy
    gone, kept = (float(np.median(probability[side])) for side in (removed, ~removed))
    return [
        Picture(
            pictures.picture(lambda axes: pictures.draw_scores(axes, probability, removed)),
            "The less the two overlap, the better the model separates them. Comments in the overlap need review.",
            f"Probabilities of removed and kept comments; medians {gone:.2f} and {kept:.2f}.",
        ),
        Picture(
            pictures.picture(lambda axes: draw_calibration(axes, probability, removed, metrics), height=4),
            "Of comments with a probability of 0.7, seven of ten should have been removed: the nearer the dots are to "
            "the dotted line, the better the model is calibrated.",
            f"Removed share over predicted probability; expected calibration error {metrics.calibration_error:.3f}.",
        ),
        Picture(
            pictures.picture(lambda axes: draw_thresholds(axes, probability, removed, policy), height=4),
            "Effect of a threshold: found removals (recall), correct ones among the comments above it (precision), and "
            "the share of comments above it. Vertical lines are the thresholds resolved from the goals: "
            f"{', '.join(policy.goals)}.",
            f"Precision, recall and share of comments over the threshold; best F1 {metrics.best_f1:.3f}, average "
            f"precision {metrics.average_precision:.3f}, share removed {removed.mean():.3f}.",
        ),
    ]


def _examples(exploration: Exploration, judged: OutOfFold, texts: Sequence[str], most: int) -> list[Block]:
    removed, probability = exploration.removed, judged.probability
    order = np.argsort(probability, kind="stable")
    kinds = {
        "Removed, and scored highest": order[::-1][removed[order[::-1]]],
        "Removed, and scored lowest: missed": order[removed[order]],
        "Kept, and scored highest: false alarms": order[::-1][~removed[order[::-1]]],
        "Kept, and scored lowest": order[~removed[order]],
    }
    parts: list[Block] = []
    for title, indices in kinds.items():
        parts.append(Heading(title))
        for index in indices[:most].tolist():
            text = texts[index]
            cut = text[:_SHOWN_CHARACTERS] + ("…" if len(text) > _SHOWN_CHARACTERS else "")
            parts.append(Example(printable(cut), float(probability[index])))
    return parts


def _extremes(rates: Sequence[Rate], unit: str) -> str:
    """Describe the lowest and highest removal rate."""
    filled = [rate for rate in rates if rate.comments]
    low, high = (choose(filled, key=lambda rate: rate.share.value) for choose in (min, max))
    described = [f"{100 * rate.share.value:.0f} % at {rate.group} {unit}".strip() for rate in (low, high)]
    return f"Lowest {described[0]}, highest {described[1]}."
