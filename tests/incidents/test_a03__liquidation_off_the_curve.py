# SPDX-License-Identifier: MIT
"""
A-03: liquidating on the curve, long 50 at maintenance with E = 2.65: short 50, liquidate, cover,
and the attacker has +2.45, the account -1.125 instead of +1.375, and insurance pays. The backstop
takes at S * (1 - penalty), whatever K is.
"""

from __future__ import annotations

import boa

from tests.venue_pair import Pair
from tests.venue_world import BP

TERMS = {
    "reward_floor": 0,
    "reward_cap": 0,
    "penalty_wad": 200 * BP,
    "initial_base_wad": 1_000 * BP,
}


def test_a03__sandwich__moves_neither_the_account_nor_the_fund() -> None:
    pair = Pair(insurance=10, **TERMS)
    w = pair.world
    victim = pair.trader("victim", quote=10)
    attacker = pair.trader("attacker", quote=200)
    pair.trade(victim, w.assets(50))
    w.set_price("0.872")  # E = 2.325, MM 2.398
    outcomes = []
    for sandwiched in (False, True):
        with boa.env.anchor():
            balance = w.venue.account(attacker)[1]
            if sandwiched:
                w.trade(attacker, -50)
            w.venue.liquidate(victim, sender=attacker)
            if sandwiched:
                w.trade(attacker, 50)
            outcomes.append((w.venue.margin(victim, w.price())[4], w.fund.held()))
            gained = w.venue.account(attacker)[1] - balance
            assert gained <= 0  # fees, when it tried
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] > 0
    assert outcomes[0][1] == w.quotes(10)
