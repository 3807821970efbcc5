# SPDX-License-Identifier: MIT
"""Deleverager: one call or several, exact cuts, and every list that is not the rule's refused."""

from __future__ import annotations

from typing import Any

import boa
import pytest

from tests.reference_world import Storage
from tests.venue_world import FREE, NO_REWARD, World, world

NOBODY = "0x" + "00" * 19 + "01"
SHORTS = {"thin": (30, 8), "middle": (30, 20), "fat": (30, 200)}  # size and margin, by name


def failed(sizes: int = 1, **changes: Any) -> tuple[World, list[str]]:
    """Return a market where a long of 100 left a loss to three shorts, in the rule's order."""
    w = world(**(FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21} | changes))
    long = w.trader("long", quote=11)
    w.trade(long, 100)
    shorts = [w.trader(name, quote=margin) for name, (_, margin) in SHORTS.items()]
    for account, (size, _) in zip(shorts, SHORTS.values(), strict=True):
        w.trade(account, -size)
    w.set_price("0.8")  # the long loses 20 of its 11
    w.venue.liquidate(long, sender=w.owner)
    return w, shorts


def events(w: World, name: str) -> list[Any]:
    return [e for e in w.venue.get_logs() if type(e).__name__ == name]


def test_deleverage__one_call__most_levered_give_up_and_bear_the_loss() -> None:
    w, shorts = failed()
    loss, size = w.venue.queue(True)
    assert size == w.assets(100)
    assert w.quotes("8.9") < loss < w.quotes("9.1")
    assert w.venue.stage() == 1
    before = [w.venue.margin(each, w.price()) for each in shorts]
    skew = w.venue.market(w.price()).skew
    assert w.venue.deleverage(1, shorts)
    # own part min(100, K = 10); 90 of 90 are needed: all are closed at 0.8
    cuts = events(w, "AccountDeleveraged")
    assert [cut.size for cut in cuts] == [-w.assets(30)] * 3
    assert events(w, "DeleveragingEnded")[0].given_up == w.assets(90)
    after = [w.venue.margin(each, w.price()) for each in shorts]
    for was, now, cut in zip(before, after, cuts, strict=True):
        assert now.delta == 0
        assert cut.loss == -(-loss * w.assets(30) // w.assets(100))  # r x, up
        assert was.equity - now.equity - cut.loss in (0, 1)
    assert w.venue.market(w.price()).skew == skew  # nobody paid the curve
    assert w.venue.account(w.pool.address).size == w.assets(10)
    assert w.venue.queue(True) == (0, 0)
    assert w.venue.stage() == 0


def test_deleverage__one_call__keeps_no_list() -> None:
    """A list that is cut in the call that brings it is not stored: 22,000 gas."""
    w, shorts = failed()
    stored = Storage(w.venue.contract)
    assert w.venue.deleverage(1, shorts)
    assert stored.word("chunks", "0x0") == 0
    w, shorts = failed()
    stored = Storage(w.venue.contract)
    assert not w.venue.deleverage(1, shorts[:1])
    assert stored.word("chunks", "0x0") != 0


@pytest.mark.parametrize("what", ["close", "liquidate", "deleverage"])
def test_deleverage__rest_under_the_minimum_size__can_be_ended_as_any_other(what: str) -> None:
    """The sum is exact, so a cut may leave less than an account may open. It can only end."""
    w = world(min_size=10**18, **(FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21}))
    long = w.trader("long", quote=11)
    w.trade(long, "99.5")
    rest = w.trader("short", quote=70)
    w.trade(rest, -100)
    w.set_price("0.8")
    w.venue.liquidate(long, sender=w.owner)
    assert w.venue.deleverage(1, [rest])
    size = w.venue.account(rest).size
    assert size == -w.assets("0.5")
    with boa.reverts("venue: under minimum size"):
        w.trade_raw(rest, -size // 2)
    if what == "close":
        w.trade_raw(rest, -size)
    elif what == "liquidate":
        w.set_price(200)
        assert w.venue.liquidate(rest, sender=w.owner) == size
    else:
        second = w.trader("second", quote="0.5")
        w.trade(second, 1)
        w.set_price("0.0001")
        w.venue.liquidate(second, sender=w.owner)
        assert w.venue.deleverage(1, [rest])  # complete with it, so nobody is kept waiting
    if what != "deleverage":
        assert w.venue.account(rest).size == 0


def test_deleverage__only_a_part_needed__leverage_is_drained_evenly() -> None:
    w, shorts = failed()
    w.trade(w.trader("buyer", quote=100), 60)  # K = 70: the pool's own part, in time
    with boa.env.anchor():
        assert w.venue.deleverage(1, shorts)
        assert events(w, "DeleveragingEnded")[0].given_up > w.assets(89)  # not at once
    w.pass_time(100 * 1_800)
    assert w.venue.deleverage(1, shorts)
    left = [w.venue.margin(each, w.price()) for each in shorts]
    assert sum(-each.delta for each in left) == w.assets(60)  # 30 given up, exactly
    assert left[2].delta == -w.assets(30)  # the hedge with low leverage is not touched
    assert left[0].delta > left[1].delta


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ([1, 0, 2], "venue: wrong order"),
        ([0, 1, 1], "venue: wrong order"),
        ([0, 0, 1], "venue: wrong order"),
        ([0, 1, 2, 2], "venue: wrong order"),
        ([0, None, 1, 2], "venue: not on the winning side"),
    ],
)
def test_deleverage__list_that_is_not_the_rules__refused(
    order: list[int | None], reason: str
) -> None:
    w, shorts = failed()
    before = w.venue.state(), w.venue.queue(True)
    with boa.reverts(reason):
        w.venue.deleverage(1, [NOBODY if i is None else shorts[i] for i in order])
    assert (w.venue.state(), w.venue.queue(True)) == before


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (0, "venue: nothing to deleverage"),
        (2, "venue: pool carries its skew"),
        (3, "venue: unknown cause"),
    ],
)
def test_deleverage__no_such_cause_now__refused(cause: int, reason: str) -> None:
    w, shorts = failed()
    with boa.reverts(reason):
        w.venue.deleverage(cause, shorts)


