# SPDX-License-Identifier: MIT
"""A cut that an account cannot bear in full leaves it at its maintenance, to the unit (A-11)."""

from __future__ import annotations

from hypothesis import event, given
from hypothesis import strategies as st

from keeper.simulation.reference import Terms
from keeper.simulation.reference.deleverager import FAILED_LONGS
from tests.model_market import DECIMALS, UNIT, Market
from tests.venue_world import BP, FEED_UNIT, FREE, NO_REWARD, default_terms

TERMS = Terms(
    **(
        default_terms(*DECIMALS)
        | FREE
        | NO_REWARD
        | {"skew_scale": 10**24, "max_side": 10**21, "initial_base_wad": 300 * BP}
    )
)
units = st.integers(0, 10**18)


@given(answer=st.integers(1_590 * FEED_UNIT, 1_600 * FEED_UNIT), odd=units, thin=units)
def test_deleverage__loss_over_what_is_bearable__leaves_maintenance(
    answer: int, odd: int, thin: int
) -> None:
    market = Market(TERMS, price=2_000)
    market.deposit("0x1", 12_000 * 10**6)
    market.trade("0x1", 50 * UNIT)
    market.tick(1)
    market.asset_feed.set_answer(answer, at=market.at)
    shorts = {"0x2": (60 * UNIT + odd, 3_100), "0x3": (100 * UNIT + thin, 80_000)}
    for who, (size, margin) in shorts.items():
        market.deposit(who, margin * 10**6 + odd % 997)
        market.trade(who, -size)
    market.venue.liquidate("0xee", "0x1", at=market.at)
    loss, failed = market.venue.queue(FAILED_LONGS == 1)
    assert loss * 2 > failed * market.price_wad // market.divisor // 10  # over 5 % a unit
    _, cuts = market.deleverage(FAILED_LONGS)
    assert cuts["0x2"] > 0
    after = market.venue.margin("0x2", market.price_wad, at=market.at)
    event(f"{after.equity - after.maintenance} units over maintenance")
    assert after.equity - after.maintenance in (0, 1)
