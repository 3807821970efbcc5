# SPDX-License-Identifier: MIT
"""
A market in the reference model, with the wallets of those who use it: for searches, no chain.

Everybody has as much of both tokens as he wants; a wallet counts what came out less what went
in. `total` is what somebody ends with, at the index, and `flat` closes his positions before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import lru_cache

from keeper.simulation.reference import (
    Feed,
    PriceOracle,
    Reverted,
    Source,
    SpotMarket,
    Terms,
    build,
)
from keeper.units import UINT256_MAX, mul_div_down, price_divisor
from scripts.terms import venue_terms
from tests.recovery_world import listed_by_keeper
from tests.venue_world import FEED_UNIT, default_terms

START = 1_700_000_000  # Unix seconds
DECIMALS = 18, 6
UNIT = 10**18  # asset units of a whole asset
SPOT_FEE_WAD = 5 * 10**14
TERMS = ("tests", "deployed")


@lru_cache
def terms_of(name: str) -> Terms:
    """Return the terms of the tests or those that a new system gets, ETH against USDC."""
    if name == "tests":
        return Terms(**default_terms(*DECIMALS))
    return Terms(**asdict(venue_terms(*DECIMALS)))


class Market:
    """
    A venue with its pool and fund and a spot market, in the model.

    Parameters
    ----------
    terms : Terms
        For tokens of 18 and 6 decimals.
    price : int
        Whole quote per whole asset.
    liquidity, insurance : int
        Whole assets' worth in the pool and in the fund.
    """

    def __init__(
        self, terms: Terms, *, price: int = 2_000, liquidity: int = 1_000, insurance: int = 0
    ) -> None:
        self.at = START
        self.at_index = False  # value shares as if all closed at the index, not on the curve
        self.asset_feed = Feed(8, price * FEED_UNIT, at=START)
        self.quote_feed = Feed(8, FEED_UNIT, at=START)
        oracle = PriceOracle(
            Source(self.asset_feed, 4_500, 50), Source(self.quote_feed, 90_000, 25), 200
        )
        self.venue = build(terms, oracle, asset_decimals=18, quote_decimals=6, at=START)
        self.pool, self.fund = self.venue.pool, self.venue.fund
        self.spot = SpotMarket(SPOT_FEE_WAD, "owner")
        self.lot = price * 10**6  # quote worth one whole asset at the start
        self.spot.seed("owner", liquidity * UNIT, liquidity * self.lot)
        self.wallets: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.divisor = price_divisor(*DECIMALS)
        self.pool.request_provide("honest", liquidity * self.lot, at=START)
        self.pool.execute_provide("honest", at=START)
        if insurance:
            self.fund.donate(insurance * self.lot)

    # What `tests.recovery_world` asks of twins

    @property
    def now(self) -> int:
        return self.at

    @property
    def price_wad(self) -> int:
        return self.venue.oracle.try_read(at=self.at)[1].price_wad

    @property
    def traders(self) -> list[str]:
        """Return all who ever had an account, but the backstop."""
        return [who for who in self.venue.owners if who != self.pool.address]

    # Time and price

    def tick(self, seconds: int, change_bps: int = 0) -> None:
        """Let time pass, then publish a price that differs by so much."""
        self.at += seconds
        answer = self.asset_feed.last_round.answer * (10_000 + change_bps) // 10_000
        self.asset_feed.set_answer(max(1, answer), at=self.at)
        self.quote_feed.set_answer(FEED_UNIT, at=self.at)
        # Arbitrage keeps the spot market at the index.
        self.spot.quote_reserve = self.venue.margins.value_down(
            self.spot.assets_reserve, self.price_wad
        )

    # Calls that move tokens

    def deposit(self, who: str, quote: int, assets: int = 0) -> None:
        self.venue.deposit(who, assets, quote, at=self.at)
        self._move(who, -quote, -assets)

    def withdraw(self, who: str, quote: int, assets: int = 0) -> None:
        self.venue.withdraw(who, assets, quote, at=self.at)
        self._move(who, quote, assets)

    def trade(self, who: str, size: int) -> int:
        return self.venue.trade(who, 0, size, UINT256_MAX if size > 0 else 0, at=self.at)

    def request_provide(self, who: str, quote: int) -> None:
        self.pool.request_provide(who, quote, at=self.at)
        self._move(who, -quote)

    def cancel_provide(self, who: str) -> None:
        self._move(who, self.pool.cancel_provide(who))

    def execute_remove(self, who: str) -> None:
        self._move(who, *self.pool.execute_remove(who, at=self.at))

    def stake(self, who: str, quote: int) -> None:
        self.fund.stake(who, quote, at=self.at)
        self._move(who, -quote)

    def unstake(self, who: str) -> None:
        self._move(who, self.fund.unstake(who, at=self.at))

    def spot_trade(self, who: str, size: int) -> None:
        """Buy (positive) or sell on the spot market."""
        if size > 0:
            self._move(who, -self.spot.buy(size), size)
        else:
            self._move(who, self.spot.sell(-size), size)

    def leave(self, who: str) -> None:
        self._move(who, *self.pool.leave(who, at=self.at))

    def _move(self, who: str, quote: int, assets: int = 0) -> None:
        wallet = self.wallets[who]
        wallet[0] += quote
        wallet[1] += assets

    # Calls with a list

    def deleverage(self, cause: int) -> tuple[list[str], dict[str, int]]:
        """Deleverage in one call, with the keeper's list; return owners and what each gave up."""
        _, done = listed_by_keeper(self, cause)
        owners = [cut.owner for cut in done.cuts]
        self.venue.deleverage(cause, owners, at=self.at)
        return owners, {cut.owner: cut.size for cut in done.cuts}

    def lose_price(self) -> None:
        """Let the price be gone for a week."""
        self.at += 100_000
        self.venue.wind_up(at=self.at)
        self.at += 7 * 86_400

    def wind_up(self) -> None:
        """End the venue, whose price is gone; close all and release all."""
        if not self.venue.wind_up(at=self.at):
            raise Reverted("venue goes on")
        self.venue.close(self.traders, at=self.at)
        self.venue.fix_claims(at=self.at)
        for who in self.traders:
            self.venue.release(who, at=self.at)

    # What somebody has

    def total(self, who: str, *, price_wad: int = 0) -> int:
        """Return all he has less what he put in, at the index, quote, down; no debt beyond it."""
        price_wad = price_wad or self.price_wad
        quote, assets = self.wallets[who]
        margins, held = self.venue.margins, self.venue._account_now(who, self.at)
        profit = margins.value_down(held.size, price_wad) - held.entry
        account = held.quote + margins.value_down(held.assets, price_wad) + profit
        return (
            quote
            + margins.value_down(assets, price_wad)
            + max(0, account)
            + self._liquidity(who, price_wad)
            + self._stake(who)
        )

    def _liquidity(self, who: str, price_wad: int) -> int:
        pool, venue = self.pool, self.venue
        shares = pool.shares_of.get(who, 0) + pool.removal(who).shares
        escrow = pool.provision(who).quote
        if not shares:
            return escrow
        equity = pool.equity(price_wad, at=self.at)
        if self.at_index:
            stop, skew = venue.account(pool.address).size, venue.skew
            equity += venue.curve.closing_value(skew, stop, price_wad)
            equity -= venue.margins.value_up(skew - stop, price_wad)
        equity = max(0, equity)
        return escrow + mul_div_down(equity, shares, pool.total_shares)

    def _stake(self, who: str) -> int:
        fund = self.fund
        return fund.worth(who) + fund.request_of(who).worth + fund.entry_of(who).worth

    def flatten(self, accounts: Sequence[str]) -> None:
        """Close all their positions on the curve, as far as the venue lets them."""
        for _ in range(2):  # the second time for those that needed the first of another
            for who in accounts:
                size = self.venue.account(who).size
                if size:
                    attempt(lambda who=who, size=size: self.trade(who, -size))


def attempt(call: Callable[[], object]) -> bool:
    """Make a call and return whether it was accepted."""
    try:
        call()
    except Reverted:
        return False
    return True
