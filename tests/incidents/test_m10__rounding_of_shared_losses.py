# SPDX-License-Identifier: MIT
"""
M-10 (Drift, Derive): a loss that is shared must not be rounded away. Each share is rounded up, the
sum stops at the loss: what accounts and pool bear is the loss to the unit, and nobody bears more
than a unit over his share.
"""

from __future__ import annotations

import pytest

from keeper.units import div_ceil
from tests.recovery_world import listed_by_keeper
from tests.venue_pair import Pair
from tests.venue_world import FREE, NO_REWARD

TERMS = FREE | NO_REWARD | {"max_side": 10**21}
SHORTS = 7


@pytest.mark.parametrize("quote_decimals", [6, 18])
@pytest.mark.parametrize("size", ["10.000000000000000001", "33.333333333333333333"])
def test_m10__shares_up__sum_is_the_loss(quote_decimals: int, size: str) -> None:
    pair = Pair(18, quote_decimals, **(TERMS | {"skew_scale": 10**24}))
    w = pair.world
    long = pair.trader("long", quote="24.000007")
    pair.trade(long, w.assets(size) * SHORTS)
    shorts = [pair.trader(f"short {i}", quote=20 + 3 * i) for i in range(SHORTS)]
    for i in range(SHORTS):
        pair.trade(shorts[i], -w.assets(size) - i)
    w.set_price("0.65432101" if size.startswith("1") else "0.87654321")
    pair.liquidate(long, by=w.owner)
    loss, failed = pair.venue.queue(True)
    _, done = listed_by_keeper(pair.twins, 1)
    assert pair.twins.deleverage(1, [cut.owner for cut in done.cuts])
    logs = pair.twins.logs
    cuts = [e for e in logs if type(e).__name__ == "AccountDeleveraged"]
    ended = next(e for e in logs if type(e).__name__ == "DeleveragingEnded")
    assert len(cuts) == SHORTS
    assert sum(e.loss for e in cuts) + ended.loss_left == loss
    shares = [loss * -e.size for e in cuts]  # times the size that failed
    assert any(each % failed for each in shares)
    assert all(e.loss <= div_ceil(each, failed) for e, each in zip(cuts, shares, strict=True))
    assert 0 <= sum(e.loss for e in cuts) - sum(shares) // failed <= SHORTS
