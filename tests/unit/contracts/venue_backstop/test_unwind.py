# SPDX-License-Identifier: MIT
"""VenueBackstop: steps on the curve, for as much as is not worth going ahead of."""

from __future__ import annotations

import boa

from tests.venue_world import NO_FUNDING, NO_REWARD, World, world

MOST = "0.4"  # 2 * 2 bp * L


def fallen(size: str = MOST, quote: str = "0.06", **changes: int) -> World:
    """Return a market whose backstop holds a long, entered at 1 and taken at 0.85."""
    w = world(insurance=100, **NO_FUNDING, **NO_REWARD, **changes)
    failing = w.trader("failing", quote=quote)
    w.trade(failing, size)
    w.set_price("0.85")
    w.venue.liquidate(failing, sender=w.owner)
    assert w.venue.account(w.pool.address).size == w.assets(size)
    return w


def test_unwind__one_step_a_minute__at_the_curve() -> None:
    w = fallen(unwind_step=10**17)
    equity = w.pool.equity(w.price())
    assert w.venue.unwind() == -w.assets("0.1")
    assert w.venue.market(w.price()).skew == w.assets("0.3")
    assert w.pool.equity(w.price()) == equity  # nobody else holds anything
    with boa.reverts("venue: unwound a moment ago"):
        w.venue.unwind()
    w.pass_time(60)
    assert w.venue.unwind() == -w.assets("0.1")


def test_unwind__more_than_two_maker_fees_move__takers_first() -> None:
    w = fallen("0.400000000000000001")
    with boa.reverts("venue: takers first"):
        w.venue.unwind()
    taker = w.trader("taker", quote=1)
    w.venue.take_over(w.assets("0.2"), 2**256 - 1, sender=taker)
    assert w.venue.unwind() == -w.assets("0.2") - 1


def test_unwind__nothing_held_or_a_loss_waits__refused() -> None:
    w = world(**NO_REWARD)
    with boa.reverts("venue: nothing to unwind"):
        w.venue.unwind()
    failing = w.trader("failing", quote="0.06")
    w.trade(failing, MOST)
    w.set_price("0.8")
    w.venue.liquidate(failing, sender=w.owner)  # no insurance: a loss is queued
    with boa.reverts("venue: deleveraging first"):
        w.venue.unwind()
    w.pass_time(3_600)
    assert w.venue.unwind() == -w.assets(MOST)
