from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from itertools import pairwise
from statistics import median

import pytest

from moderation.contracts import Action, ActionKind, Comment, DeadLetterReason, parse_action, parse_record
from moderation.datasets.history import LabelledComment
from moderation.datasets.synthetic import Arrival, Injection, TrafficConfig, generate, labelled_history
from moderation.errors import InvalidRecord

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US

PLAIN = TrafficConfig(days=6, comments_per_day=1_500)
FAULTY = replace(
    PLAIN, late_share=0.06, duplicate_share=0.05, edit_share=0.04, broken_share=0.03, future_share=0.02, raid_day=2
)


@cache
def arrivals(config: TrafficConfig) -> tuple[Arrival, ...]:
    return tuple(generate(config))


@cache
def history(config: TrafficConfig) -> tuple[LabelledComment, ...]:
    return tuple(labelled_history(config))


def comment_records(config: TrafficConfig) -> list[Arrival]:
    return [arrival for arrival in arrivals(config) if arrival.topic == "comments"]


def actions(config: TrafficConfig) -> list[Action]:
    return [parse_action(arrival.value) for arrival in arrivals(config) if arrival.topic == "actions"]


def injected(kind: Injection | None) -> list[Arrival]:
    return [arrival for arrival in comment_records(FAULTY) if arrival.injected is kind]


def parsed(arrival: Arrival) -> Comment:
    return parse_record(arrival.value, arrival.arrival_us)


def first_records() -> dict[str, Arrival]:
    return {arrival.key: arrival for arrival in injected(None)}


def day_of(comment: Comment) -> int:
    return (comment.event_time_us - PLAIN.start_us) // DAY_US


def digest(config: TrafficConfig) -> str:
    together = hashlib.sha256()
    for arrival in generate(config):
        together.update(repr(arrival).encode())
    return together.hexdigest()


def removed_share(comments: list[LabelledComment]) -> float:
    return sum(each.removed for each in comments) / len(comments)


@pytest.mark.slow
def test_one_config_gives_the_same_bytes_again() -> None:
    assert tuple(generate(FAULTY)) == arrivals(FAULTY)


def test_another_process_with_other_string_hashes_generates_the_same_bytes() -> None:
    config = TrafficConfig(days=1, comments_per_day=300, late_share=0.1, edit_share=0.1, broken_share=0.1, raid_day=0)
    program = (
        "import hashlib; from moderation.datasets.synthetic import TrafficConfig, generate\n"
        f"print(hashlib.sha256(b''.join(repr(arrival).encode() for arrival in generate({config!r}))).hexdigest())"
    )
    for hash_seed in ("1", "2"):
        printed = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        assert printed.strip() == digest(config)


@pytest.mark.slow
def test_another_seed_gives_other_comments_and_authors() -> None:
    other = history(replace(PLAIN, seed=1))
    mine = history(PLAIN)
    assert {each.comment.comment_id for each in mine}.isdisjoint(each.comment.comment_id for each in other)
    assert {each.comment.author_key for each in mine}.isdisjoint(each.comment.author_key for each in other)


@pytest.mark.parametrize("config", [PLAIN, FAULTY])
def test_records_come_in_order_of_arrival(config: TrafficConfig) -> None:
    times = [arrival.arrival_us for arrival in arrivals(config)]
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert times[0] >= config.start_us


def test_records_are_streamed_not_collected() -> None:
    century = TrafficConfig(days=36_500, comments_per_day=100)
    started = time.perf_counter()
    assert next(generate(century)).arrival_us < century.start_us + DAY_US
    assert time.perf_counter() - started < 5


def test_ids_are_unique_and_keys_are_comment_ids() -> None:
    ids = [parsed(arrival).comment_id for arrival in comment_records(PLAIN)]
    assert len(set(ids)) == len(ids)
    assert ids == [arrival.key for arrival in comment_records(PLAIN)]
    assert all(action.comment_id in set(ids) for action in actions(PLAIN))


def test_there_are_as_many_comments_as_asked_for() -> None:
    wanted = PLAIN.days * PLAIN.comments_per_day
    assert len(comment_records(PLAIN)) == pytest.approx(wanted, rel=0.06)
    assert {arrival.injected for arrival in arrivals(PLAIN)} == {None}


