# SPDX-License-Identifier: MIT
"""
M-11: after each partial liquidation the margin ratio is higher, it ends in finite steps, and no
dust is left that cannot be liquidated.
"""

from __future__ import annotations

import pytest

from tests.venue_pair import Pair


@pytest.mark.parametrize("step", [0.985, 0.97, 0.9])
def test_m11__falling_price__ratio_rises_until_the_position_is_gone(step: float) -> None:
    pair = Pair(18, 6, liquidity=10_000, insurance=100)
    w = pair.world
    long = pair.trader("long", quote=20)
    liquidator = pair.trader("liquidator")
    pair.trade(long, w.assets(100))
    price, taken = 1.0, 0
    for _ in range(400):
        price *= step
        w.set_price(f"{price:.8f}")
        now = w.price()
        if not w.venue.liquidation(long, now)[0]:
            continue
        before = w.venue.margin(long, now)
        pair.liquidate(long, liquidator)
        taken += 1
        after = w.venue.margin(long, now)
        assert not w.venue.liquidation(long, now)[0]  # one step is enough at one price
        size = abs(after[2])
        assert size == 0 or size >= w.terms["min_size"]
        if size:
            assert after[4] * before[6] > before[4] * after[6]
        else:
            break
    assert w.venue.account(long)[2] == 0
    assert 1 <= taken <= 60
