"""The draw of exploration, its part of a policy, and its keys."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from moderation.contracts import Repair, Verdict
from moderation.errors import ConfigurationError, ModelRefused
from moderation.policy import Exploration, ExplorationKeys, ExplorationShares, Policy
from moderation.policy.exploration import key_id_of

KEY, OTHER = b"k" * 32, b"o" * 40
PLAIN = Policy(300_000, 700_000, ("precision>=0.9",))
HALF = replace(PLAIN, exploration=Exploration(key_id_of(KEY), 500_000, 250_000))
IDS = [hashlib.sha256(str(n).encode()).digest() for n in range(4_000)]
NO_REPAIRS: list[tuple[Repair, ...]] = [()] * len(IDS)


def scores(value: int) -> NDArray[np.int64]:
    return np.full(len(IDS), value, np.int64)


def below(record_id: bytes, share: float, key: bytes = KEY) -> bool:
    """Return the draw as its definition states it."""
    return int.from_bytes(hmac.new(key, record_id, hashlib.sha256).digest()[:8], "big") / 2**64 < share


@pytest.mark.parametrize(("score", "verdict", "share"), [(900_000, Verdict.REMOVE, 0.5), (1, Verdict.ALLOW, 0.25)])
def test_the_share_of_a_verdict_is_reviewed_instead(score: int, verdict: Verdict, share: float) -> None:
    rulings = HALF.decide(scores(score), IDS, NO_REPAIRS, KEY)
    drawn = [below(record_id, share) for record_id in IDS]
    assert [ruling.verdict for ruling in rulings] == [Verdict.REVIEW if each else verdict for each in drawn]
    assert [ruling.drawn_from for ruling in rulings] == [verdict if each else None for each in drawn]
    assert {ruling.inclusion_ppm for ruling in rulings} == {int(share * 1_000_000)}, "drawn or not"
    assert abs(sum(drawn) / len(drawn) - share) < 0.03


def test_the_verdict_on_a_record_does_not_depend_on_the_others() -> None:
    mixed = np.random.default_rng(0).integers(0, 1_000_001, len(IDS))
    together = HALF.decide(mixed, IDS, NO_REPAIRS, KEY)
    alone = [HALF.decide(mixed[at : at + 1], [IDS[at]], [()], KEY)[0] for at in range(200)]
    assert together[:200] == alone


def test_comments_to_review_are_reviewed_for_certain() -> None:
    assert set(HALF.decide(scores(500_000), IDS, NO_REPAIRS, KEY)) == {(Verdict.REVIEW, 1_000_000, None)}


def test_another_key_draws_others() -> None:
    others = replace(HALF, exploration=Exploration(key_id_of(OTHER), 500_000, 250_000))
    assert HALF.decide(scores(900_000), IDS, NO_REPAIRS, KEY) != others.decide(scores(900_000), IDS, NO_REPAIRS, OTHER)


def test_a_repaired_text_is_reviewed_and_a_repaired_removal_is_drawn_as_any_other() -> None:
    cut = [(Repair.CUT,)] * len(IDS)
    assert set(HALF.decide(scores(1), IDS, cut, KEY)) == {(Verdict.REVIEW, 1_000_000, None)}
    assert HALF.decide(scores(900_000), IDS, cut, KEY) == HALF.decide(scores(900_000), IDS, NO_REPAIRS, KEY)
    assert {each.verdict for each in PLAIN.decide(scores(1), IDS, cut, None)} == {Verdict.REVIEW}


def test_shares_of_none_and_all_are_exact() -> None:
    none = replace(PLAIN, exploration=Exploration(key_id_of(KEY), 1_000_000, 0))
    assert {each.verdict for each in none.decide(scores(900_000), IDS, NO_REPAIRS, KEY)} == {Verdict.REVIEW}
    assert set(none.decide(scores(1), IDS, NO_REPAIRS, KEY)) == {(Verdict.ALLOW, 0, None)}


def test_a_policy_that_explores_does_not_decide_without_its_key() -> None:
    with pytest.raises(ModelRefused, match="MODERATION_EXPLORATION_KEY"):
        HALF.decide(scores(1), IDS, NO_REPAIRS, None)
    with pytest.raises(ModelRefused, match=r"version 7.*does not have"):
        ExplorationKeys([OTHER]).of(HALF.exploration, "version 7")
    assert ExplorationKeys([OTHER, KEY]).of(HALF.exploration, "version 7") == KEY
    assert ExplorationKeys().of(PLAIN.exploration, "version 7") is None


def test_a_policy_from_before_explorations_keeps_its_bytes_and_version() -> None:
    assert PLAIN.policy_version == hashlib.sha256(b'[300000, 700000, ["precision>=0.9"]]').hexdigest()[:12]
    fields = json.loads(PLAIN.to_json())
    assert (fields["schema_version"], "exploration" in fields) == (1, False)
    assert Policy.from_json(PLAIN.to_json()) == PLAIN
    assert set(PLAIN.decide(scores(900_000), IDS, NO_REPAIRS, None)) == {(Verdict.REMOVE, None, None)}


def test_a_policy_with_exploration_is_read_as_it_was_written() -> None:
    fields = json.loads(HALF.to_json())
    assert fields["schema_version"] == 2
    assert Policy.from_json(HALF.to_json()) == HALF
    assert HALF.policy_version != PLAIN.policy_version
    for altered in (
        {**fields, "exploration": None},
        {**fields, "schema_version": 1},
        {**fields, "exploration": {**fields["exploration"], "removals_ppm": 5}},
        {**fields, "exploration": {**fields["exploration"], "removals_ppm": 600_000}},
        {**fields, "exploration": {**fields["exploration"], "more": 1}},
    ):
        with pytest.raises(ModelRefused):
            Policy.from_json(json.dumps(altered))


def test_the_cap_a_day_becomes_a_share() -> None:
    shares = ExplorationShares(removals=0.01, allowed=0.001, allowed_per_day=50)
    few, many = shares.resolve(KEY, 1_000), shares.resolve(KEY, 1_000_000)
    assert few == Exploration(key_id_of(KEY), 10_000, 1_000)
    assert many == Exploration(key_id_of(KEY), 10_000, 50)
    assert shares.resolve(KEY, None) == Exploration(key_id_of(KEY), 10_000, 0), "no cap can be kept without a volume"
    assert shares.resolve(None, 1_000) is None
    assert ExplorationShares(0, 0).resolve(KEY, 1_000) is None


def test_keys_are_separated_by_commas_and_long_enough() -> None:
    keys = ExplorationKeys.parse(f"{KEY.decode()}, {OTHER.decode()}")
    assert keys.newest == KEY
    assert ExplorationKeys.parse("").newest is None
    with pytest.raises(ConfigurationError, match="31 bytes"):
        ExplorationKeys.parse("x" * 31)
    assert KEY.decode() not in key_id_of(KEY)
