# SPDX-License-Identifier: MIT
"""
M-06 (dYdX #936, #1208): withdrawals wait while a loss is not resolved; the gate ends when it is,
or after an hour, and dust cannot hold it. Much dust is no dust: it gates once, so that a batch of
several calls can be made of it.
"""

from __future__ import annotations

import boa
import pytest

from tests.reference_world import Storage
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


def test_m06__much_dust__gates_once_and_can_be_worked_off_in_chunks() -> None:
    """Otherwise losses of 1 bp each could wait for ever where winners are more than a list."""
    w, short, other = market()
    second = w.trader("second", quote=60)
    w.trade(second, -50)
    w.trade(w.trader("long", quote=50), 60)
    losers = [w.trader(f"dust {i}", quote="0.0008") for i in range(14)]
    for each in losers:
        w.trade(each, "0.01")
    w.set_price("0.75")
    w.venue.liquidate(losers[0], sender=w.owner)
    with boa.reverts("venue: list in one call"):
        w.venue.deleverage(1, [])
    gates = [(False, 0)]
    for each in losers[1:]:
        w.pass_time(60)
        w.venue.liquidate(each, sender=w.owner)
        gates.append((w.venue.stage() == 1, Storage(w.venue.contract).word("gated_until")))
    first = [gated for gated, _ in gates].index(True)
    assert 3 < first < len(losers) - 3
    assert {until for _, until in gates[first:]} == {gates[first][1]}  # not prolonged
    assert not w.venue.deleverage(1, [short])
    assert not w.venue.deleverage(1, [second])
    assert not w.venue.deleverage(1, [short])
    assert w.venue.deleverage(1, [second])
    assert w.venue.stage() == 0
    w.venue.withdraw(0, w.quotes(10), other, sender=other)
