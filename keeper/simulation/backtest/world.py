# SPDX-License-Identifier: MIT
"""
The market around a vault, hour by hour, on the reference model.

What `scripts/market.py` does on a chain: publish the spot price, bring the spot pool to it, trade
on the perpetual until skew over scale is perp over spot minus one, liquidate the vault if it has
failed. An hour without a spot quote publishes nothing, so the oracle goes stale and refuses, as
it would; a gap in the file is time that passes so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

import numpy as np

from keeper.simulation.backtest.defaults import Setup
from keeper.simulation.flow import PerpBook, SpotPool, arbitrage_assets, trader_size
from keeper.simulation.market import MarketHour, to_feed
from keeper.simulation.reference import (
    Feed,
    Price,
    PriceOracle,
    Reverted,
    Source,
    SpotMarket,
    build,
)
from keeper.simulation.reference.hedge_vault import HedgeVault, Registered
from keeper.simulation.reference.insurance_fund import MAX_QUOTE
from keeper.snapshot import Margin
from keeper.units import WAD, div_ceil, price_divisor

VENUE_AND_POOL: Final = "0x" + "4" * 40, "0x" + "5" * 40
TRADER: Final = "trader"  # does all that the market does, liquidations too
PERPETUAL: Final = 0
ANY_PRICE: Final = 10**36
FEED_DECIMALS: Final = 8
MAX_AGE_SECS: Final = 4_500  # of the asset's answer: an hour's heartbeat and a quarter more
GWEI: Final = 10**9
PURSE: Final = 10**9  # whole quote that the trader has as margin


class Index(Protocol):
    """A checked price that a market publishes."""

    def publish(self, spot: float, *, at: int) -> None:
        """Answer this price from now on."""

    def read(self, *, at: int) -> Price:
        """Return the price at this second or raise `Reverted`."""

    def try_read(self, *, at: int) -> tuple[bool, Price, str]:
        """Return whether the price may be used, the price, the reason."""


class Failure(NamedTuple):
    """The vault's account before and after a liquidation, at its price."""

    before: Margin
    after: Margin
    price_wad: int


class SingleFeed:
    """One feed of the asset in the quote token itself, stale after `MAX_AGE_SECS`."""

    __slots__ = ("_price",)

    def __init__(self) -> None:
        self._price = Price(0, 0, 0)

    def publish(self, spot: float, *, at: int) -> None:
        """Answer this price, of 8 decimals, from now on."""
        answer = to_feed(spot, FEED_DECIMALS)
        self._price = Price(answer * 10 ** (18 - FEED_DECIMALS), at, self._price[2] + 1)

    def read(self, *, at: int) -> Price:
        """Return the price; refuse a stale one."""
        if at - self._price[1] > MAX_AGE_SECS:
            raise Reverted("oracle: asset feed stale")
        return self._price

    def try_read(self, *, at: int) -> tuple[bool, Price, str]:
        """Return whether the price may be used, the price, the reason."""
        fresh = at - self._price[1] <= MAX_AGE_SECS
        return fresh, self._price, "" if fresh else "oracle: asset feed stale"


class DeployedFeeds:
    """The deployment's three feeds with the noise that `scripts/market.py` puts on them."""

    def __init__(
        self,
        oracle: PriceOracle,
        feeds: tuple[Feed, Feed, Feed],
        noise: np.random.Generator,
        *,
        quote_noise: float,
        witness_noise: float,
    ) -> None:
        self._oracle = oracle
        self._feeds = feeds
        self._noise = noise
        self._quote_noise, self._witness_noise = quote_noise, witness_noise
        self.read = oracle.read
        self.try_read = oracle.try_read

    def publish(self, spot: float, *, at: int) -> None:
        """Answer the spot price as asset over quote, the witness a little beside it."""
        quote = 1.0 + self._quote_noise * self._noise.standard_normal()
        seen = spot * quote * (1.0 + self._witness_noise * self._noise.standard_normal())
        for feed, price in zip(self._feeds, (spot * quote, seen, quote), strict=True):
            feed.set_answer(to_feed(price, FEED_DECIMALS), at=at)