@pytest.mark.parametrize(
    ("kind", "share"),
    [
        (Injection.LATE, FAULTY.late_share),
        (Injection.DUPLICATE, FAULTY.duplicate_share),
        (Injection.EDITED, FAULTY.edit_share),
        (Injection.BROKEN, FAULTY.broken_share),
        (Injection.FUTURE_DATED, FAULTY.future_share),
    ],
)
def test_every_fault_is_injected_at_its_share(kind: Injection, share: float) -> None:
    assert len(injected(kind)) / len(comment_records(PLAIN)) == pytest.approx(share, rel=0.25)


def test_everything_but_broken_and_future_dated_records_parses() -> None:
    for kind in (None, Injection.LATE, Injection.DUPLICATE, Injection.EDITED):
        assert all(parsed(arrival).comment_id == arrival.key for arrival in injected(kind))
        assert all(arrival.label is not None for arrival in injected(kind))


def test_ordinary_records_arrive_within_a_minute() -> None:
    delays = [arrival.arrival_us - parsed(arrival).event_time_us for arrival in injected(None)]
    assert min(delays) >= 0
    assert max(delays) <= MINUTE_US
    assert sum(delays) / len(delays) == pytest.approx(2 * SECOND_US, rel=0.1)


def test_late_records_are_later_than_any_open_pane() -> None:
    delays = [arrival.arrival_us - parsed(arrival).event_time_us for arrival in injected(Injection.LATE)]
    assert min(delays) > 15 * MINUTE_US
    assert max(delays) <= 6 * HOUR_US
    assert max(delays) > 2 * HOUR_US


def test_late_records_are_older_than_the_newest_event_time_before_them() -> None:
    newest_us = 0
    behind = 0
    for arrival in comment_records(FAULTY):
        if arrival.injected in (Injection.BROKEN, Injection.FUTURE_DATED):
            continue
        event_time_us = parsed(arrival).event_time_us
        if arrival.injected is Injection.LATE:
            behind += event_time_us < newest_us - 15 * MINUTE_US
        newest_us = max(newest_us, event_time_us)
    assert behind > 0.97 * len(injected(Injection.LATE))


def test_duplicates_repeat_the_bytes_of_an_earlier_record() -> None:
    first = first_records()
    for copy in injected(Injection.DUPLICATE):
        assert copy.value == first[copy.key].value
        assert SECOND_US <= copy.arrival_us - first[copy.key].arrival_us <= MINUTE_US
        assert copy.label == first[copy.key].label


def test_edits_are_other_records_of_the_same_comment() -> None:
    first = first_records()
    for edit in injected(Injection.EDITED):
        before, after = parsed(first[edit.key]), parsed(edit)
        assert after.comment_id == before.comment_id
        assert after.body != before.body
        assert MINUTE_US < after.event_time_us - before.event_time_us <= HOUR_US
        assert after.record_id() != before.record_id()
        assert edit.arrival_us > first[edit.key].arrival_us


def test_future_dated_records_are_refused_as_that() -> None:
    for arrival in injected(Injection.FUTURE_DATED):
        with pytest.raises(InvalidRecord) as refused:
            parsed(arrival)
        assert refused.value.reason == DeadLetterReason.FUTURE_DATED
        assert arrival.label is None
        patient = parse_record(arrival.value, arrival.arrival_us + DAY_US)
        assert 10 * MINUTE_US <= patient.event_time_us - arrival.arrival_us <= DAY_US


def test_broken_records_are_all_refused_in_many_ways() -> None:
    ways = set()
    for arrival in injected(Injection.BROKEN):
        assert arrival.label is None
        with pytest.raises(InvalidRecord) as refused:
            parsed(arrival)
        ways.add(refused.value.reason)
    assert len(ways) >= 7


def test_broken_and_future_dated_comments_get_no_action() -> None:
    never = {arrival.key for kind in (Injection.BROKEN, Injection.FUTURE_DATED) for arrival in injected(kind)}
    assert never
    assert never.isdisjoint(action.comment_id for action in actions(FAULTY))


