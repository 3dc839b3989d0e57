from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from batch.retrain.inheritance import Choice, Production, choose, explored_by
from batch.retrain.options import parse_options
from batch.retrain.params import PARAMS
from moderation.policy import ExplorationShares
from moderation.policy.exploration import Exploration

NIGHT = datetime(2026, 11, 23, 3, 30, tzinfo=UTC)
SERVING = Production("3", ("precision>=0.9", "review_share<=0.1"), "nb_logistic_regression")


def chosen(form: dict[str, Any], production: Production | None, stated_in: str = "form") -> Choice:
    return choose(parse_options(form, NIGHT, stated_in=stated_in), lambda: production)


def test_an_untouched_form_takes_goals_and_family_of_production() -> None:
    choice = chosen({}, SERVING)
    assert [str(goal) for goal in choice.goals] == ["precision>=0.9", "review_share<=0.1"]
    assert choice.family == "nb_logistic_regression"
    assert (choice.goals_from, choice.family_from) == ("production version 3", "production version 3")
    assert choice == chosen({"goals": None, "family": "as production"}, SERVING)


@pytest.mark.parametrize("stated_in", ["form", "command line"])
def test_stated_goals_and_family_come_before_those_of_production(stated_in: str) -> None:
    choice = chosen({"goals": ["recall>=0.8"]}, SERVING, stated_in)
    assert [str(goal) for goal in choice.goals] == ["recall>=0.8"]
    assert (choice.goals_from, choice.family_from) == (stated_in, "production version 3")
    choice = chosen({"family": "logistic_regression"}, SERVING, stated_in)
    assert choice.family == "logistic_regression"
    assert (choice.goals_from, choice.family_from) == ("production version 3", stated_in)


def test_without_production_the_safe_defaults_apply_and_say_so() -> None:
    choice = chosen({}, None)
    assert [str(goal) for goal in choice.goals] == ["review_share<=0.2"], "nothing is removed automatically"
    assert choice.family == "logistic_regression"
    assert choice.goals_from == choice.family_from == "default: no version serves"


def test_production_that_states_nothing_leads_to_the_defaults() -> None:
    choice = chosen({}, Production("3", (), None))
    assert [str(goal) for goal in choice.goals] == ["review_share<=0.2"]
    assert choice.goals_from == choice.family_from == "default: production version 3 states none"


def test_the_bootstrap_model_leaves_the_defaults_and_is_named() -> None:
    choice = chosen({}, Production("1", (), None, is_bootstrap=True))
    assert [str(goal) for goal in choice.goals] == ["review_share<=0.2"]
    assert choice.family == "logistic_regression"
    assert choice.goals_from == choice.family_from == "default: production version 1 is the bootstrap model"


def test_the_registry_is_not_asked_if_everything_is_stated() -> None:
    form = {"goals": ["recall>=0.8"], "family": "logistic_regression", "explore_removals": 0, "explore_allowed": 0}
    options = parse_options(form, NIGHT)

    def refuse() -> Production | None:
        raise AssertionError("asked")

    assert choose(options, refuse).goals_from == "form"


def test_each_share_of_exploration_is_stated_or_that_of_production_or_the_default() -> None:
    serving = Production("3", (), None, explore_removals=0.05, explore_allowed=None)
    choice = chosen({"explore_allowed": 0.002}, serving)
    assert (choice.exploration.removals, choice.exploration.allowed) == (0.05, 0.002)
    assert (choice.removals_from, choice.allowed_from) == ("production version 3", "form")
    choice = chosen({"explore_removals": 0}, serving, "command line")
    assert (choice.exploration.removals, choice.exploration.allowed) == (0, ExplorationShares().allowed)
    assert (choice.removals_from, choice.allowed_from) == ("command line", "default: production version 3 states none")
    assert chosen({}, None).exploration == ExplorationShares()
    assert choice.lineage()["explore_removals_from"] == choice.origins()["explore_removals"] == "command line"


def test_the_stated_shares_are_inherited_although_the_policy_explores_less() -> None:
    stated = {"exploration_stated": {"removals": 0.0, "allowed": 0.001}}
    capped = Exploration("k", 10_000, 50)
    assert explored_by(stated, None) == explored_by(stated, capped) == (0, 0.001)


def test_a_version_of_an_earlier_release_states_what_its_policy_explores() -> None:
    assert explored_by({}, Exploration("k", 20_000, 500)) == (0.02, 0.0005)
    assert explored_by({}, Exploration("k", 20_000, 0)) == (0.02, None), "the number of comments a day was unknown"
    assert explored_by({}, None) == (None, None)


def test_the_form_names_the_default_shares() -> None:
    default = ExplorationShares()
    assert f"e.g. {default.removals:g};" in PARAMS["explore_removals"]["description"]
    assert (
        f"e.g. {default.allowed:g}; at most {default.allowed_per_day:g} a day"
        in (PARAMS["explore_allowed"]["description"])
    )
