from __future__ import annotations

import os
from pathlib import Path

from local.stack.ports import PortClaims, choose_ports


def test_free_preferred_ports_are_chosen() -> None:
    assert choose_ports({"a": 10, "b": 20}, free=lambda _: True) == {"a": 10, "b": 20}


def test_a_taken_port_leads_to_a_free_one() -> None:
    assert choose_ports({"a": 10, "b": 20}, free=lambda port: port != 10, any_free=lambda: 99) == {"a": 99, "b": 20}


def test_a_recorded_port_is_kept_while_it_is_free() -> None:
    assert choose_ports({"a": 10}, recorded={"a": 77, "gone": 5}, free=lambda _: True) == {"a": 77}
    assert choose_ports({"a": 10}, recorded={"a": 77}, free=lambda port: port != 77) == {"a": 10}


def test_no_two_names_share_a_port_and_no_proposal_takes_what_another_name_prefers() -> None:
    proposals = iter([20, 99, 99, 98])
    chosen = choose_ports({"a": 10, "b": 10, "c": 20}, free=lambda port: port != 10, any_free=lambda: next(proposals))
    assert chosen == {"a": 99, "b": 98, "c": 20}


def free(port: int) -> bool:
    return port != 7


def test_two_stacks_that_start_at_the_same_time_choose_different_ports(tmp_path: Path) -> None:
    folder = tmp_path / "claims"
    with PortClaims(folder, free) as first, PortClaims(folder, free) as second:
        assert first.take(10)
        assert not second.take(10)
    with PortClaims(folder, free) as third:
        assert third.take(10)


def test_the_claim_of_a_killed_process_ends(tmp_path: Path) -> None:
    killed, other = PortClaims(tmp_path, free), PortClaims(tmp_path, free)
    assert killed.take(10)
    os.utime(tmp_path / "10", (0, 0))
    assert other.take(10)


def test_a_port_on_which_a_server_listens_is_not_claimed(tmp_path: Path) -> None:
    assert not PortClaims(tmp_path, free).take(7)
    assert not list(tmp_path.iterdir())