def test_faults_and_a_raid_do_not_change_other_comments() -> None:
    plain = {each.comment.record_id() for each in history(PLAIN)}
    assert all(parsed(arrival).record_id() in plain for arrival in injected(Injection.LATE))
    assert all(parsed(arrival).record_id() in plain for arrival in injected(Injection.DUPLICATE))


def test_removals_arrive_hours_after_the_comment() -> None:
    written_us = {each.comment.comment_id: each.comment.event_time_us for each in history(PLAIN)}
    delays = [action.action_time_us - written_us[action.comment_id] for action in actions(PLAIN)]
    assert 2.5 * HOUR_US < median(delays) < 3.5 * HOUR_US
    assert min(delays) > 0
    assert max(delays) <= 47 * HOUR_US
    assert sum(delay > HOUR_US for delay in delays) > 0.8 * len(delays)


def test_actions_come_after_the_comment_and_soon_after_they_were_taken() -> None:
    seen: set[str] = set()
    for arrival in arrivals(FAULTY):
        if arrival.topic == "actions":
            action = parse_action(arrival.value)
            assert action.comment_id in seen
            assert 0 <= arrival.arrival_us - action.action_time_us <= MINUTE_US
            assert (arrival.injected, arrival.label) == (None, None)
        seen.add(arrival.key)


def test_labels_equal_the_later_actions() -> None:
    removed = {action.comment_id for action in actions(FAULTY) if action.kind is ActionKind.REMOVE}
    labelled = [arrival for arrival in comment_records(FAULTY) if arrival.label is not None]
    assert all(arrival.label == (arrival.key in removed) for arrival in labelled)


def test_some_kept_comments_are_audited_and_every_removal_is_recorded() -> None:
    by_kind = defaultdict(list)
    for action in actions(PLAIN):
        by_kind[action.kind].append(action)
    assert {action.inclusion_probability for action in by_kind[ActionKind.REMOVE]} == {1.0}
    assert {action.inclusion_probability for action in by_kind[ActionKind.APPROVE]} == {0.02}
    kept = sum(not each.removed for each in history(PLAIN))
    assert len(by_kind[ActionKind.APPROVE]) / kept == pytest.approx(0.02, rel=0.25)
    assert {"spam", "insult", "off-topic", "medical anecdote"} <= {action.reason for action in actions(PLAIN)}


def test_a_handful_of_moderators_act_in_each_community() -> None:
    community = {each.comment.comment_id: each.comment.community for each in history(PLAIN)}
    moderators = defaultdict(set)
    for action in actions(PLAIN):
        moderators[community[action.comment_id]].add(action.moderator_key)
    assert all(2 <= len(keys) <= 8 for keys in moderators.values())
    assert len(set.union(*moderators.values())) == sum(map(len, moderators.values()))


def test_history_contains_every_version_once_with_its_action() -> None:
    arrived = Counter(
        parsed(arrival).record_id() for kind in (None, Injection.LATE, Injection.EDITED) for arrival in injected(kind)
    )
    assert Counter(each.comment.record_id() for each in history(FAULTY)) == arrived
    assert set(arrived.values()) == {1}
    acted = {action.comment_id: action for action in actions(FAULTY)}
    assert all(each.action == acted.get(each.comment.comment_id) for each in history(FAULTY))


def test_a_tenth_to_a_fifth_is_removed_and_communities_differ() -> None:
    by_community = defaultdict(list)
    for each in history(PLAIN):
        by_community[each.comment.community].append(each)
    shares = {name: removed_share(comments) for name, comments in by_community.items()}
    assert 0.10 < removed_share(list(history(PLAIN))) < 0.20
    assert len(shares) >= 5
    assert max(shares.values()) > 1.5 * min(shares.values())


