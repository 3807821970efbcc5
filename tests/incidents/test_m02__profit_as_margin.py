# SPDX-License-Identifier: MIT
"""
M-02 (YFI on dYdX v3, November 2023): unrealised profit, taken out as margin for the next of 100
wallets, built a position that no margin stood behind; its fall by 43 % cost the insurance fund
9 M$, 40 % of it.

Here unrealised profit leaves no account, a side ends at the share of the pool that a skew may
have, whoever holds it, and one market draws its allotment and no more.
"""

from __future__ import annotations

import boa
import pytest

from tests.venue_world import FREE, NO_REWARD, WAD, World, world

M = 10**6
FUND, ALLOTMENT = 22_500_000, 2_250_000  # 9 M$ are 40 % of it; one market gets a tenth
WALLETS = 25  # a quarter of what it took there
TERMS = FREE | NO_REWARD | {"skew_scale": 10**6 * WAD, "max_side": 3_000 * WAD}


def yfi() -> World:
    """Return a market at 9,500 whose pool carries 30 M$ of skew."""
    w = world(price=9_500, liquidity=60 * M, insurance=FUND, **TERMS)
    w.fund.register(w.venue.address, w.quotes(ALLOTMENT))
    return w


def test_m02__unrealised_profit__funds_no_other_wallet() -> None:
    w = yfi()
    first = w.trader("first", quote=M)
    w.trade(first, 1_000)
    w.set_price(13_500)  # 4 M$ of profit
    margin = w.venue.margin(first, w.price())
    assert margin.profit > w.quotes("3.9e6")
    with boa.reverts("venue: not enough quote"):
        w.venue.withdraw(0, margin.quote + 1, first, sender=first)
    with boa.reverts("venue: under initial margin"):  # of what he put in, profit backs nothing
        w.venue.withdraw(0, margin.quote - margin.initial + w.quotes(1), first, sender=first)
    w.venue.withdraw(0, margin.quote - margin.initial, first, sender=first)


@pytest.mark.parametrize("wallets", [1, WALLETS])
def test_m02__any_number_of_wallets__side_ends_at_its_share_of_the_pool(wallets: int) -> None:
    w = yfi()
    size = w.assets(3_000) // wallets
    for i in range(wallets - 1):
        w.trade_raw(w.trader(f"wallet {i}", quote=M), size)
    last = w.trader("last", quote=10 * M)
    w.trade_raw(last, w.assets(3_000) - size * (wallets - 1))
    w.set_price(13_500)  # the pool owes 12 M$ of 60 and the side is worth 40
    equity = w.pool.equity(w.price())
    for whom in (last, w.trader("new", quote=M)):
        with boa.reverts("venue: side is full"):
            w.trade_raw(whom, w.terms["min_size"])
    half = equity * w.divisor() // (2 * w.price())
    assert half < w.assets(3_000)
    w.trade_raw(last, -w.assets("0.5"))  # room under the cap, and none in the pool
    with boa.reverts("venue: pool too small"):
        w.trade_raw(last, w.assets("0.4"))


def test_m02__fall_by_43_percent__fund_pays_the_allotment_and_not_40_percent() -> None:
    w = yfi()
    wallets = [w.trader(f"wallet {i}", quote=120_000) for i in range(WALLETS)]
    for each in wallets:
        w.trade(each, 116)
    w.set_price(9_500 * 57 // 100)
    for each in wallets:
        w.venue.liquidate(each, sender=w.owner)
    loss, size = w.venue.queue(True)
    assert w.assets(116) <= size < w.assets(116 * WALLETS)  # the first ones were insured
    assert loss > w.quotes(5 * M)  # 12 M$ of fall on 3 M$ of margin
    assert w.fund.held() == w.quotes(FUND - ALLOTMENT)
    assert w.fund.available(w.venue.address) == 0
