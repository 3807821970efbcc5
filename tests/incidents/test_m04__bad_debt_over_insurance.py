# SPDX-License-Identifier: MIT
"""M-04 (Perp CH_IIC): bad debt over the insurance fund does not stop a liquidation."""

from __future__ import annotations

import pytest

from tests.venue_pair import Pair


@pytest.mark.parametrize("insurance", [0, 1, 35])
def test_m04__fund_short__liquidation_goes_on_and_the_rest_is_recorded(insurance: int) -> None:
    pair = Pair(
        insurance=insurance,
        reward_floor=0,
        reward_cap=0,
        taker_fee_wad=0,
        maker_fee_wad=0,
        unwind_step=0,
    )
    w = pair.world
    long = pair.trader("long", quote=20)
    other = pair.trader("other", quote=50)
    pair.trade(long, w.assets(100))
    w.set_price("0.5")  # 20 + 50 - 105 = -35
    done = pair.liquidate(long, pair.trader("liquidator"))
    assert done.deficit == w.quotes(35 - insurance)
    assert w.venue.queue(True) == ((done.deficit, w.assets(100)) if done.deficit else (0, 0))
    assert pair.stored(other)[1] == w.quotes(50)  # accounts without a position never pay
    pair.check_tokens()
    pair.check_value(w.price())
    w.pass_time(3_600)  # the gate is over, whether somebody deleverages or not (M-06)
    pair.withdraw(other, 0, w.quotes(50))