def test_people_write_by_day_and_sleep_by_night() -> None:
    hours = Counter(each.comment.event_time_us // HOUR_US % 24 for each in history(PLAIN))
    assert len(hours) == 24
    assert max(hours.values()) > 2 * min(hours.values())


@pytest.mark.slow
def test_weekends_are_quieter() -> None:
    config = TrafficConfig(days=14, comments_per_day=1_000)  # from a Thursday on
    days = Counter(day_of(each.comment) % 7 for each in history(config))
    assert days[2] < min(days[4], days[5])  # Saturday; Monday, Tuesday


def test_bodies_are_a_few_sentences_with_some_very_short_and_few_long() -> None:
    lengths = [len(each.comment.body) for each in history(PLAIN)]
    assert 150 < sum(lengths) / len(lengths) < 350
    assert 0.02 < sum(length < 20 for length in lengths) / len(lengths) < 0.15
    assert 0.005 < sum(length > 700 for length in lengths) / len(lengths) < 0.10
    assert min(lengths) > 0


def test_vocabulary_keeps_growing() -> None:
    seen: set[str] = set()
    new_by_day = Counter[int]()
    for each in history(PLAIN):
        words = set(each.comment.body.lower().split())
        new_by_day[day_of(each.comment)] += len(words - seen)
        seen |= words
    assert new_by_day[PLAIN.days - 1] > 500


def test_words_of_bad_comments_occur_in_good_ones() -> None:
    def having(word: str, removed: bool) -> int:
        return sum(word in each.comment.body.lower() for each in history(PLAIN) if each.removed is removed)

    for word in ("idiot", "stupid", "free", "http"):
        assert having(word, removed=True) > 10
        assert having(word, removed=False) > 10
    assert any("1d10t" in each.comment.body for each in history(PLAIN))


def test_few_authors_get_most_removals() -> None:
    by_author = Counter(each.comment.author_key for each in history(PLAIN) if each.removed)
    authors = {each.comment.author_key for each in history(PLAIN)}
    worst = sum(count for _, count in by_author.most_common(len(authors) // 20))
    assert worst > 0.45 * by_author.total()


def test_a_raid_floods_one_community_with_near_identical_spam_from_fresh_accounts() -> None:
    config = replace(PLAIN, raid_day=2)
    plain = {each.comment.record_id() for each in history(PLAIN)}
    raid = [each for each in history(config) if each.comment.record_id() not in plain]
    times = [each.comment.event_time_us for each in raid]
    (community,) = {each.comment.community for each in raid}
    assert {day_of(each.comment) for each in raid} == {2}
    assert max(times) - min(times) <= 2 * HOUR_US
    usual = sum(
        each.comment.community == community and min(times) <= each.comment.event_time_us <= max(times)
        for each in history(PLAIN)
    )
    assert len(raid) > 10 * usual
    assert len({each.comment.author_key for each in raid}) == len(raid)
    assert len({each.comment.body[:40] for each in raid}) <= 5
    assert removed_share(raid) > 0.9


def test_the_drift_changes_the_words_from_its_day_on_only() -> None:
    config = replace(PLAIN, drift_from_day=3)
    before = [each.comment for each in history(PLAIN) if day_of(each.comment) < 3]
    assert before == [each.comment for each in history(config) if day_of(each.comment) < 3]
    known = {word for comment in before for word in comment.body.lower().split()}

    def unseen_share(traffic: TrafficConfig) -> float:
        words = [
            word for each in history(traffic) if day_of(each.comment) >= 3 for word in each.comment.body.lower().split()
        ]
        return sum(word not in known for word in words) / len(words)

    assert unseen_share(config) > unseen_share(PLAIN) + 0.05


def test_a_changed_policy_removes_more_of_the_same_comments_from_its_day_on() -> None:
    changed = history(replace(PLAIN, policy_change_from_day=3))
    assert [each.comment for each in changed] == [each.comment for each in history(PLAIN)]

    def shares(comments: tuple[LabelledComment, ...]) -> tuple[float, float]:
        before = [each for each in comments if day_of(each.comment) < 3]
        return removed_share(before), removed_share([each for each in comments if day_of(each.comment) >= 3])

    assert shares(changed)[0] == shares(history(PLAIN))[0]
    assert shares(changed)[1] > shares(history(PLAIN))[1] + 0.05


def test_without_label_noise_fewer_good_comments_are_removed() -> None:
    assert removed_share(list(history(replace(PLAIN, label_noise=0.0)))) < removed_share(list(history(PLAIN)))


@pytest.mark.slow
def test_a_month_of_history_takes_seconds() -> None:
    started = time.perf_counter()
    count = sum(arrival.topic == "comments" for arrival in generate(TrafficConfig()))
    assert time.perf_counter() - started < 60  # 2 seconds on one core of a laptop
    assert count == pytest.approx(60_000, rel=0.03)
