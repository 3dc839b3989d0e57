"""Search for the texts with the highest cost for the kernel, by hill climbing over the shapes of chunks.

A shape is a list of runs; each run is an alphabet and a length. A text consists of different chunks of one shape. The
search starts from usual words and from shapes that are known to be expensive. It changes one run at a time and keeps
the change if the processor time per character grows. Times are processor times, so other load has little influence.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from batch.progress import OnProgress
from moderation.contracts import MAX_BODY_CHARACTERS
from moderation.scoring import Kernel, new_pipeline, reasons_many
from moderation.text import KERNEL_VERSION, Lexicon
from stream.worker.batch_queue import MOST_WORK_US
from stream.worker.estimated_work import estimated_work_us

ALPHABETS = {
    "letters": "abcdefghijklmnopqrstuvwxyz",
    "capitals": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "digits": "0123456789",
    "marks": "!?.,;:'\")(",
    "brackets": "()[]{}<>",
    "signs": "+-*/=%$#&@~^|_",
    "url": ":/@.?#",
    "stops": ".",
    "dash": "-",
    "currency": "€£¥$₹",
    "typographic": "…—–“”‘’«»",
    "ideographs": "".join(map(chr, range(0x4E00, 0x5200))),
    "hangul": "".join(map(chr, range(0xAC00, 0xB000))),
    "emoji": "".join(map(chr, range(0x1F600, 0x1F640))),
    "combining": "e\u0301\u0302\u0303\u200d",
    "smileys": ":;8=-()DPpoO3<>",
}
Shape = tuple[tuple[str, int], ...]
STARTS: tuple[Shape, ...] = (
    (("letters", 6),),
    (("letters", 10), ("marks", 53)),
    (("marks", 32), ("letters", 10), ("marks", 20)),
    (("letters", 3), ("url", 1)) * 15,
    (("ideographs", 1),),
    (("emoji", 60),),
    (("letters", 700), ("marks", 290)),
)
_LONGEST_CHUNK = 2_000
_SAMPLE_CHARACTERS = 6_000


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a shape.

    Attributes:
        us_per_character: processor time to score and explain one character, in microseconds.
        estimate_ratio: this time divided by the estimate that batches are bounded by.
    """

    us_per_character: float
    estimate_ratio: float


def text_of(shape: Shape, characters: int, choose: random.Random) -> str:
    """Return a text of chunks of one shape."""
    chunks: list[str] = []
    length = 0
    while length < characters:
        chunk = "".join("".join(choose.choices(ALPHABETS[name], k=count)) for name, count in shape)[:_LONGEST_CHUNK]
        chunks.append(chunk)
        length += len(chunk) + 1
    return " ".join(chunks)[:characters]


def bench_worst_text(
    texts: Sequence[str], labels: Sequence[int], steps: int, seed: int, on_progress: OnProgress
) -> dict[str, Any]:
    """Search, then measure the worst text at full length and usual texts.

    Args:
        texts: usual comments' bodies; the model is fitted on them.
        labels: 1 = removed.
        steps: number of shapes to try.
        seed: of the search.
        on_progress: receives one line at each step.

    Returns:
        ``worst_ms_per_1000_characters``, ``usual_ms_per_1000_characters``, ``worst_comment_ms`` (40,000 characters),
        ``worst_shape``, ``longest_batch_ms`` (worst texts up to the bound of a batch), ``largest_estimate_ratio``,
        ``settings``.
    """
    with threadpool_limits(limits=1):
        on_progress("fitting")
        kernel = new_pipeline(Lexicon()).fit(texts, labels).kernel(Lexicon(20_000))
        choose = random.Random(seed)  # noqa: S311 - a search, no secret
        worst, cost, ratio = _search(kernel, steps, choose, on_progress)
        on_progress("measuring")
        full = [text_of(worst, MAX_BODY_CHARACTERS, choose) for _ in range(3)]
        comment_ms = statistics.median(_cpu_seconds(kernel, [text]) * 1e3 for text in full)
        batch: list[str] = []
        work_us = 0.0
        while True:
            text = text_of(worst, MAX_BODY_CHARACTERS, choose)
            work_us += estimated_work_us(text.encode())
            if batch and work_us > MOST_WORK_US:
                break
            batch.append(text)
        usual = Kernel(kernel.weights, Lexicon())
        usual_seconds = _cpu_seconds(usual, texts)
        return {
            "worst_ms_per_1000_characters": round(comment_ms / MAX_BODY_CHARACTERS * 1_000, 3),
            "usual_ms_per_1000_characters": round(usual_seconds * 1e6 / sum(map(len, texts)), 3),
            "worst_comment_ms": round(comment_ms, 1),
            "longest_batch_ms": round(_cpu_seconds(kernel, batch) * 1e3, 1),
            "largest_estimate_ratio": round(ratio, 2),
            "worst_shape": [list(run) for run in worst],
            "settings": {
                "kernel_version": KERNEL_VERSION,
                "steps": steps,
                "seed": seed,
                "search_us_per_character": round(cost, 3),
                "most_work_us": MOST_WORK_US,
                "comments_in_longest_batch": len(batch),
            },
        }


def _search(kernel: Kernel, steps: int, choose: random.Random, on_progress: OnProgress) -> tuple[Shape, float, float]:
    costs = {shape: _cost(kernel, shape, choose) for shape in STARTS}
    for step in range(steps):
        on_progress(f"shape {step + 1} of {steps}")
        best = sorted(costs, key=lambda shape: -costs[shape].us_per_character)[:4]
        shape = _changed(choose.choice(best), choose)
        if shape not in costs:
            costs[shape] = _cost(kernel, shape, choose)
    worst = max(costs, key=lambda shape: costs[shape].us_per_character)
    return worst, costs[worst].us_per_character, max(cost.estimate_ratio for cost in costs.values())


def _changed(shape: Shape, choose: random.Random) -> Shape:
    runs = list(shape)
    index = choose.randrange(len(runs))
    name, count = runs[index]
    names = sorted(ALPHABETS)
    change = choose.randrange(4)
    if change == 0:
        runs[index] = (choose.choice(names), count)
    elif change == 1:
        runs[index] = (name, max(1, min(_LONGEST_CHUNK, round(count * choose.choice((0.5, 0.8, 1.25, 2.0))))))
    elif change == 2:
        runs.insert(index, (choose.choice(names), choose.choice((1, 2, 5, 20, 60))))
    elif len(runs) > 1:
        del runs[index]
    return tuple(runs)


def _cost(kernel: Kernel, shape: Shape, choose: random.Random) -> Cost:
    seconds, ratios = [], []
    for _ in range(2):  # use the smaller value; other load may have disturbed one
        text = text_of(shape, _SAMPLE_CHARACTERS, choose)
        seconds.append(_cpu_seconds(kernel, [text]))
        ratios.append(seconds[-1] * 1e6 / estimated_work_us(text.encode()))
    return Cost(min(seconds) * 1e6 / _SAMPLE_CHARACTERS, min(ratios))


def _cpu_seconds(kernel: Kernel, texts: Sequence[str]) -> float:
    began = time.process_time()
    kernel.score_many(texts)
    reasons_many(kernel, texts)
    return time.process_time() - began
