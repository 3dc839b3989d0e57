from __future__ import annotations

import math
from datetime import UTC, datetime

from moderation.timestamps import time_us_of
from moderation.training.corpus_report.groups import MOST_COMMUNITIES, Rate, rates_by_community, rates_by_period
from moderation.training.corpus_report.word_cloud import LARGEST, SMALLEST, PlacedWord, lay_out


def at(*moment: int) -> int:
    return time_us_of(datetime(*moment, tzinfo=UTC))  # type: ignore[misc,arg-type]


def test_the_largest_communities_come_first_and_the_others_are_one() -> None:
    names = [f"r{number:02}" for number in range(30) for _ in range(30 - number)]
    rates = rates_by_community(names, [name < "r02" for name in names])
    assert rates[:3] == (Rate("r00", 30, 30), Rate("r01", 29, 29), Rate("r02", 28, 0))
    assert len(rates) == MOST_COMMUNITIES + 1
    assert rates[-1] == Rate("10 other communities", sum(range(1, 11)), 0)
    assert sum(rate.comments for rate in rates) == len(names)


def test_periods_are_as_short_as_forty_of_them_allow() -> None:
    days = rates_by_period([at(2023, 1, 31, 23), at(2023, 2, 2)], [True, False])
    assert days.unit == "day"
    assert days.rates == (Rate("2023-01-31", 1, 1), Rate("2023-02-01", 0, 0), Rate("2023-02-02", 1, 0))
    assert rates_by_period([at(2023, 1, 2), at(2023, 2, 10)], [False, False]).unit == "day"
    weeks = rates_by_period([at(2023, 1, 1), at(2023, 2, 11)], [False, False])
    assert (weeks.unit, [rate.group for rate in weeks.rates][:2]) == ("week", ["2022-12-26", "2023-01-02"])
    assert rates_by_period([at(2020, 1, 31), at(2023, 2, 1)], [False, False]).rates[-1].group == "2023-02"
    assert rates_by_period([at(2000, 1, 1), at(2023, 2, 1)], [False, False]).unit == "year"
    assert rates_by_period([], []).rates == ()


def box(word: PlacedWord) -> tuple[float, float, float, float]:
    return word.x - word.width / 2, word.y - 0.8 * word.size, word.x + word.width / 2, word.y + 0.2 * word.size


def test_words_of_a_cloud_do_not_overlap_and_are_inside() -> None:
    words = [(f"word{'x' * (number % 9)}", 60.0 / (number + 1)) for number in range(60)]
    cloud = lay_out([("研究" * 4, 80.0), *words])
    assert cloud == lay_out([("研究" * 4, 80.0), *words])
    sizes = [word.size for word in cloud.words]
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-1]) == (LARGEST, SMALLEST)
    left, top, width, height = cloud.box
    boxes = [box(word) for word in cloud.words]
    for number, one in enumerate(boxes):
        assert left <= one[0] < one[2] <= left + width
        assert top <= one[1] < one[3] <= top + height
        for other in boxes[:number]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    assert math.dist((cloud.words[0].x, cloud.words[0].y), (0, 0)) < LARGEST


def test_a_cloud_without_words_is_empty_and_long_words_are_cut() -> None:
    assert lay_out([]).words == ()
    assert [word.word for word in lay_out([("a" * 50, 1.0)]).words] == ["a" * 23 + "…"]
