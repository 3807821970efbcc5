# SPDX-License-Identifier: MIT
"""What waits at the owner: what its events add up to, and the words for it."""

from __future__ import annotations

import pytest

from keeper import proposals
from keeper.abi import call_data, load
from keeper.events import decode_log
from keeper.proposals import MEANS, call_words, means, state, waiting_of
from keeper.units import DAY_SECS
from keeper.words import moment
from tests.access_tables import NAMES, table
from tests.dashboard_world import logged
from tests.keeper_world import NOW, address

LOCK, BOOK, KEEPER = address(71), address(72), "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
ONE, TWO, THREE = (bytes([i]) * 32 for i in (1, 2, 3))
RATIO = call_data("HedgeBook", "set_hedge_ratio", 9_500)


def scheduled(id_, payload=RATIO):
    fields = {"id": id_, "index": 0, "target": BOOK, "amount": 0, "payload": payload}
    return ("CallScheduled", fields | {"predecessor": bytes(32), "delay": 2 * DAY_SECS})


def executed(id_):
    fields = {"id": id_, "index": 0, "target": BOOK, "amount": 0, "payload": RATIO}
    return ("CallExecuted", fields)


def events(*told):
    return [
        decode_log(logged(LOCK, "Timelock", name, fields, block=i, index=0), "Timelock")
        for i, (name, fields) in enumerate(told)
    ]


def test_waiting_of__executed_and_cancelled__wait_no_more():
    told = (scheduled(ONE), scheduled(TWO), scheduled(THREE), executed(ONE))
    found = waiting_of(events(*told, ("Cancelled", {"id": TWO})))
    assert [(each.id, each.target, each.payload) for each in found] == [(THREE, BOOK, RATIO)]
    again = waiting_of(events(scheduled(ONE), ("Cancelled", {"id": ONE}), scheduled(ONE)))
    assert [each.id for each in again] == [ONE]


def test_state__before_due_in_time_and_late__in_words():
    due, dead = NOW + 60, NOW + 660
    assert state(due, dead, NOW) == f"may be executed from {moment(due)}"
    assert (
        state(due, dead, due) == state(due, dead, dead) == f"may be executed until {moment(dead)}"
    )
    assert state(due, dead, dead + 1) == f"expired at {moment(dead)}: cancel it"


def test_call_words__arguments_in_their_units_and_addresses_by_name():
    assert call_words("HedgeBook", BOOK, RATIO, {}, {}) == (
        "HedgeBook.set_hedge_ratio(ratio_bps 95.00 %)"
    )
    payload = call_data("HedgeBook", "set_keeper", KEEPER)
    said = call_words("HedgeBook", BOOK, payload, {KEEPER.lower(): "Keeper"}, {})
    assert said == f"HedgeBook.set_keeper(keeper Keeper {KEEPER})"
    payload = call_data("Timelock", "update_delay", 3 * DAY_SECS)
    assert "delay_secs 3 days" in call_words("Timelock", LOCK, payload, {}, {})


def test_call_words__record__only_what_changes():
    fields = next(e for e in load("HedgeBook") if e["name"] == "set_limits")["inputs"][0]
    present = {part["name"]: 100 for part in fields["components"]}
    wanted = present | {"slippage_bps": 50}
    payload = call_data("HedgeBook", "set_limits", tuple(wanted.values()))
    said = call_words("HedgeBook", BOOK, payload, {}, present)
    assert said == "HedgeBook.set_limits(slippage_bps 1.00 % -> 0.50 %)"


@pytest.mark.parametrize("payload", [b"", b"\x01", b"<script>alert(1)</script>" * 20, RATIO[:20]])
def test_call_words__hostile_or_broken__data_in_hexadecimal(payload):
    for contract in ("HedgeBook", ""):
        said = call_words(contract, BOOK, payload, {}, {})
        assert said.startswith(f"{contract or BOOK}: data 0x{payload[:60].hex()}")
        assert len(said) < 220
        assert said.endswith(" bytes)") == (len(payload) > 68)
    assert means("", payload) == proposals.UNKNOWN_CALL


def test_means__every_call_of_the_owner__has_a_sentence():
    calls = {
        ("HedgeBook" if name == "BookControl" else name, row.function)
        for name in NAMES
        for row in table(name)
        if row.waits
    }
    assert set(MEANS) == calls
    for contract, function in MEANS:
        entry = next(e for e in load(contract) if e.get("name") == function)
        assert entry["stateMutability"] == "nonpayable"


def test_means__of_a_call__by_contract_and_function():
    assert means("HedgeBook", RATIO) == "change how much of the price risk is removed"
    assert means("HedgeVault", RATIO) == proposals.UNKNOWN_CALL
