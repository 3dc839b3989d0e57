"""Comparison of challenger and production on a real lake and a real MLflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from batch.challenge.run import StoredComparison, compare_challenger
from batch.nothing_done import NothingDone
from batch.promotion.proposal import propose
from cli.main import app
from local.stack.worker import settings_environment
from moderation.adapters.registry import ModelVersion
from moderation.contracts import Comment, Verdict, to_json
from moderation.errors import ConfigurationError, LakeDamaged, ModelRefused
from tests.support.lakes import LakeUnderTest, plain
from tests.support.model_life import LENIENT, STRICT, ModelLife, Templates

HOUR_US = 3_600_000_000
BEGIN_US = 1_700_006_400_000_000
OFFERED = "FREE money at http://spam.example/x"
BODIES = ("Nice study, thanks.", OFFERED, "you idiot!!! {}", "Source? {}")


def hourly(hours: Sequence[float], key: str = "c") -> list[Comment]:
    """Return eight comments in each of these hours."""
    numbers = [(hour, number) for hour in hours for number in range(8)]
    return [
        Comment(
            f"{key}{hour}-{number}",
            ("science", "cooking")[number // 4],
            BODIES[number % 4].format(f"{key}{hour}{number}"),
            BEGIN_US + int(hour * HOUR_US) + number,
        )
        for hour, number in numbers
    ]


@pytest.fixture
def life(lake: LakeUnderTest, templates: Templates, tmp_path: Path) -> ModelLife:
    return ModelLife(lake.settings, tmp_path, templates)


@pytest.fixture
def both(life: ModelLife) -> list[ModelVersion]:
    """Registry with a production version and a challenger that learnt something else."""
    versions = [life.register(LENIENT), life.register(STRICT, learnt=OFFERED)]
    for alias, version in zip(("production", "challenger"), versions, strict=True):
        life.registry.give_alias(alias, version)
    return versions


@pytest.fixture
def archive(lake: LakeUnderTest) -> Callable[[Sequence[Comment]], None]:
    def send(made: Sequence[Comment]) -> None:
        lake.produce(plain([(each.comment_id, to_json(each)) for each in made]))
        lake.archive()

    return send


def compared(life: ModelLife, **params: object) -> StoredComparison:
    found = compare_challenger(life.settings, params)
    assert isinstance(found, StoredComparison)
    return found


@pytest.mark.budget(20)
def test_the_newest_hours_are_compared_and_the_results_are_stored(
    life: ModelLife, both: list[ModelVersion], archive: Callable[[Sequence[Comment]], None]
) -> None:
    made = hourly(range(10))
    archive([*made, made[0], Comment(made[0].comment_id, "science", "edited", made[0].event_time_us + HOUR_US)])
    found = compared(life, hours=4)
    newest = [each for each in made if each.event_time_us > made[-1].event_time_us - 4 * HOUR_US]
    assert found.is_new
    assert found.fields["overall"]["comments"] == found.fields["records"] == len(newest) == 32
    verdicts = {}
    for name, version in zip(("production", "challenger"), both, strict=True):
        opened = life.registry.open_certified(
            version, life.lexicon, life.settings.model_max_bytes, life.settings.state_folder
        )
        verdicts[name] = opened.policy.verdicts(opened.kernel.score_many([each.body for each in newest]))
    changed = sum(ours != theirs for ours, theirs in zip(*verdicts.values(), strict=True))
    assert 0 < changed < 32
    assert found.fields["overall"]["changed"] == changed
    reviews = verdicts["challenger"].count(Verdict.REVIEW) / (4 / 24)
    assert found.fields["overall"]["challenger"]["reviews_per_day"] == pytest.approx(reviews)

    kept = life.registry.run_artifacts.newest("comparison", {"challenger": "2", "production": "1"})
    assert kept is not None
    assert kept.url == found.url
    assert life.registry.run_artifacts.read_json(kept.run_id, "comparison.json") == found.fields
    page = life.registry.run_artifacts.read(kept.run_id, "comparison.md").decode()
    assert f"`{OFFERED}`" in page
    assert life.registry.run_artifacts.read(kept.run_id, "comparison.png").startswith(b"\x89PNG")
    assert life.registry.run_artifacts.logged(kept.run_id).metrics["disagreement"] == pytest.approx(changed / 32)
    assert OFFERED not in str(found.figures())

    shown = propose(life.settings).text
    assert f"On {changed:,} of them the verdicts differ" in shown
    assert f"{kept.url}/artifacts/comparison.md" in shown
    life.registry.give_alias("challenger", life.register(STRICT))
    assert "**They were not compared.**" in propose(life.settings).text


def test_equal_data_is_compared_once_and_new_data_again(
    life: ModelLife, both: list[ModelVersion], archive: Callable[[Sequence[Comment]], None]
) -> None:
    archive(hourly([0, 1]))
    first, again = compared(life), compared(life)
    assert (first.is_new, again.is_new) == (True, False)
    assert (again.fields, again.url) == (first.fields, first.url)
    archive(hourly([0.5], "late"))
    third = compared(life)
    assert third.is_new
    assert third.fields["overall"]["comments"] == 24


def test_a_time_range_or_a_sample_can_be_chosen(
    life: ModelLife, both: list[ModelVersion], archive: Callable[[Sequence[Comment]], None]
) -> None:
    archive(hourly(range(6)))
    window = compared(life, start="2023-11-15T01:00:00+00:00", end="2023-11-15T03:00:00+00:00")
    assert window.fields["overall"]["comments"] == 16
    assert window.fields["end_us"] - window.fields["start_us"] == 2 * HOUR_US
    sample = compare_challenger(life.settings, {}, most=12)
    assert isinstance(sample, StoredComparison)
    assert (sample.fields["overall"]["comments"], sample.fields["records"]) == (12, 48)
    removals = sum(sample.fields["transitions"]["remove"].values())
    shown_days = 4 * removals / sample.fields["overall"]["production"]["removals_per_day"]
    assert 1 / 24 <= shown_days <= 6 / 24  # each of the twelve stands for four
    with pytest.raises(ConfigurationError, match="they do not name one interval"):
        compare_challenger(life.settings, {"start": "2023-11-15"})


def test_nothing_to_compare_is_not_an_error(
    life: ModelLife, lake: LakeUnderTest, archive: Callable[[Sequence[Comment]], None]
) -> None:
    def reason() -> str:
        found = compare_challenger(life.settings)
        assert isinstance(found, NothingDone)
        return found.reason

    assert reason() == "no version has the alias challenger"
    version = life.register(LENIENT)
    life.registry.give_alias("challenger", version)
    assert reason() == "no version has the alias production"
    life.registry.give_alias("production", version)
    assert reason() == "version 1 is challenger and production"
    life.registry.give_alias("challenger", life.register(STRICT))
    assert reason() == "the lake contains no comment"
    archive(hourly([0]))
    found = compare_challenger(life.settings, {"day": "2023-01-01"})
    assert found == NothingDone("the lake contains no comment of that interval")
    assert life.registry.run_artifacts.newest("comparison") is None


def test_a_challenger_without_certificate_and_a_damaged_lake_are_errors(
    life: ModelLife,
    both: list[ModelVersion],
    lake: LakeUnderTest,
    archive: Callable[[Sequence[Comment]], None],
) -> None:
    archive(hourly([0]))
    uncertified = life.register(STRICT, certified=False)
    life.point("challenger", uncertified)
    with pytest.raises(ModelRefused, match="it has no certificate"):
        compare_challenger(life.settings)
    life.point("challenger", both[1])
    file = next(lake.folder.rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(LakeDamaged):
        compare_challenger(life.settings)


def test_the_command_prints_figures_and_no_texts(
    life: ModelLife,
    both: list[ModelVersion],
    archive: Callable[[Sequence[Comment]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive(hourly([0]))
    for key, value in settings_environment(life.settings).items():
        monkeypatch.setenv(key, value)
    done = CliRunner().invoke(app, ["challenge", "--json"], catch_exceptions=False)
    told = orjson.loads(done.stdout)
    assert told == orjson.loads(orjson.dumps({**compared(life).figures(), "is_new": True}))
    done = CliRunner().invoke(app, ["challenge", "--hours", "1"], catch_exceptions=False)
    assert "challenger 2 beside production 1" in done.stdout
    assert "science" in done.stdout
    assert OFFERED not in done.stdout
    life.client.delete_registered_model_alias(life.name, "challenger")
    done = CliRunner().invoke(app, ["challenge"], catch_exceptions=False)
    assert done.stdout == "nothing was compared: no version has the alias challenger\n"
