# SPDX-License-Identifier: MIT
"""
A-15: maintenance from a table and initial by formula crossed (q = 100: IM 7 %, MM 8.55 %), and a
reward floor of 20 on a notional of 500 put MM over 32.5 with IM at 25. Maintenance is a share
under one of initial, or penalty + reward share + buffer, which the constructor keeps under the
base rate; the reward is capped by a share of notional.
"""

from __future__ import annotations

import boa
import pytest

from keeper.simulation.reference import Terms
from keeper.simulation.reference.curve import Curve
from keeper.simulation.reference.margin_rules import MarginRules
from tests.market_world import deploy_token
from tests.venue_world import BP, WAD, default_terms, deploy_rules, world


@pytest.mark.parametrize(
    "change",
    [
        {"maintenance_share_wad": 12_214 * BP},  # 8.55 / 7
        {"reward_share_wad": 400 * BP},  # 20 on 500, on top of penalty and buffer
    ],
)
def test_a15__terms_that_cross__refused(change: dict[str, int]) -> None:
    with boa.reverts("venue: maintenance over initial"):
        deploy_rules(deploy_token(18), deploy_token(18), default_terms(18, 18) | change)


def test_a15__flat_reward_on_a_small_position__capped() -> None:
    w = world(18, 18, liquidity=10_000, reward_floor=20 * 10**18, reward_cap=20 * 10**18)
    trader = w.trader("trader", quote=26)
    margins = MarginRules(Curve(Terms(**w.terms), w.divisor()), Terms(**w.terms))
    for size in (w.assets("0.01"), w.assets(1), w.assets(100)):
        initial, maintenance = margins.required(size, WAD)
        assert maintenance < initial
    w.trade(trader, 1)  # 20 of reward would be twenty times its notional
    w.set_price("0.5")
    w.trade(trader, 10)
    w.set_price("0.1")
    assert not w.venue.liquidation(trader, w.price())[0]
    assert w.venue.liquidation(trader, WAD // 10**6)[2] <= w.quotes(11) // 10**6