def test_deleverage__insolvent_winners__stand_first_by_address_and_are_not_cut() -> None:
    """A short may have lost everything since: it is liquidated, not cut."""
    w, (thin, middle, fat) = failed()
    w.set_price(2)  # shorts from 1 on: 30 lost of 8, of 20 and of 200
    insolvent = sorted([thin, middle], key=lambda each: int(each, 16))
    for order in ([fat, *insolvent], [insolvent[0], fat, insolvent[1]], insolvent[::-1]):
        with boa.reverts("venue: wrong order"):
            w.venue.deleverage(1, order)
    assert w.venue.deleverage(1, [*insolvent, fat])
    assert [cut.account for cut in events(w, "AccountDeleveraged")] == [fat]
    assert [w.venue.account(each).size for each in insolvent] == [-w.assets(30)] * 2
    assert w.venue.account(fat).size == 0  # all that can be is given up


def test_deleverage__loser_or_backstop_in_the_list__refused() -> None:
    w, shorts = failed()
    buyer = w.trader("buyer", quote=100)
    w.trade(buyer, 1)
    for stranger in (buyer, w.pool.address):
        with boa.reverts("venue: not on the winning side"):
            w.venue.deleverage(1, [stranger, *shorts])


def test_deleverage__incomplete__venue_stands_still_until_the_rest_comes() -> None:
    w, shorts = failed()
    trader = w.trader("trader", quote=100)
    assert not w.venue.deleverage(1, shorts[:2])
    assert w.venue.stage() == 2
    batch = w.venue.batch()
    assert (batch.cause, batch.side, batch.failed) == (1, -1, w.assets(100))
    assert (batch.listed, batch.open_interest) == (w.assets(60), w.assets(90))
    assert (batch.last_owner, batch.insolvent, batch.given_up) == (shorts[1], 0, 0)
    margin = w.venue.margin(shorts[2], w.price())
    w.pass_time(300)
    for call in (
        lambda: w.trade(trader, 1),
        lambda: w.venue.deposit(0, 1, sender=trader),
        lambda: w.venue.withdraw(0, 1, trader, sender=trader),
        lambda: w.venue.liquidate(trader, sender=trader),
        w.venue.accrue,
        w.venue.wind_up,
    ):
        with boa.reverts("venue: deleveraging runs"):
            call()
    assert w.venue.margin(shorts[2], w.price()) == margin  # no time passes
    with boa.reverts("venue: another batch runs"):
        w.venue.deleverage(2, shorts[2:])
    with boa.reverts("venue: wrong order"):
        w.venue.deleverage(1, shorts[:1])
    assert not w.venue.deleverage(1, shorts[2:])  # listed
    with boa.reverts("venue: another chunk is next"):
        w.venue.deleverage(1, shorts[2:])
    assert not w.venue.deleverage(1, shorts[:2])
    assert w.venue.deleverage(1, shorts[2:])
    assert w.venue.stage() == 0
    w.trade(trader, 1)


