# SPDX-License-Identifier: MIT
"""
M-08 (GMX #143, #153): deleveraging without a bound on its price, of a candidate that was chosen
some blocks ago. Here the list is checked in the call that it is for, with sizes, equities and the
oracle's price of that call, and every cut is at that price, less the loss that the rule gives.
"""

from __future__ import annotations

import boa
import pytest

from keeper.units import div_ceil
from tests.venue_world import FREE, NO_REWARD, WAD, World, world

TERMS = FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21}


def failed() -> tuple[World, list[str]]:
    """Return a market where a long of 40 left a loss to two shorts, in the rule's order."""
    w = world(**TERMS)
    long, shorts = w.trader("long", quote=5), [w.trader("thin", quote=8), w.trader("fat", quote=20)]
    w.trade(long, 40)
    for each in shorts:
        w.trade(each, -30)
    w.set_price("0.8")
    w.venue.liquidate(long, sender=w.owner)
    return w, shorts


def cuts(w: World) -> list[tuple[int, int, int]]:
    """Return size, loss and price of every cut of the last call."""
    logs = [e for e in w.venue.get_logs() if type(e).__name__ == "AccountDeleveraged"]
    return [(e.size, e.loss, e.price_wad) for e in logs]


@pytest.mark.parametrize("change", ["margin", "size"])
def test_m08__candidates_of_a_moment_ago__refused(change: str) -> None:
    w, stale = failed()
    if change == "margin":  # the first in the list is now the safer
        w.venue.deposit(0, w.quotes(30), sender=stale[0])
    else:
        w.trade(stale[0], 20)
    with boa.reverts("venue: wrong order"):
        w.venue.deleverage(1, stale)
    assert w.venue.deleverage(1, stale[::-1])


@pytest.mark.parametrize("price", ["0.6", "0.8", "0.9"])
def test_m08__price_of_the_call__and_a_loss_within_the_rule(price: str) -> None:
    w, shorts = failed()
    loss, size = w.venue.queue(True)
    now = w.set_price(price)
    before = [w.venue.margin(each, now).equity for each in shorts]
    assert w.venue.deleverage(1, shorts)
    done = cuts(w)
    assert len(done) == len(shorts)
    after = [w.venue.margin(each, now).equity for each in shorts]
    for (cut, borne, at), was, has in zip(done, before, after, strict=True):
        assert at == now
        assert borne <= div_ceil(loss * -cut, size)  # the bankruptcy price, S * (1 - r), at worst
        assert borne <= was - has <= borne + 1  # and the price is all that it costs


def test_m08__no_good_price__nobody_is_deleveraged() -> None:
    w, shorts = failed()
    boa.env.time_travel(seconds=10 * 3_600)
    with boa.reverts("oracle: asset feed stale"):
        w.venue.deleverage(1, shorts)
    assert [w.venue.account(each).size for each in shorts] == [-30 * WAD] * 2
