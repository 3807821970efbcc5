# SPDX-License-Identifier: MIT
"""
What a venue stores: accounts, open interest, funding, claims and loans (`PerpVenue.vy`).

Numbers share storage words on chain, so each must fit 128 signed bits. A call that is refused
leaves nothing behind (`checkpoint`, `restore`), also in pool and fund. Raw asset and quote units,
prices and rates WAD, sizes signed, long positive; time `at` is Unix seconds.
"""

from __future__ import annotations

from typing import NamedTuple

from keeper.simulation.reference.curve import Curve
from keeper.simulation.reference.funding import Funding, mean
from keeper.simulation.reference.insurance_fund import InsuranceFund
from keeper.simulation.reference.liquidity_pool import LiquidityPool
from keeper.simulation.reference.position import EMPTY, Account
from keeper.simulation.reference.reverted import require_half
from keeper.simulation.reference.terms import Terms, check_terms
from keeper.units import div_ceil


class MarketState(NamedTuple):
    """The market as stored, funding as of its last touch (`IPerpVenue.MarketState`)."""

    long_size: int
    short_size: int
    long_index_wad: int
    short_index_wad: int
    open_cost: int  # (sum of entries + funding not yet settled) * PRICE_DIVISOR
    price_wad: int
    accrued_at: int
    mean_premium_wad: int
    pool_claim: int
    fund_claim: int


class Reserves(NamedTuple):
    """What the venue holds and has lent (`IPerpVenue.Reserves`)."""

    quote_held: int
    debt: int
    pool_assets: int


class Shortfall(NamedTuple):
    """Losses borne by the pool (`IPerpVenue.Shortfall`)."""

    quote: int = 0
    size: int = 0