def test_abandon__after_the_deadline__loss_is_queued_again_and_listing_waits() -> None:
    w, shorts = failed()
    with boa.reverts("venue: no batch runs"):
        w.venue.abandon()
    queued = w.venue.queue(True)
    w.venue.deleverage(1, [])  # fixes price and equities, lists nobody yet
    with boa.reverts("venue: batch has time left"):
        w.venue.abandon()
    w.pass_time(601)
    w.venue.abandon()
    assert (w.venue.queue(True), w.venue.stage()) == (queued, 1)
    with boa.reverts("venue: too soon to list again"):
        w.venue.deleverage(1, shorts[:1])
    assert w.venue.deleverage(1, shorts)  # in one call at any time


def test_deleverage__dust__makes_nobody_wait_and_cannot_stop_the_venue() -> None:
    """M-06: a loss under a basis point of open interest is queued, and that is all."""
    w = world(liquidity=100_000, **(FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**22}))
    short = w.trader("short", quote=1_000)
    w.trade(short, -2_000)
    long, other = w.trader("long", quote="0.6"), w.trader("other", quote=1_000)
    w.trade(other, 1_000)
    w.trade(long, 3)
    w.set_price("0.79")
    w.venue.liquidate(long, sender=w.owner)
    assert 0 < w.venue.queue(True)[0] < w.quotes("0.2")
    assert w.venue.stage() == 0
    w.venue.withdraw(0, 1, other, sender=other)
    with boa.reverts("venue: list in one call"):
        w.venue.deleverage(1, [])
    assert w.venue.deleverage(1, [short])


def test_deleverage__pool_runs_low__heavy_side_closes_at_the_index() -> None:
    """A-14: what longs hold goes back to the share of pool equity that a trade may reach."""
    w = world(liquidity=400, **(FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21}))
    longs = [w.trader(name, quote=margin) for name, margin in (("thin", 30), ("fat", 300))]
    for account in longs:
        w.trade(account, 90)
    w.set_price("3.1")  # 180 * 2.1 = 378 of profit on a pool of 400: 22 carry 558
    equity = w.pool.equity(w.price())
    assert 0 < equity < w.quotes(28)
    profit = [w.venue.margin(each, w.price()).equity for each in longs]
    order = sorted(longs, key=lambda each: w.venue.margin(each, w.price()).equity)
    assert w.venue.deleverage(2, order)
    held = sum(w.venue.account(each).size for each in longs)
    assert held == equity * 10**12 * 5 // 10 * 10**8 // int(w.price() // 10**10)  # E / 2 / S
    assert w.venue.account(w.pool.address).size == w.assets(180) - held
    assert w.venue.market(w.price()).skew == w.assets(180)  # nobody can be first at the curve
    for each, was in zip(longs, profit, strict=True):  # at the index, to a unit
        assert was - w.venue.margin(each, w.price()).equity in (0, 1)
    with boa.reverts("venue: pool carries its skew"):
        w.venue.deleverage(2, order)