def deployed_feeds(
    answers: tuple[int, int, int],
    noise: np.random.Generator,
    *,
    at: int,
    ages: tuple[int, int] = (MAX_AGE_SECS, 90_000),
    max_deviation_bps: int = 200,
    quote_noise: float = 1e-4,
    witness_noise: float = 2e-4,
) -> DeployedFeeds:
    """Return asset feed, its witness and quote feed with these answers, under one oracle."""
    asset, witness, quote = (Feed(FEED_DECIMALS, answer, at=at) for answer in answers)
    oracle = PriceOracle(
        Source(asset, ages[0], 50),
        Source(quote, ages[1], 25),
        max_deviation_bps,
        asset_witness=Source(witness, ages[0], 50),
    )
    feeds = (asset, witness, quote)
    return DeployedFeeds(oracle, feeds, noise, quote_noise=quote_noise, witness_noise=witness_noise)


class World:
    """
    Vault, venue, spot pool and market.

    Parameters
    ----------
    setup : Setup
        What stands before the first hour.
    index : Index
        With a price published.
    at : int
        Unix seconds of the deployment.
    pegged : bool
        Whether the spot pool's depth and price are restored each hour by its owner. Otherwise an
        arbitrageur trades it to the price, as on a chain, and its fees stay in the pool.
    names : tuple of str
        Addresses of venue and pool.
    file_funding : bool
        Whether the vault and the trader settle the file's funding rates between them; the
        venue's own rule is then to pay none (`defaults.without_funding`).
    """

    def __init__(
        self,
        setup: Setup,
        index: Index,
        *,
        at: int,
        pegged: bool = True,
        names: tuple[str, str] = VENUE_AND_POOL,
        file_funding: bool = False,
    ) -> None:
        own = setup.identity
        self.setup, self.index, self.pegged = setup, index, pegged
        self._file_funding = file_funding
        decimals = own.asset_decimals, own.quote_decimals
        self.divisor = price_divisor(*decimals)
        self.quote_unit: int = 10 ** decimals[1]
        self.venue = build(
            setup.terms, index, asset_decimals=decimals[0], quote_decimals=decimals[1], at=at
        )
        self._rename(*names)
        self.venue.pool.request_provide("owner", setup.pool_quote, at=at)
        self.venue.pool.execute_provide("owner", at=at)
        if setup.fund_quote:
            self.venue.fund.donate(setup.fund_quote)
        self.venue.deposit(TRADER, 0, PURSE * self.quote_unit, at=at)
        self.spot = SpotMarket(setup.spot_fee_wad)
        self._depth = setup.spot_assets
        price_wad = index.read(at=at).price_wad
        self.spot.seed("owner", self._depth, self._depth * price_wad // self.divisor)
        registered = [Registered(self.venue, setup.allotment_bps)]
        self.vault = HedgeVault(own, index, self.spot, registered, setup.limits)
        self._max_skew = setup.terms.skew_scale * setup.terms.premium_cap_wad // WAD
        self.refused: Counter[str] = Counter()
        self.failures: list[Failure] = []

    def _rename(self, venue: str, pool: str) -> None:
        """Give venue and pool their addresses; the fund knows venues by theirs."""
        fund = self.venue.fund
        fund.register(fund.owner, self.venue, 0)
        self.venue.address, self.venue.pool.address = venue, pool
        fund.register(fund.owner, self.venue, MAX_QUOTE)

    def advance(self, hour: MarketHour, *, at: int | None = None) -> Margin | None:
        """
        Bring the market to the hour's prices, at its close or at another second.

        Returns
        -------
        Margin or None
            The vault's account at these prices; None without a good price, when nothing moves.
        """
        at = hour.closes_at if at is None else at
        if not hour.spot_halted:
            self.index.publish(hour.spot, at=at)
        ok, price, _ = self.index.try_read(at=at)
        if not ok:
            return None
        self.venue.rules.base_fee = round((hour.gas_gwei or 0.0) * GWEI)
        self._follow_spot(price.price_wad)
        self._follow_premium(hour.basis, at)
        if self._file_funding and hour.funding_rate is not None:
            self._settle_funding(hour.funding_rate, price.price_wad, at)
        return self._liquidated(price.price_wad, at)

    def _follow_spot(self, price_wad: int) -> None:
        if self.pegged:
            self.spot.assets_reserve = self._depth
            self.spot.quote_reserve = self._depth * price_wad // self.divisor
            return
        assets, quote = self.spot.reserves()
        pool = SpotPool(assets=assets, quote=quote, fee_wad=self.spot.fee_wad)
        bought = arbitrage_assets(pool, price_wad, self.divisor)
        if bought * price_wad // self.divisor > 0:
            self.spot.buy(bought)
        elif -bought * price_wad // self.divisor > 0:
            self.spot.sell(-bought)

    def _follow_premium(self, basis: float, at: int) -> None:
        """Trade as far as caps let the trader; a pool too small for the premium bounds him."""
        max_side = self.setup.terms.max_side
        size = self._trader_size(basis, max_side)
        try:
            self._trade(size, at)
        except Reverted as refusal:
            self.refused[refusal.reason] += 1
            size = self._trader_size(basis, min(max_side, self._backed_side(at)))
            try:
                self._trade(size, at)
            except Reverted:
                self.venue.accrue(at=at)

    def _settle_funding(self, rate: float, price_wad: int, at: int) -> None:
        """Let the vault pay the trader rate * size * S, or be paid; tokens stay at the venue."""
        venue, book = self.venue, self.setup.identity.book
        account = venue._settled(book, at)[0]
        due = account.size * price_wad * round(rate * WAD)
        paid = div_ceil(due, self.divisor * WAD)
        venue._store(book, account._replace(quote=account.quote - paid), at)
        trader = venue._settled(TRADER, at)[0]
        venue._store(TRADER, trader._replace(quote=trader.quote + paid), at)

    def _trade(self, size: int, at: int) -> None:
        if size:
            limit = ANY_PRICE if size > 0 else 0
            self.venue.trade(TRADER, PERPETUAL, size, limit, at=at)
        else:
            self.venue.accrue(at=at)

    def _trader_size(self, basis: float, max_side: int) -> int:
        venue, terms = self.venue, self.setup.terms
        position = venue.account(TRADER).size
        skew, scale = venue.skew, terms.skew_scale
        book = PerpBook(
            skew, scale, venue.longs, venue.shorts, max_side, self._max_skew, position
        )  # fmt: skip
        size = trader_size(book, basis)
        if size and abs(position + size) < terms.min_size:
            return -position
        return size

    def _backed_side(self, at: int) -> int:
        """Return the open interest of a side that the pool's equity carries."""
        price_wad = self.index.read(at=at).price_wad
        equity = max(0, self.venue.market(price_wad, at=at).pool_equity)
        return equity * self.setup.terms.skew_share_wad // WAD * self.divisor // price_wad

    def _liquidated(self, price_wad: int, at: int) -> Margin:
        """Return the vault's account, which is liquidated if it has failed."""
        book = self.setup.identity.book
        before = self.venue.margin(book, price_wad, at=at)
        if before.equity >= before.maintenance:
            return before
        self.venue.liquidate(TRADER, book, at=at)
        after = self.venue.margin(book, price_wad, at=at)
        self.failures.append(Failure(before, after, price_wad))
        return after

    def cut(self, share: float, *, at: int) -> int:
        """
        Close a share of the vault's position at the index, as a deleveraging would.

        Returns
        -------
        int
            Size closed, raw asset units, bought positive. It is traded on the curve, and what
            that costs over the index is given back as margin.
        """
        book, price_wad = self.setup.identity.book, self.index.read(at=at).price_wad
        size = -round(self.venue.account(book).size * share)
        if size == 0:
            return 0
        limit = ANY_PRICE if size > 0 else 0
        paid = self.venue.trade(book, PERPETUAL, size, limit, at=at)
        over = paid - size * price_wad // self.divisor
        if over > 0:
            self.venue.deposit(book, 0, over, at=at)
        return size


def between(now: MarketHour, then: MarketHour, share: float) -> MarketHour:
    """Return prices a share of the way from one hour to the next, by logs, basis by value."""
    spot = now.spot * (then.spot / now.spot) ** share
    basis = now.basis + share * (then.basis - now.basis)
    return replace(now, spot=spot, perp=spot * (1.0 + basis), funding_rate=None)
