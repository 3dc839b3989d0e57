from __future__ import annotations

from local.stack.ports import choose_ports


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