class VenueLedger:
    """The storage of one venue, empty at time `at`."""

    __slots__ = (
        "_accounts",
        "_touched",
        "accrued_at",
        "address",
        "curve",
        "debt",
        "fund",
        "fund_claim",
        "funding",
        "long_index_wad",
        "longs",
        "mean_premium_wad",
        "open_cost",
        "pool",
        "pool_assets",
        "pool_claim",
        "price_wad",
        "quote_held",
        "short_index_wad",
        "shortfalls",
        "shorts",
        "terms",
    )

    def __init__(
        self, terms: Terms, pool: LiquidityPool, fund: InsuranceFund, *, at: int, address: str
    ) -> None:
        check_terms(terms)
        self.terms = terms
        self.pool = pool
        self.fund = fund
        self.address = address
        self.curve = Curve(terms, pool.price_divisor)
        self.funding = Funding(terms)
        self._accounts: dict[str, Account] = {}
        self._touched: dict[str, Account] = {}  # by the call now running, as they were
        self.shortfalls: dict[bool, Shortfall] = {True: Shortfall(), False: Shortfall()}
        self.restore((0, 0, 0, 0, 0, 0, at, 0, 0, 0, 0, 0, 0, *self._outside()))

    # Undoing a refused call

    def checkpoint(self) -> tuple[int, ...]:
        """Return what `restore` needs; shortfalls change last and need not be restored."""
        self._touched = {}
        return (
            self.longs,
            self.shorts,
            self.long_index_wad,
            self.short_index_wad,
            self.open_cost,
            self.mean_premium_wad,
            self.accrued_at,
            self.price_wad,
            self.pool_claim,
            self.fund_claim,
            self.debt,
            self.pool_assets,
            self.quote_held,
            *self._outside(),
        )

    def restore(self, saved: tuple[int, ...]) -> None:
        """Become, with pool and fund, what the venue was at the checkpoint."""
        (
            self.longs,
            self.shorts,
            self.long_index_wad,
            self.short_index_wad,
            self.open_cost,
            self.mean_premium_wad,
            self.accrued_at,
            self.price_wad,
            self.pool_claim,
            self.fund_claim,
            self.debt,
            self.pool_assets,
            self.quote_held,
            self.pool.quote_held,
            self.pool.assets_held,
            self.pool.total_shares,
            *fund,
        ) = saved
        self.fund.restore(self.address, fund)
        self._accounts.update(self._touched)

    def _outside(self) -> tuple[int, ...]:
        pool = self.pool
        fund = self.fund.checkpoint(self.address)
        return pool.quote_held, pool.assets_held, pool.total_shares, *fund

    # Views

    def account(self, owner: str) -> Account:
        """Return the account as stored, funding as of its last touch."""
        return self._accounts.get(owner, EMPTY)

    def state(self) -> MarketState:
        """Return the market as stored, funding as of its last touch."""
        return MarketState(
            long_size=self.longs,
            short_size=self.shorts,
            long_index_wad=self.long_index_wad,
            short_index_wad=self.short_index_wad,
            open_cost=self.open_cost,
            price_wad=self.price_wad,
            accrued_at=self.accrued_at,
            mean_premium_wad=self.mean_premium_wad,
            pool_claim=self.pool_claim,
            fund_claim=self.fund_claim,
        )

    def reserves(self) -> Reserves:
        """Return tokens here, loans, and asset tokens here that are the pool's."""
        return Reserves(self.quote_held, self.debt, self.pool_assets)

    def shortfall(self, long: bool) -> Shortfall:
        """Return losses borne by the pool, by side of the failed positions."""
        return self.shortfalls[long]

    @property
    def skew(self) -> int:
        """K, the sum of all signed sizes."""
        return self.longs - self.shorts

    @property
    def owners(self) -> tuple[str, ...]:
        """All who ever had an account, the backstop included once it took a position."""
        return tuple(self._accounts)

    # Funding

    def _accrue(self, price_wad: int, at: int) -> None:
        """Bring funding and mean premium to now; a price of zero keeps the price."""
        price_after = price_wad or self.price_wad
        if at == self.accrued_at and price_after == self.price_wad:
            return
        indices = self._indices_now(at)
        mean_wad = self._mean_premium(at)
        self.open_cost = self._open_cost_now(indices)
        self.long_index_wad, self.short_index_wad = indices
        self.mean_premium_wad = mean_wad
        self.accrued_at = at
        self.price_wad = price_after

    def _elapsed(self, at: int) -> int:
        elapsed = at - self.accrued_at
        if elapsed < 0:
            raise ValueError(f"expected a time from {self.accrued_at} on, was {at}")
        return elapsed

    def _indices(self) -> tuple[int, int]:
        """Return the funding indices as stored, long and short."""
        return self.long_index_wad, self.short_index_wad

    def _indices_now(self, at: int) -> tuple[int, int]:
        """Return the funding indices accrued to this second, long and short."""
        elapsed = self._elapsed(at)
        if elapsed == 0:
            return self.long_index_wad, self.short_index_wad
        premium_wad = self.curve.premium(self.skew)
        longs, shorts = self.funding.owed(
            premium_wad, self.longs, self.shorts, self.price_wad, elapsed
        )
        longs += self.long_index_wad
        shorts += self.short_index_wad
        require_half(longs)
        require_half(shorts)
        return longs, shorts

    def _index(self, size: int) -> int:
        """Return the stored funding index of the side, zero without a position."""
        if size == 0:
            return 0
        return self.long_index_wad if size > 0 else self.short_index_wad

    def _open_cost_now(self, indices: tuple[int, int]) -> int:
        long_growth = indices[0] - self.long_index_wad
        short_growth = indices[1] - self.short_index_wad
        return self.open_cost + self.longs * long_growth + self.shorts * short_growth

    def _mean_premium(self, at: int) -> int:
        premium_wad = self.curve.premium(self.skew)
        return mean(self.mean_premium_wad, premium_wad, self._elapsed(at))

    def _account_now(self, owner: str, at: int) -> Account:
        """Return the account as a settlement at this second would leave it."""
        account = self.account(owner)
        owed = owed_by(account, self._indices_now(at))
        if owed == 0:
            return account
        return account._replace(quote=account.quote - div_ceil(owed, self.curve.price_divisor))

    def _settled(self, owner: str) -> tuple[Account, int]:
        """Return the account with its funding paid, and what it paid; the backstop pays itself."""
        account = self.account(owner)
        exact = owed_by(account, self._indices())
        if exact == 0:
            return account._replace(funding_index_wad=self._index(account.size)), 0
        self.open_cost -= exact
        index_wad = self._index(account.size)
        if owner == self.pool.address:
            return account._replace(funding_index_wad=index_wad), 0
        owed = div_ceil(exact, self.curve.price_divisor)
        self._claim(owed, 0)
        return account._replace(quote=account.quote - owed, funding_index_wad=index_wad), owed

    # Storage

    def _resize(self, size_before: int, size_after: int, entry_change: int) -> None:
        """Let open interest and open cost follow an account's size and entry."""
        self.longs += max(size_after, 0) - max(size_before, 0)
        self.shorts += max(-size_after, 0) - max(-size_before, 0)
        self.open_cost += entry_change * self.curve.price_divisor

    def _claim(self, pool_change: int, fund_change: int) -> None:
        self.pool_claim += pool_change
        self.fund_claim += fund_change
        require_half(self.pool_claim)
        require_half(self.fund_claim)

    def _lend(self, debt_change: int, pool_assets_change: int) -> None:
        self.debt += debt_change
        self.pool_assets += pool_assets_change
        require_half(self.debt)
        require_half(self.pool_assets)

    def _store(self, owner: str, account: Account) -> None:
        """Write an account; the sum of loans follows its quote."""
        before = self.account(owner)
        require_half(account.quote)
        require_half(account.assets)
        require_half(account.entry)
        if before.quote < 0 or account.quote < 0:
            self._lend(min(before.quote, 0) - min(account.quote, 0), 0)
        self._touched.setdefault(owner, before)
        self._accounts[owner] = account


def owed_by(account: Account, indices: tuple[int, int]) -> int:
    """Return funding that the account has not paid yet, times PRICE_DIVISOR."""
    size = account.size
    if size == 0:
        return 0
    if size > 0:
        return size * (indices[0] - account.funding_index_wad)
    return -size * (indices[1] - account.funding_index_wad)
