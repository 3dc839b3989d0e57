"""G3, one kernel: the score of a text depends only on the text and the model."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression

from moderation.datasets.history import LabelledComment
from moderation.scoring import Kernel, ModerationPipeline, new_pipeline
from moderation.scoring.golden import GOLDEN_TEXTS
from moderation.text import KERNEL_VERSION, Lexicon
from moderation.text.blocks import word_entries, word_values
from moderation.text.kernel_constants import WORD_BUCKETS
from tests.parity.golden import GOLDEN_FILE, golden_rows
from tests.support.naughty import NAUGHTY_TEXTS
from tests.support.properties import examples

texts_strategy = st.lists(
    st.one_of(st.text(max_size=60), st.sampled_from(GOLDEN_TEXTS), st.sampled_from(NAUGHTY_TEXTS[:80])), max_size=30
)


@given(texts_strategy, st.randoms(use_true_random=False))
def test_one_equals_many_in_any_order_and_any_split(kernel: Kernel, texts: list[str], order: random.Random) -> None:
    many = kernel.logits(texts)
    assert [float(kernel.logits([text])[0]) for text in texts] == many.tolist()
    assert [kernel.score_one(text) for text in texts] == kernel.score_many(texts).tolist()
    shuffled = order.sample(range(len(texts)), len(texts))
    assert kernel.logits([texts[i] for i in shuffled]).tolist() == many[shuffled].tolist()
    cut = order.randint(0, len(texts))
    parts = np.concatenate((kernel.logits(texts[:cut]), kernel.logits(texts[cut:])))
    assert parts.tolist() == many.tolist()


@examples(quick=6, thorough=60)
@given(texts_strategy)
def test_scores_do_not_depend_on_what_was_scored_before(pipeline: ModerationPipeline, texts: list[str]) -> None:
    fresh = Kernel(pipeline.kernel().weights, Lexicon(max_chunks=1_000))
    assert fresh.logits(texts).tolist() == pipeline.kernel().logits(texts).tolist()


def test_evicting_chunks_changes_no_score(pipeline: ModerationPipeline) -> None:
    small = Kernel(pipeline.kernel().weights, Lexicon(max_chunks=1_000))
    expected = pipeline.kernel().logits(GOLDEN_TEXTS).tolist()
    vocabularies = set()
    for batch in range(40):
        small.score_many([" ".join(f"w{batch}x{n}" for n in range(120))])
        assert small.logits(GOLDEN_TEXTS).tolist() == expected
        vocabularies.add(id(small.lexicon.vocabulary))
    assert len(vocabularies) > 1


def test_kernels_of_two_models_share_a_lexicon_across_threads(
    small_corpus: tuple[list[str], list[int]],
) -> None:
    texts, labels = small_corpus
    lexicon = Lexicon(max_chunks=1_000)
    kernels = [new_pipeline(lexicon, c).fit(texts, labels).kernel(lexicon) for c in (1.0, 0.1)]
    expected = [Kernel(kernel.weights, Lexicon()).logits(texts).tolist() for kernel in kernels]
    failures: list[str] = []

    def work(number: int) -> None:
        for turn in range(15):
            noise = [" ".join(f"n{number}t{turn}x{n}" for n in range(90))]
            if kernels[number].logits(texts + noise)[: len(texts)].tolist() != expected[number]:
                failures.append(f"kernel {number}, turn {turn}")

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_process_with_another_hash_seed_agrees_to_the_last_bit(
    kernel: Kernel, small_corpus: tuple[list[str], list[int]]
) -> None:
    program = (
        "import json, sys; from moderation.scoring import new_pipeline; from moderation.text import Lexicon\n"
        "texts, labels, asked = json.load(sys.stdin)\n"
        "logits = new_pipeline(Lexicon()).fit(texts, labels).kernel().logits(asked)\n"
        "print(json.dumps([value.hex() for value in logits.tolist()]))\n"
    )
    asked = [*GOLDEN_TEXTS, *small_corpus[0][:20]]
    expected = [value.hex() for value in kernel.logits(asked).tolist()]
    answer = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps([*small_corpus, asked]),
        env={**os.environ, "PYTHONHASHSEED": "4242"},  # noqa: TID251 - a child process needs the parent's
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(answer.stdout) == expected


def test_the_kernel_equals_the_textbook_computation_of_the_pipeline(
    pipeline: ModerationPipeline, small_corpus: tuple[list[str], list[int]]
) -> None:
    texts = [*small_corpus[0], *GOLDEN_TEXTS, *NAUGHTY_TEXTS[:100]]
    matrix = pipeline.named_steps["features"].transform(texts)
    textbook = pipeline.named_steps["classifier"].decision_function(matrix)
    np.testing.assert_allclose(pipeline.kernel().logits(texts), textbook, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(pipeline.predict_proba(texts)[:, 1], pipeline.kernel().probabilities(texts))
    np.testing.assert_array_equal(
        np.rint(1_000_000 * pipeline.predict_proba(texts)[:, 1]), pipeline.kernel().score_many(texts)
    )


def test_fitting_on_occurring_features_only_changes_nothing(
    pipeline: ModerationPipeline, small_corpus: tuple[list[str], list[int]]
) -> None:
    texts, labels = small_corpus
    matrix = pipeline.named_steps["features"].transform(texts)
    whole = LogisticRegression(**pipeline.named_steps["classifier"].get_params()).fit(matrix, labels)
    np.testing.assert_allclose(whole.coef_, pipeline.named_steps["classifier"].coef_, atol=1e-9)


def test_the_word_block_is_scikit_learns_tfidf(small_corpus: tuple[list[str], list[int]]) -> None:
    from scipy.sparse import csr_array

    encoded = Lexicon().encode([*small_corpus[0], "again again again", ""])
    entries = word_entries(encoded)
    shape = (encoded.texts, WORD_BUCKETS)
    counts = csr_array((entries.count.astype(float), (entries.text, entries.bucket)), shape=shape)
    tfidf = TfidfTransformer(sublinear_tf=True).fit(counts)
    ours = csr_array((word_values(entries, tfidf.idf_, encoded.texts), (entries.text, entries.bucket)), shape=shape)
    assert abs(ours - tfidf.transform(counts)).max() < 1e-12


def test_golden_file() -> None:
    """A change of the committed scores needs a new KERNEL_VERSION and a line in the changelog."""
    golden = json.loads(GOLDEN_FILE.read_text())
    assert golden["kernel_version"] == KERNEL_VERSION
    assert golden["rows"] == golden_rows()


@pytest.mark.parametrize("rows", [500, pytest.param(5_000, marks=pytest.mark.long)])
def test_tokens_are_spacys_on_real_rows(rscience: list[LabelledComment], rows: int) -> None:
    import spacy

    from moderation.text.cleaning import clean

    reference = spacy.blank("en").tokenizer
    lexicon = Lexicon()
    differing = []
    assert len(rscience) == 5_000
    for row in rscience[:rows]:
        spacys = [token.text for token in reference(clean(row.comment.body)) if not token.is_space]
        if lexicon.tokens_of(row.comment.body) != spacys:
            differing.append(row.comment.comment_id)
    assert differing == []


def test_real_rows_score_alike_one_by_one_and_together(kernel: Kernel, rscience: list[LabelledComment]) -> None:
    texts = [row.comment.body for row in rscience]
    together = kernel.score_many(texts)
    assert [kernel.score_one(text) for text in texts[:1_000]] == together[:1_000].tolist()


@pytest.mark.parametrize("size", [1, 7, 499, 500, 501, 1_200])
def test_slicing_does_not_change_scores(kernel: Kernel, size: int) -> None:
    texts = [f"text number {n} " + GOLDEN_TEXTS[n % len(GOLDEN_TEXTS)] for n in range(size)]
    expected = [kernel.logits([text])[0] for text in texts]
    assert kernel.logits(texts).tolist() == expected
