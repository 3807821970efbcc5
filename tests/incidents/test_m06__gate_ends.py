# SPDX-License-Identifier: MIT
"""
M-06 (dYdX #936, #1208): withdrawals wait while a loss is not resolved; the gate ends when it is,
or after an hour, and dust cannot hold it.
"""

from __future__ import annotations

import boa
import pytest

from tests.venue_world import FREE, NO_REWARD, World, world


def market() -> tuple[World, str, str]:
    w = world(**(FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21}))
    short, other = w.trader("short", quote=50), w.trader("other", quote=10)
    w.trade(short, -60)
    return w, short, other


@pytest.mark.parametrize("deleveraged", [True, False])
def test_m06__loss_waits__gate_ends(deleveraged: bool) -> None:
    w, short, other = market()
    long = w.trader("long", quote=4)
    w.trade(long, 60)
    w.set_price("0.9")
    w.venue.liquidate(long, sender=w.owner)
    with boa.reverts("venue: withdrawals wait"):
        w.venue.withdraw(0, 1, other, sender=other)
    if deleveraged:
        assert w.venue.deleverage(1, [short])
    else:
        w.pass_time(3_600)
    w.venue.withdraw(0, w.quotes(10), other, sender=other)


def test_m06__dust__holds_nobody() -> None:
    w, _, other = market()
    w.trade(w.trader("long", quote=50), 60)
    dust = w.trader("dust", quote="0.0008")
    w.trade(dust, "0.01")
    w.set_price("0.9")
    w.venue.liquidate(dust, sender=w.owner)
    assert 0 < w.venue.queue(True)[0] < w.quotes("0.0003")
    w.venue.withdraw(0, w.quotes(10), other, sender=other)
