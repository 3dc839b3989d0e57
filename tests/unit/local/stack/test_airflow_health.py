from __future__ import annotations

from local.stack.airflow_health import is_alive_since

_BEAT_US = 1_795_435_200 * 1_000_000
_BEAT = "2026-11-23T12:00:00+00:00"
_HEALTH: dict[str, dict[str, str | None]] = {
    "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": _BEAT},
    "dag_processor": {"status": "unhealthy", "latest_dag_processor_heartbeat": _BEAT},
    "triggerer": {"status": "healthy", "latest_triggerer_heartbeat": None},
}


def test_a_component_is_alive_after_a_heartbeat_since_its_start() -> None:
    assert is_alive_since(_HEALTH, "scheduler", _BEAT_US)
    assert is_alive_since(_HEALTH, "scheduler", _BEAT_US - 1)


def test_the_last_heartbeat_of_a_killed_one_does_not_count() -> None:
    assert not is_alive_since(_HEALTH, "scheduler", _BEAT_US + 1)


def test_an_unhealthy_silent_or_unknown_component_is_not_alive() -> None:
    assert not is_alive_since(_HEALTH, "dag-processor", 0)
    assert not is_alive_since(_HEALTH, "triggerer", 0)
    assert not is_alive_since({}, "scheduler", 0)
