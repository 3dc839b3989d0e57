"""Benchmark of the kernel, its tokenizer and two usual pipelines, on seen and on unseen texts.

In every round each candidate starts again, is warmed on one half of the texts, and is then timed on the other half
(fresh) and on the first half again (warm), on one core. Figures are medians over the rounds.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import spacy
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from batch.progress import OnProgress
from moderation.scoring import Kernel, new_pipeline
from moderation.text import KERNEL_VERSION, Lexicon

Run = Callable[[Sequence[str]], object]


@dataclass
class Timing:
    """Comments per second of one candidate, one value per round."""

    warm: list[float] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)


def bench_kernel(texts: Sequence[str], labels: Sequence[int], rounds: int, on_progress: OnProgress) -> dict[str, Any]:
    """Time the candidates.

    Args:
        texts: bodies of comments; the first half is the warm one.
        labels: 1 = removed.
        rounds: number of timings of each candidate.
        on_progress: receives one line at each step.

    Returns:
        ``{kernel,spacy_pipe,tfidf_lr,tokenizer}_{warm,fresh}_per_s``, ``cache_hit_ratio`` of the kernel's look-ups on
        fresh texts, ``peak_rss_bytes`` of the process, ``settings``.
    """
    half = len(texts) // 2
    seen, fresh, seen_labels = texts[:half], texts[half:], labels[:half]
    ratios: list[float] = []
    with threadpool_limits(limits=1):
        on_progress("fitting")
        weights = new_pipeline(Lexicon()).fit(seen, seen_labels).kernel().weights
        lemma_words = _lemmatizer()
        spacy_model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression())
        spacy_model.fit([lemma_words(text) for text in seen], seen_labels)
        plain_model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression()).fit(seen, seen_labels)

        def kernel() -> Run:
            lexicon = Lexicon()
            scorer = Kernel(weights, lexicon)

            def run(batch: Sequence[str]) -> object:
                before = lexicon.lookups, lexicon.misses
                scores = scorer.score_many(batch)
                if batch is fresh:
                    ratios.append(1 - (lexicon.misses - before[1]) / (lexicon.lookups - before[0]))
                return scores

            return run

        def tokenizer() -> Run:
            tokenize = spacy.blank("en").tokenizer
            tokenize.max_cache_size = 1_000_000  # type: ignore[union-attr]  # the default halves the speed
            return lambda batch: [len(tokenize(text)) for text in batch]

        def spacy_pipe() -> Run:
            words = _lemmatizer()
            return lambda batch: spacy_model.predict_proba([words(text) for text in batch])

        def tfidf_lr() -> Run:
            return plain_model.predict_proba  # type: ignore[no-any-return]

        candidates: dict[str, Callable[[], Run]] = {
            "kernel": kernel,
            "tokenizer": tokenizer,
            "spacy_pipe": spacy_pipe,
            "tfidf_lr": tfidf_lr,
        }
        timings = {name: Timing() for name in candidates}
        for number in range(1, rounds + 1):
            for name, start in candidates.items():
                on_progress(f"round {number} of {rounds}: {name}")
                run = start()
                run(seen)
                timings[name].fresh.append(len(fresh) / _seconds(run, fresh))
                timings[name].warm.append(len(seen) / _seconds(run, seen))
    figures = {
        f"{name}_{kind}_per_s": round(statistics.median(values))
        for name, timing in timings.items()
        for kind, values in (("warm", timing.warm), ("fresh", timing.fresh))
    }
    return {
        **figures,
        "cache_hit_ratio": round(statistics.median(ratios), 4),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "settings": {
            "kernel_version": KERNEL_VERSION,
            "texts_seen": len(seen),
            "texts_fresh": len(fresh),
            "mean_characters": round(sum(map(len, texts)) / len(texts), 1),
            "rounds": rounds,
            "cores": 1,
            "spacy": version("spacy"),
        },
    }


def _lemmatizer() -> Callable[[str], str]:
    nlp = spacy.blank("en")
    nlp.tokenizer.max_cache_size = 1_000_000  # type: ignore[union-attr]
    nlp.add_pipe("lemmatizer", config={"mode": "lookup"})
    nlp.initialize()
    return lambda text: " ".join(token.lemma_ for token in nlp(text))


def _seconds(run: Run, texts: Sequence[str]) -> float:
    started = time.perf_counter()
    run(texts)
    return time.perf_counter() - started
