"""Records at which only the batch fails: each is named by position and error class, and the others are processed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from batch.labelled_examples import Example, without_failing
from batch.record_isolation import Failure, failing_texts, failure_fields, parse_failure, score_each
from moderation.contracts import Comment
from moderation.errors import LakeDamaged
from moderation.scoring import Kernel

WORD = "unspeakable"


class BrittleKernel:
    """Scores a text by its length; fails at texts with a word, and names the text in the error."""

    def __init__(self, word: str = WORD, error: type[Exception] = ZeroDivisionError) -> None:
        self._word, self._error = word, error

    def score_many(self, texts: Sequence[str]) -> object:
        for text in texts:
            if self._word in text:
                raise self._error(text)
        return np.array([len(text) for text in texts], np.int64)


def brittle(word: str = WORD, error: type[Exception] = ZeroDivisionError) -> Kernel:
    return cast(Kernel, BrittleKernel(word, error))


def test_a_failing_text_is_named_and_the_others_are_scored() -> None:
    texts = [f"{number} {WORD if number in (3, 700) else 'sound'}" for number in range(1_000)]
    scores, failed = score_each(brittle(), texts)
    assert failed == {3: "ZeroDivisionError", 700: "ZeroDivisionError"}
    expected = [0 if number in failed else len(text) for number, text in enumerate(texts)]
    assert scores.tolist() == expected


@pytest.mark.parametrize("error", [MemoryError, OSError])
def test_an_error_that_no_record_causes_is_raised(error: type[Exception]) -> None:
    with pytest.raises(error):
        score_each(brittle(error=error), ["sound", WORD])


def test_a_kernel_that_fails_for_every_text_blames_no_record() -> None:
    with pytest.raises(ZeroDivisionError):
        score_each(brittle(word=""), ["one", "two"])


def test_texts_that_fail_only_together_are_not_blamed() -> None:
    error = ValueError("together")

    def attempt(texts: Sequence[str]) -> None:
        if len(texts) > 1:
            raise error

    with pytest.raises(ValueError, match="together"):
        failing_texts(["one", "two"], attempt, error)


def test_a_parse_error_belongs_to_the_record_unless_its_origin_is_another() -> None:
    assert parse_failure(ZeroDivisionError(WORD), 0) == "ZeroDivisionError"
    with pytest.raises(LakeDamaged):
        parse_failure(LakeDamaged("a file", "it is gone"), 0)


def test_parsing_that_is_broken_for_every_record_blames_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(value: bytes, append_us: int) -> Comment:
        raise RecursionError

    monkeypatch.setattr("batch.record_isolation.parse_record", broken)
    with pytest.raises(RecursionError):
        parse_failure(ZeroDivisionError(), 0)


def test_examples_with_failing_texts_are_left_out_and_never_quoted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    examples = [
        Example(Comment(f"c{number}", "science", f"{number} {WORD if number == 5 else ''}", 0), False, 1.0, 2, number)
        for number in range(20)
    ]
    said: list[str] = []
    rest, failures = without_failing(examples, BrittleKernel().score_many, ZeroDivisionError(), said.append)
    assert [each.offset for each in rest] == [number for number in range(20) if number != 5]
    assert failures == [Failure("", 2, 5, "ZeroDivisionError")]
    assert said == ["cannot be recomputed: partition 2 offset 5: ZeroDivisionError"]
    assert "partition 2 offset 5: ZeroDivisionError" in caplog.text
    assert WORD not in caplog.text


def test_a_report_counts_all_failures_and_names_the_first() -> None:
    failures = [Failure("t", 0, offset, "KeyError") for offset in range(1_500, 0, -1)]
    fields = failure_fields(failures)
    assert fields["count"] == 1_500
    assert [each["offset"] for each in fields["records"]] == list(range(1, 1_001))
    assert fields["records"][0] == {"topic_id": "t", "partition": 0, "offset": 1, "error": "KeyError"}
