from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from batch.retrain.inheritance import Choice, Production, choose
from batch.retrain.options import parse_options

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
    options = parse_options({"goals": ["recall>=0.8"], "family": "logistic_regression"}, NIGHT)

    def refuse() -> Production | None:
        raise AssertionError("asked")

    assert choose(options, refuse).goals_from == "form"
