from __future__ import annotations

import pytest

from moderation.datasets.synthetic import TrafficConfig
from moderation.errors import ConfigurationError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("start_us", -1),
        ("start_us", 10**18),
        ("days", 0),
        ("comments_per_day", 0),
        ("late_share", -0.1),
        ("duplicate_share", 1.0),
        ("edit_share", 2.0),
        ("broken_share", -1.0),
        ("future_share", float("nan")),
        ("raid_day", 30),
        ("drift_from_day", -1),
        ("policy_change_from_day", 31),
        ("label_noise", 0.5),
    ],
)
def test_a_field_out_of_its_limits_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ConfigurationError) as refused:
        TrafficConfig(**{field: value})  # type: ignore[arg-type]
    assert refused.value.thing == field
    assert str(value) in str(refused.value)


def test_shares_that_add_up_to_everything_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="late_share") as refused:
        TrafficConfig(late_share=0.5, broken_share=0.5)
    assert "broken_share" in refused.value.thing
