from __future__ import annotations

from batch.labelled_examples import Example
from batch.retrain.newest import ProductionTraining, without_production_training
from moderation.contracts import Comment
from moderation.training.seen_texts import SeenTexts

EXAMPLES = [Example(Comment(f"c{n}", "x", f"text {n}", 1_000 * n), n % 2 == 0, 1.0) for n in range(10)]


def test_comments_from_the_time_of_productions_training_do_not_count() -> None:
    newest = without_production_training(EXAMPLES, ProductionTraining("3", 6_000, SeenTexts.of([])))
    assert newest.examples == EXAMPLES[6:]
    assert newest.left_out == {"in_time_of_production_training": 6, "text_in_production_training": 0}
    assert newest.notes == (
        "production version 3 was trained on comments before 1970-01-01 00:00 UTC: only later ones count",
    )


def test_comments_with_a_text_of_productions_training_do_not_count() -> None:
    newest = without_production_training(EXAMPLES, ProductionTraining("3", 6_000, SeenTexts.of(["TEXT  7", "text 1"])))
    assert newest.examples == [EXAMPLES[6], *EXAMPLES[8:]]
    assert newest.left_out == {"in_time_of_production_training": 6, "text_in_production_training": 1}


def test_what_is_unknown_of_productions_training_is_stated() -> None:
    newest = without_production_training(EXAMPLES, ProductionTraining("3", None, None))
    assert newest.examples == EXAMPLES
    assert [note.partition(":")[0] for note in newest.notes] == [
        "production version 3 does not state the time of its training data",
        "the texts on which production version 3 was trained are unknown",
    ]


def test_without_production_all_newest_comments_count() -> None:
    newest = without_production_training(EXAMPLES, None)
    assert (newest.examples, newest.left_out, newest.notes) == (EXAMPLES, {}, ())
