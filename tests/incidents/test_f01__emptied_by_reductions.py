# SPDX-License-Identifier: MIT
"""
F-1: while a reduction only had to leave equity >= 0, an account that had bought at a discount
could sell to its owner's other one, at a pushed fill, until it had nothing, and the rest was
taken at the index without a penalty. At L = 1,000, S = 1 and K = -100, buying 100 (closing them
later loses 10 to the curve): sells 52.88 to equity 0.000000, 47.12 are liquidated, all in one
block: +3.46 for the attacker, at -200 and 200 bought +9.96. Pairs of longs and shorts with equity
0 over a round of the oracle were a free straddle: +2.51 at -5 %, and the fund paid 3.06.

A reduction keeps the maintenance margin of what remains. The same attackers lose their fees.
"""

from __future__ import annotations

from collections.abc import Callable

import boa
import pytest

from tests.venue_world import World, world

STEP = 10**15  # of the search for a size: 0.001 of the asset
CAP = 200  # |K| at the premium cap, whole assets


def largest(most: int, step: int, call: Callable[[int], object]) -> int:
    """Return the largest multiple of `step` up to `most` that `call` accepts, 0 if none."""
    low, high = 0, most // step
    while low < high:
        middle = (low + high + 1) // 2
        try:
            with boa.env.anchor():
                call(middle * step)
            low = middle
        except boa.BoaError:
            high = middle - 1
    return low * step


class Attacker:
    """Accounts of one owner, who counts what he put in."""

    def __init__(self, on: World) -> None:
        self.world = on
        self.accounts: list[str] = []
        self.spent = 0

    def account(self, quote: int) -> str:
        """Open an account with that margin, whole quote."""
        account = self.world.trader(f"attacker {len(self.accounts)}", quote=quote)
        self.accounts.append(account)
        self.spent += self.world.quotes(quote)
        return account

    def strip(self, account: str) -> None:
        """Take out all margin that may leave."""

        def take(quote: int) -> None:
            self.world.venue.withdraw(0, quote, account, sender=account)

        quote = largest(self.world.quotes(30), 100, take)
        take(quote)
        self.spent -= quote

    def reduce(self, account: str, percent: int = 100) -> int:
        """Trade away a share of what the venue lets go, but for the minimum size."""
        size = self.world.venue.account(account).size
        sign = 1 if size > 0 else -1
        most = abs(size) - self.world.terms["min_size"]
        sold = largest(most, STEP, lambda part: self.world.trade_raw(account, -sign * part))
        sold = sold * percent // 100
        if sold:
            self.world.trade_raw(account, -sign * sold)
        return sold

    def close(self, account: str) -> None:
        """Close on the curve, with new margin where it needs some."""
        size = self.world.venue.account(account).size
        if size:
            self.world.venue.deposit(0, self.world.quotes(100), sender=account)
            self.spent += self.world.quotes(100)
            self.world.trade_raw(account, -size)

    def liquidate(self, account: str, by: str) -> bool:
        """Liquidate an own account if it can be."""
        if not self.world.venue.liquidation(account, self.world.price())[0]:
            return False
        self.world.venue.liquidate(account, sender=by)
        return True

    def profit(self) -> int:
        """Close all and return what all balances are over what was put in, raw quote."""
        for account in self.accounts:
            self.close(account)
        held = sum(self.world.venue.account(each).quote for each in self.accounts)
        return held - self.spent


def skew(w: World) -> int:
    return int(w.venue.market(w.price()).skew)


def buys_at_a_discount(honest: int, bought: int) -> tuple[World, Attacker, str, str, int]:
    """Let others be short by `honest`, the attacker buy and push K down to the cap."""
    w = world(price=1, liquidity=1_000, insurance=10)
    w.trade(w.trader("honest", quote=200), -honest)
    attacker = Attacker(w)
    long, other = attacker.account(30), attacker.account(300)
    w.trade(long, bought)
    attacker.strip(long)
    pushed = w.assets(CAP) + skew(w)
    if pushed > 0:
        w.trade_raw(other, -pushed)
    return w, attacker, long, other, pushed


@pytest.mark.parametrize(
    ("honest", "bought"),
    [(50, 50), (100, 20), (100, 50), (100, 100), (100, 150), (150, 100), (150, 150), (200, 200)],
)
def test_f01__sold_low_to_oneself_and_liquidated__brings_nothing(honest: int, bought: int) -> None:
    w, attacker, long, other, pushed = buys_at_a_discount(honest, bought)
    profits = []
    for percent in (0, 50, 100):
        for covers_first in (True, False):
            with boa.env.anchor():
                spent = attacker.spent
                attacker.reduce(long, percent)
                if pushed > 0 and covers_first:
                    w.trade_raw(other, pushed)
                attacker.liquidate(long, by=other)
                profits.append(attacker.profit())
                attacker.spent = spent
    assert max(profits) <= 0, profits


def test_f01__reduction_that_empties__refused() -> None:
    w, _, long, _, _ = buys_at_a_discount(100, 100)
    with boa.reverts("venue: rest under maintenance"):
        w.trade(long, "-52.8776")  # to equity 0.000000
    price = w.price()
    margin = w.venue.margin(long, price)
    assert margin.equity > margin.maintenance  # nothing happened
    assert not w.venue.liquidation(long, price)[0]


def straddle(pairs: int) -> tuple[World, Attacker, list[str], list[str], str]:
    """Let the attacker hold longs and shorts of 50, reduced as far as the venue lets them."""
    w = world(price=1, liquidity=1_000, insurance=20)
    attacker = Attacker(w)
    longs = [attacker.account(20) for _ in range(pairs)]
    shorts = [attacker.account(20) for _ in range(pairs)]
    for long, short in zip(longs, shorts, strict=True):
        w.trade(long, 50)
        w.trade(short, -50)
    other = attacker.account(300)
    for account in longs + shorts:
        attacker.strip(account)
    for accounts, sign in ((longs, -1), (shorts, 1)):
        push(w, other, sign * CAP)
        for account in accounts:
            attacker.reduce(account)
        w.trade_raw(other, -w.venue.account(other).size)
    return w, attacker, longs, shorts, other


def push(w: World, account: str, whole: int) -> None:
    """Move K to so many whole assets."""
    w.trade_raw(account, w.assets(whole) - skew(w))


@pytest.mark.parametrize(("pairs", "price"), [(2, "1.005"), (2, "1.02"), (2, "0.95"), (4, "1.05")])
def test_f01__straddle_over_a_round__brings_nothing(pairs: int, price: str) -> None:
    w, attacker, longs, shorts, other = straddle(pairs)
    for account in longs + shorts:
        margin = w.venue.margin(account, w.price())
        assert margin.equity >= margin.maintenance > 0
    w.set_price(price)
    winners, losers = (longs, shorts) if w.price() > 10**18 else (shorts, longs)
    for account in losers:
        attacker.liquidate(account, by=other)
    profits = []
    for drains in (False, True):  # the winners too: sold to `other`, then liquidated if they can be
        with boa.env.anchor():
            spent = attacker.spent
            if drains:
                push(w, other, (CAP - 1) * (-1 if winners is longs else 1))
                for account in winners:
                    attacker.reduce(account)
                w.trade_raw(other, -w.venue.account(other).size)
                for account in winners:
                    attacker.liquidate(account, by=other)
            profits.append(attacker.profit())
            attacker.spent = spent
    assert max(profits) <= 0, profits
