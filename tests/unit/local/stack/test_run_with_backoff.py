from __future__ import annotations

import signal

import pytest

from local.stack.run_with_backoff import Backoff, describe_exit, main, must_not_restart


def test_delays_double_up_to_the_cap() -> None:
    backoff = Backoff(first_seconds=1, cap_seconds=30, healthy_seconds=60)
    assert [backoff.delay_after(0.5) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_only_a_healthy_run_resets_the_delay() -> None:
    backoff = Backoff(first_seconds=1, cap_seconds=30, healthy_seconds=60)
    for _ in range(4):
        backoff.delay_after(1)
    assert backoff.delay_after(59.9) == 16
    assert backoff.delay_after(60) == 1
    assert backoff.delay_after(1) == 2


def test_a_thousand_failures_in_a_row_stay_at_the_cap() -> None:
    backoff = Backoff(first_seconds=0.001, cap_seconds=30)
    assert [backoff.delay_after(0) for _ in range(1000)][-1] == 30


@pytest.mark.parametrize(("code", "ends"), [(78, True), (3, True), (0, False), (1, False), (-9, False), (-78, False)])
def test_only_listed_exit_codes_end_a_program_and_a_signal_never_does(code: int, ends: bool) -> None:
    assert must_not_restart(code, [3, 78]) is ends


def test_exits_are_described_as_code_or_signal() -> None:
    assert describe_exit(78) == "exit 78"
    assert describe_exit(-signal.SIGKILL) == "signal 9"


@pytest.mark.parametrize("arguments", [[], ["/nowhere/at/all.json"]])
def test_without_a_readable_specification_it_ends_with_a_code_that_is_not_restarted(arguments: list[str]) -> None:
    assert main(arguments) == 78
