# SPDX-License-Identifier: MIT
"""M-05 (Perp Immunefi 34300): no withdrawal of any collateral may leave E under IM."""

from __future__ import annotations

import boa
import pytest

from tests.venue_pair import Pair
from tests.venue_world import WAD


@pytest.mark.parametrize(("assets", "quote"), [(1, 0), (0, 1), (3, 2)])
def test_m05__withdrawing_past_initial_margin__refused(assets: int, quote: int) -> None:
    pair = Pair(6, 6)
    w = pair.world
    trader = pair.trader("trader", quote=1, assets=20)
    pair.trade(trader, -w.assets(60))
    for price in ("1", "1.07", "0.9"):
        w.set_price(price)
        with boa.env.anchor():
            now = w.price()
            free = w.venue.free_assets(trader, now, 0)
            w.venue.withdraw(free, 0, trader, sender=trader)
            margin = w.venue.margin(trader, now)
            assert margin[4] >= margin[5]
            with boa.reverts("venue: under initial margin"):
                w.venue.withdraw(2 * assets, 2 * quote, trader, sender=trader)


def test_m05__more_than_there_is__refused() -> None:
    pair = Pair()
    w = pair.world
    saver = pair.trader("saver", assets=1)
    with boa.reverts("venue: not enough assets"):
        w.venue.withdraw(w.assets(1) + 1, 0, saver, sender=saver)
    with boa.reverts("venue: not enough quote"):
        w.venue.withdraw(w.assets(1), 1, saver, sender=saver)
    assert w.venue.free_assets(saver, WAD, 0) == w.assets(1)
    pair.trade(saver, w.assets(1))
    pair.trade(saver, -w.assets(1))
    with boa.reverts("venue: under initial margin"):  # the fees are owed
        w.venue.withdraw(w.assets(1), 0, saver, sender=saver)
