"""Promotion and rollback on a real MLflow: only the approved proposal is executed."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TypedDict

import orjson
import pytest
from typer.testing import CliRunner

from batch.promotion.eligibility import GATE_REPORT
from batch.promotion.proposal import propose
from batch.promotion.run import PromotionResult, plan_rollback, promote, roll_back
from batch.promotion.tasks import promote as promote_shown
from cli.main import app
from local.stack.commands import StackInfo
from local.stack.worker import settings_environment
from moderation.adapters.model_folder.folder import MODEL
from moderation.adapters.registry import ModelVersion
from moderation.adapters.registry.registry import OVERRIDE_TAG
from moderation.bootstrap import production_model, version_opener
from moderation.errors import ConfigurationError, ModelRefused, NotInRegistry, OutdatedApproval, PromotionRefused
from tests.support.forged_versions import damage_model
from tests.support.model_life import LENIENT, STRICT, ModelLife, Templates
from tests.support.workers import base_settings


class Word(TypedDict):
    by: str
    reason: str


WORD: Word = {"by": "an operator", "reason": "fewer reviews"}


@pytest.fixture
def life(stack: StackInfo, templates: Templates, tmp_path: Path) -> ModelLife:
    return ModelLife(base_settings(stack, ""), tmp_path, templates)


@pytest.fixture
def serving(life: ModelLife) -> ModelVersion:
    """First version, in production."""
    version = life.register(LENIENT)
    life.registry.ensure_alias("production", version)
    return version


@pytest.fixture
def challenger(life: ModelLife, serving: ModelVersion) -> ModelVersion:
    version = life.register(STRICT)
    life.registry.give_alias("challenger", version)
    return version


def test_a_promoted_version_serves_the_old_one_is_previous_and_no_challenger_is_left(
    life: ModelLife, serving: ModelVersion, challenger: ModelVersion
) -> None:
    assert life.aliases() == {"production": "1", "challenger": "2"}
    assert promote(life.settings, **WORD) == PromotionResult("2", "1", "an operator", "fewer reviews", True)
    assert life.aliases() == {"production": "2", "previous": "1"}
    noted = life.tags(challenger)
    assert (noted["promoted_by"], noted["promoted_reason"]) == ("an operator", "fewer reviews")
    assert int(noted["promoted_us"]) > 1_700_000_000_000_000
    assert production_model(life.settings).resolve() == "2"


def test_promoting_again_changes_nothing(life: ModelLife, challenger: ModelVersion) -> None:
    promote(life.settings, **WORD)
    before = life.aliases(), life.tags(challenger)
    again = promote(life.settings, "2", by="somebody else", reason="once more")
    assert again == PromotionResult("2", "1", "somebody else", "once more", False)
    assert (life.aliases(), life.tags(challenger)) == before


def test_a_promotion_that_died_half_way_is_finished_by_the_next(
    life: ModelLife, serving: ModelVersion, challenger: ModelVersion
) -> None:
    life.point("previous", serving)  # it died behind the first alias,
    promote(life.settings, **WORD)
    assert life.aliases() == {"production": "2", "previous": "1"}
    life.client.delete_model_version_tag(life.name, "2", "moderation.promoted_us")  # and before the last tag
    promote(life.settings, "2", by="an operator", reason="again")
    assert life.tags(challenger)["promoted_reason"] == "again"
    assert life.aliases() == {"production": "2", "previous": "1"}


def test_another_challenger_keeps_its_alias_when_a_version_is_promoted_by_its_number(
    life: ModelLife, challenger: ModelVersion
) -> None:
    third = life.register(LENIENT)
    promote(life.settings, third.version, **WORD)
    assert life.aliases() == {"production": "3", "previous": "1", "challenger": "2"}


def test_rolling_back_twice_restores_the_state_and_tags_both_versions(
    life: ModelLife, serving: ModelVersion, challenger: ModelVersion
) -> None:
    promote(life.settings, **WORD)
    assert roll_back(life.settings, by="night shift", reason="too strict").version == "1"
    assert life.aliases() == {"production": "1", "previous": "2"}
    assert life.tags(challenger)["rolled_back_reason"] == "too strict"
    assert life.tags(serving)["promoted_reason"] == "rollback from version 2: too strict"
    assert roll_back(life.settings, by="night shift", reason="no").version == "2"
    assert life.aliases() == {"production": "2", "previous": "1"}


def test_a_retried_rollback_does_not_reverse_itself(life: ModelLife, challenger: ModelVersion) -> None:
    promote(life.settings, **WORD)
    way = plan_rollback(life.settings)
    assert roll_back(life.settings, way, **WORD).is_new
    assert not roll_back(life.settings, way, **WORD).is_new
    assert life.aliases() == {"production": "1", "previous": "2"}
    promote(life.settings, life.register(STRICT).version, **WORD)
    with pytest.raises(OutdatedApproval, match="version 3 serves by now"):
        roll_back(life.settings, way, **WORD)
    assert life.aliases()["production"] == "3"


def test_after_a_manual_move_a_rollback_promotes_the_version_before_it(
    life: ModelLife, challenger: ModelVersion
) -> None:
    promote(life.settings, **WORD)
    third = life.register(LENIENT)
    life.point("production", third)  # `previous` still names version 1
    assert roll_back(life.settings, **WORD) == PromotionResult("2", "3", "an operator", "fewer reviews", True)
    assert life.aliases() == {"production": "2", "previous": "3"}


def test_without_an_earlier_version_a_rollback_is_refused(life: ModelLife, serving: ModelVersion) -> None:
    with pytest.raises(NotInRegistry, match="no version has it. Promote a version by its number"):
        roll_back(life.settings, **WORD)
    life.point("previous", serving)
    with pytest.raises(NotInRegistry, match="alias previous"):
        roll_back(life.settings, **WORD)
    assert life.aliases()["production"] == "1"


def test_a_version_that_must_not_serve_is_not_promoted_and_no_alias_moves(
    stack: StackInfo, life: ModelLife, serving: ModelVersion
) -> None:
    uncertified, exchanged = life.register(STRICT, certified=False), life.register(STRICT, own_files=True)
    damage_model(stack, life.name, exchanged.version)
    life.registry.tag(uncertified, OVERRIDE_TAG, "I say so")
    for version, error, cause in (
        ("2", PromotionRefused, "it serves by override only, and the gate has not judged it"),
        ("3", ModelRefused, f"{MODEL} in the registry"),
        ("99", NotInRegistry, "does not have it"),
    ):
        with pytest.raises(error, match=cause):
            promote(life.settings, version, **WORD)
    for alias in ("challenger", "production"):
        with pytest.raises(ModelRefused, match="it has no certificate"):
            life.registry.give_alias(alias, uncertified)
    with pytest.raises(NotInRegistry, match="alias challenger"):
        promote(life.settings, **WORD)
    with pytest.raises(ConfigurationError, match="reason of the promotion: it is empty"):
        promote(life.settings, "1", by="an operator", reason="  ")
    assert life.aliases() == {"production": "1"}


def test_rolling_back_to_files_that_were_exchanged_is_refused_and_what_serves_stays(
    stack: StackInfo, life: ModelLife
) -> None:
    first, second = life.register(LENIENT, own_files=True), life.register(STRICT)
    for version in (first, second):
        promote(life.settings, version.version, **WORD)
    damage_model(stack, life.name, first.version)
    shutil.rmtree(life.settings.state_folder)  # what was downloaded before would do
    with pytest.raises(ModelRefused, match=f"{MODEL} in the registry"):
        roll_back(life.settings, **WORD)
    assert life.aliases() == {"production": "2", "previous": "1"}


def test_opening_a_version_does_not_make_it_the_last_good_model(
    life: ModelLife, serving: ModelVersion, challenger: ModelVersion
) -> None:
    worker = production_model(life.settings)
    worker.open_version("1")
    assert version_opener(life.settings)("2").policy == STRICT
    found = worker.open_last_good()
    assert found is not None
    assert (found[0], found[1].policy) == ("1", LENIENT)


def test_the_gate_results_are_in_the_tags_and_shown_to_the_approver(
    life: ModelLife, serving: ModelVersion, challenger: ModelVersion
) -> None:
    assert propose(life.settings).refusal is None
    assert "Its certificate states the verdict `passed`" in propose(life.settings).text
    life.registry.note_gate(challenger, "stopped", ["its calibration error is 0.2", "community `x` is worse"])
    assert life.tags(challenger)["gate"] == "failed"
    text = propose(life.settings).text
    assert text.startswith("## Refused\n\n**Version 2 cannot be promoted**: `the newest run of the gate stopped it: ")
    assert "It **failed**: `its calibration error is 0.2; community 'x' is worse`" in text
    assert "Its run has no `gate.json`" in text
    life.registry.note_gate(challenger, "too few comments", ["too few comments: 400 of 9,000"])
    assert life.tags(challenger)["gate"] == "too_few"
    text = propose(life.settings).text
    assert text.startswith("## Refused")
    assert "It **had too few comments**: `too few comments: 400 of 9,000`" in text
    life.registry.note_gate(challenger, "passed", [])
    report = {"figures": {"auc": 0.91}, "intervals": {}, "limits": {"auc_margin": 0.01}, "reasons": []}
    life.registry.run_artifacts.attach(challenger.run_id, {GATE_REPORT: orjson.dumps(report)})
    text = propose(life.settings).text
    assert "It **passed**.\n\n### Limits of the gate" in text
    assert "| `auc margin` | 0.01 |" in text
    assert "| `auc` | 0.91 |" in text
    assert (life.tags(challenger)["gate"], life.tags(challenger)["gate_reasons"]) == ("passed", "none")
    assert "**They were not compared.**" in text
    assert "| auc_mean | `0.9` | `0.9` |" in text
    assert "| review_ppm | `300000` | `400000` |" in text
    assert f"/#/models/{life.name}/versions/2" in text
    life.registry.tag(challenger, "moderation.gate_reasons", "x" * 6_000)
    assert len(life.tags(challenger)["gate_reasons"]) == 5_000


def test_a_proposal_needs_a_certified_version_that_does_not_serve(life: ModelLife, serving: ModelVersion) -> None:
    with pytest.raises(NotInRegistry, match="alias challenger"):
        propose(life.settings)
    with pytest.raises(ConfigurationError, match="it has the alias production already"):
        propose(life.settings, "1")
    uncertified = life.register(STRICT, certified=False)
    shown = propose(life.settings, uncertified.version)
    assert shown.refusal is not None
    assert "the gate has not judged it" in shown.refusal
    assert "Judge it with `moderation gate 2`" in shown.text


def test_the_first_version_ever_is_proposed_without_another_and_promoted(life: ModelLife) -> None:
    version = life.register(LENIENT)
    shown = propose(life.settings, version.version)
    assert (shown.replaces, shown.is_challenger) == (None, False)
    assert "No version serves now" in shown.text
    assert promote(life.settings, shown=shown, **WORD) == PromotionResult(
        "1", None, "an operator", "fewer reviews", True
    )


def test_a_proposal_that_changed_since_it_was_shown_is_not_promoted(
    life: ModelLife, serving: ModelVersion, challenger: ModelVersion
) -> None:
    shown = propose(life.settings)
    third = life.register(LENIENT)
    life.registry.give_alias("challenger", third)
    with pytest.raises(OutdatedApproval, match="shown as challenger, which is version 3 by now"):
        promote(life.settings, shown=shown, **WORD)
    life.client.delete_registered_model_alias(life.name, "challenger")
    with pytest.raises(OutdatedApproval, match="which is none by now"):
        promote(life.settings, shown=shown, **WORD)
    life.registry.give_alias("challenger", challenger)
    life.point("production", third)
    with pytest.raises(OutdatedApproval, match="shown beside version 1, but version 3 serves by now"):
        promote(life.settings, shown=shown, **WORD)
    life.point("production", serving)
    life.registry.tag(challenger, "moderation.card_digest", "0" * 64)
    with pytest.raises(OutdatedApproval, match="its digests are not those that were shown"):
        promote(life.settings, shown=shown, **WORD)
    life.registry.tag(challenger, "moderation.card_digest", challenger.card_digest)
    assert promote(life.settings, shown=shown, **WORD).version == "2"
    assert not promote(life.settings, shown=shown, **WORD).is_new  # the task is cleared and runs again


def test_only_an_approval_promotes(life: ModelLife, challenger: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in settings_environment(life.settings).items():
        monkeypatch.setenv(key, value)
    shown = {**asdict(propose(life.settings)), "reason": "because", "requested_by": []}
    person = {"id": "7", "name": "an approver"}
    for answer in (
        None,
        {"chosen_options": ["Reject"], "responded_by_user": person},
        {"chosen_options": ["Approve"], "responded_by_user": None},
        {"chosen_options": [], "responded_by_user": person},
    ):
        with pytest.raises(OutdatedApproval, match="nobody approved it"):
            promote_shown(shown, answer, "a run", "1")
    assert life.aliases()["production"] == "1"
    approved = {"chosen_options": ["Approve"], "responded_by_user": person}
    assert promote_shown(shown, approved, "a run", "1")["by"] == "an approver"
    assert life.aliases()["production"] == "2"


def test_stored_findings_are_found_by_kind_and_tags(life: ModelLife, serving: ModelVersion) -> None:
    evidence = life.registry.run_artifacts
    assert evidence.newest("comparison") is None
    files = {"a.json": b'{"x": 1}', "plots/b.png": b"\x89PNG"}
    figures = {"share": 0.5, "none": float("nan"), "endless": float("inf")}
    first = evidence.keep("comparison", "a look", files, tags={"challenger": "2"}, metrics=figures, params={"n": "5"})
    second = evidence.keep("comparison", "another look", {}, tags={"challenger": "3"})
    evidence.keep("drift", "a night", {})
    newest = evidence.newest("comparison")
    assert newest is not None
    assert newest.run_id == second.run_id
    found = evidence.newest("comparison", {"challenger": "2"})
    assert found is not None
    assert (found.run_id, found.url) == (first.run_id, first.url)
    assert found.tags == {"moderation.kind": "comparison", "moderation.challenger": "2"}
    assert evidence.newest("rescoring") is None
    assert evidence.read_json(first.run_id, "a.json") == {"x": 1}
    assert evidence.read(first.run_id, "plots/b.png") == b"\x89PNG"
    evidence.attach(first.run_id, {"a.json": b"[]"})
    assert evidence.read_json(first.run_id, "a.json") == []
    with pytest.raises(NotInRegistry, match=f"run {first.run_id}: it has no b.json. It has a.json, plots"):
        evidence.read(first.run_id, "b.json")
    logged = evidence.logged(first.run_id)
    assert (logged.params, logged.metrics, logged.url) == ({"n": "5"}, {"share": 0.5}, first.url)
    with pytest.raises(NotInRegistry, match="account batch cannot read it, or it was deleted"):
        evidence.logged("0" * 32)


@pytest.mark.budget(30)
def test_the_commands_show_promote_and_roll_back(
    life: ModelLife, challenger: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in settings_environment(life.settings).items():
        monkeypatch.setenv(key, value)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    shown = orjson.loads(run("promote", "--show", "--json"))
    assert (shown["version"], shown["replaces"], shown["is_challenger"]) == ("2", "1", True)
    assert shown["refusal"] is None
    assert "It has not compared the version" in " ".join(run("promote", "--show").split())
    assert life.aliases()["production"] == "1"
    moved = orjson.loads(run("promote", "--reason", "better", "--json"))
    assert {**moved, "by": ""} == {"version": "2", "previous": "1", "by": "", "reason": "better", "is_new": True}
    assert run("promote", "--version", "2", "--reason", "better") == "version 2 served already; version 1 is previous\n"
    assert run("rollback", "--reason", "worse") == "version 1 serves from now on; version 2 is previous\n"
    assert orjson.loads(run("rollback", "--reason", "worse", "--json"))["version"] == "2"
