from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batch.labelled_examples import Example
from batch.retrain.split import split_at, split_point
from moderation.contracts import Comment

examples = st.lists(
    st.builds(
        lambda n, author, text, time: Example(Comment(f"c{n}", "x", text, time, author_key=author), n % 2 == 0, 1.0),
        st.integers(0, 10_000),
        st.none() | st.sampled_from([f"u{n}" for n in range(12)]),
        st.sampled_from([f"Text  number {n}" for n in range(9)] + [f"text Number {n} " for n in range(9)]),
        st.integers(0, 1_000),
    ),
    min_size=1,
    max_size=60,
).map(lambda found: sorted(found, key=lambda each: each.comment.event_time_us))


def text(example: Example) -> str:
    return " ".join(example.comment.body.lower().split())


@given(examples, st.floats(0.05, 0.5))
def test_no_author_and_no_text_is_on_both_sides(found: list[Example], share: float) -> None:
    split = split_at(found, split_point(found, share))
    trained, newest = split.training, split.newest
    assert all(each.comment.event_time_us < split.split_us for each in trained)
    assert all(each.comment.event_time_us >= split.split_us for each in newest)
    authors = [{each.comment.author_key for each in side} - {None} for side in (trained, newest)]
    assert not authors[0] & authors[1]
    assert not {text(each) for each in trained} & {text(each) for each in newest}
    assert len(trained) + len(newest) + sum(split.left_out.values()) == len(found)
    assert split == split_at(found, split.split_us)


def test_authors_of_one_side_keep_all_examples() -> None:
    found = [Example(Comment(f"c{n}", "x", f"text {n}", n, author_key=f"u{n}"), False, 1.0) for n in range(100)]
    split = split_at(found, split_point(found, 0.2))
    assert (len(split.training), len(split.newest), sum(split.left_out.values())) == (80, 20, 0)


def test_authors_of_both_sides_are_divided_between_them() -> None:
    found = [Example(Comment(f"c{n}", "x", f"text {n}", n, author_key=f"u{n % 500}"), False, 1.0) for n in range(5_000)]
    split = split_at(found, split_point(found, 0.2))
    stay = len({each.comment.author_key for each in split.newest}) / 500
    assert 0.2 < stay < 0.4
    for side, share in ((split.training, 0.7), (split.newest, 0.3)):
        assert {each.weight for each in side} == {1 / share}, "they stand for those who were left out"
