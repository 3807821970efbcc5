# SPDX-License-Identifier: MIT
"""
M-01 (JELLY, 26 March 2025): a short of 4.1 M$ at 0.0095 and two longs of the same hands, the
short's margin taken out, its price pushed up by 429 %; the backstop inherited it and was 12 M$
under, with 230 M$ of other markets behind it, until a price was decreed.

Here a side is no larger than half of its own market's pool, nothing leaves under the initial
margin, insurance pays no more than its allotment, and what is left, of a failure or of a pool
that runs low, is cut from the winning longs at the oracle's price.
"""

from __future__ import annotations

import boa

from tests.venue_world import BP, FREE, NO_REWARD, WAD, World, world

M = 10**6
PRICE, TOP = "0.0095", "0.05"
SIZE = 430 * M  # tokens, 4.1 M$
STEPS = 20
TERMS = FREE | NO_REWARD | {
    "skew_scale": 10**10 * WAD,
    "max_side": 500 * M * WAD,
    "low_share_wad": 5_000 * BP,  # as deployed
}  # fmt: skip


def jelly(liquidity: int = 10 * M) -> tuple[World, str, list[str]]:
    """Return a thin market where one hand holds both sides, with no more margin than it needs."""
    w = world(price=PRICE, liquidity=liquidity, insurance=10 * M, **TERMS)
    w.fund.register(w.venue.address, w.quotes(M // 2))  # of the 10 M$ for all markets
    short = w.trader("short", quote=M)
    longs = [w.trader(f"long {i}", quote=2 * M) for i in range(2)]
    w.trade(short, -SIZE)
    for each in longs:
        w.trade(each, SIZE // 2)
    return w, short, longs


def wealth(w: World, accounts: list[str]) -> int:
    """Return what these accounts are worth at the index, a debt beyond margin not counted."""
    return sum(max(0, w.venue.margin(each, w.price()).equity) for each in accounts)


def ranked(w: World, accounts: list[str]) -> list[str]:
    """Return accounts of one size in the order of the rule."""
    return sorted(
        accounts, key=lambda each: (w.venue.margin(each, w.price()).equity, int(each, 16))
    )


def test_m01__market_too_thin__side_is_refused() -> None:
    with boa.reverts("venue: pool too small"):
        jelly(liquidity=8 * M)


def test_m01__margin_of_the_short__stays() -> None:
    w, short, _ = jelly()
    margin = w.venue.margin(short, w.price())
    with boa.reverts("venue: under initial margin"):
        w.venue.withdraw(0, margin.quote - margin.initial + w.quotes(M // 10), short, sender=short)
    w.set_price("0.0096")  # it loses, and can take out less than before
    assert w.venue.margin(short, w.price()).equity < margin.equity


def test_m01__price_jumps__allotment_and_then_the_attackers_own_longs() -> None:
    """Five times the price in one step: 17.4 M$ of loss on 1 M$ of margin."""
    w, short, longs = jelly()
    before, pool = wealth(w, [short, *longs]), w.pool.equity(w.price())
    price = w.set_price(TOP)
    w.venue.liquidate(short, sender=w.owner)
    loss, size = w.venue.queue(False)
    assert size == w.assets(SIZE)
    assert w.quotes(15 * M) < loss < w.quotes(17 * M)
    assert w.fund.held() == w.quotes(10 * M - M // 2)
    order = ranked(w, longs)
    assert w.venue.deleverage(0, order)
    cuts = [e for e in w.venue.get_logs() if type(e).__name__ == "AccountDeleveraged"]
    assert sum(cut.loss for cut in cuts) == loss
    assert {cut.price_wad for cut in cuts} == {price}  # nobody decrees one
    assert w.venue.account(w.pool.address).size == 0
    gained = wealth(w, [short, *longs]) - before
    assert w.quotes(M // 2) - 10 <= gained <= w.quotes(M // 2)
    assert abs(w.pool.equity(w.price()) - pool) <= 10


def test_m01__price_climbs__pool_that_inherited_stays_solvent() -> None:
    """
    The short fails with something left, and the price goes on against who took it: K = 0, with
    the backstop short of all that the longs hold. A price that doubles costs the pool half of what
    it has, as the terms say, and not more than all of it.
    """
    w, short, longs = jelly()
    pool, before = w.pool.equity(w.price()), wealth(w, [short, *longs])
    inherited = 0
    for i in range(1, STEPS + 1):
        price = w.set_price(f"{float(PRICE) * (float(TOP) / float(PRICE)) ** (i / STEPS):.8f}")
        while w.venue.liquidation(short, price)[0]:
            w.venue.liquidate(short, sender=w.owner)
            w.pass_time(600)
        stop = w.venue.account(w.pool.address).size
        inherited = min(inherited, stop)
        equity = w.pool.equity(price)
        assert w.venue.market(price).skew == 0  # nothing that a cap on the skew could see
        if 2 * equity * w.divisor() < -stop * price:  # runs low, in the terms' words
            assert w.venue.deleverage(2, ranked(w, longs))
    assert inherited < -w.assets(SIZE * 9 // 10)
    # Twice doubled and more. By the skew alone it would never run low, and end at -60 %.
    assert w.pool.equity(w.price()) > pool // 5
    assert w.fund.held() >= w.quotes(10 * M - M // 2)
    lost = pool - w.pool.equity(w.price()) + w.quotes(10 * M) - w.fund.held()
    # Nobody else lost; the pool is measured at closing prices, which differ from the index.
    assert wealth(w, [short, *longs]) - before <= lost * 1_001 // 1_000
    assert w.venue.account(w.pool.address).size == -sum(w.venue.account(x).size for x in longs)
