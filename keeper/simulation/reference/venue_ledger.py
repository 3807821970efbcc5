# SPDX-License-Identifier: MIT
"""
What a venue stores: accounts, open interest, funding, claims and loans (`PerpVenue.vy`).

Numbers share storage words on chain, so each must fit 128 signed bits. A call that is refused
leaves nothing behind (`checkpoint`, `restore`), also in pool and fund. Raw asset and quote units,
prices and rates WAD, sizes signed, long positive; time `at` is Unix seconds.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, NamedTuple

from keeper.simulation.reference.curve import Curve
from keeper.simulation.reference.funding import Funding, mean
from keeper.simulation.reference.insurance_fund import InsuranceFund
from keeper.simulation.reference.liquidity_pool import (
    BATCH,
    CLOSED,
    GATED,
    OPEN,
    LiquidityPool,
    Oracle,
)
from keeper.simulation.reference.margin_rules import MarginRules
from keeper.simulation.reference.position import EMPTY, Account
from keeper.simulation.reference.reverted import require, require_half
from keeper.simulation.reference.terms import Terms, check_terms
from keeper.snapshot import ZERO_ADDRESS
from keeper.units import WAD, div_ceil, div_floor, mul_div_down


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


class Waiting(NamedTuple):
    """Losses that wait for deleveraging, and the sizes that failed (`IVenueRecovery.queue`)."""

    quote: int = 0
    size: int = 0


class Window(NamedTuple):
    """What is in a window that drains, as of a time."""

    level: int = 0
    at: int = 0


class Sale(NamedTuple):
    """What the backstop's position is for sale at (`modules/auction.vy`)."""

    premium_wad: int = 0  # at which it came
    since: int = 0  # Unix seconds, from which its discount grows

    @property
    def word(self) -> int:
        """As it is stored, in half a word."""
        return self.premium_wad << 40 | self.since

    def changed(self, before: int, after: int, now_wad: int, at: int) -> Sale:
        """Return the mean premium of what is left, and a wait that any change shortens."""
        if before * after <= 0:
            return Sale(now_wad, at)
        kept, size = abs(before), abs(after)
        waited = min(at - self.since, AUCTION_SECS)
        waited = mul_div_down(waited, min(kept, size), max(kept, size))
        if size <= kept:
            return Sale(self.premium_wad, at - waited)
        summed = self.premium_wad * kept + now_wad * (size - kept)
        return Sale(div_ceil(summed, size), at - waited)


class Batch(NamedTuple):
    """A batch of deleveraging as it stands (`IDeleverager.Batch`)."""

    cause: int = 0
    side: int = 0
    price_wad: int = 0
    loss: int = 0
    failed: int = 0
    wanted: int = 0
    open_interest: int = 0
    listed: int = 0
    insolvent: int = 0
    taking: bool = False
    kept_size: int = 0
    kept_equity: int = 0
    last_owner: str = ZERO_ADDRESS
    last_size: int = 0
    last_equity: int = 0
    chunks: int = 0
    chunks_cut: int = 0
    carry: int = 0
    left: int = 0
    given_up: int = 0
    deadline: int = 0


class Payout(NamedTuple):
    """What claims of one rank are paid after the end (`IVenueWindUp.Payout`)."""

    claims: int = 0
    quote: int = 0
    assets: int = 0


YEAR = 365 * 86_400  # seconds
AUCTION_SECS = 3_600  # until the backstop's discount is at its cap
NUMBERS = {  # what a refused call must restore, and what it is at the start
    "longs": 0,
    "shorts": 0,
    "long_index_wad": 0,
    "short_index_wad": 0,
    "open_cost": 0,
    "mean_premium_wad": 0,
    "accrued_at": 0,
    "price_wad": 0,
    "stage": OPEN,
    "priceless": False,  # no priced call since the price was missed
    "pool_claim": 0,
    "fund_claim": 0,
    "debt": 0,
    "pool_assets": 0,
    "loan_times": 0,
    "quote_held": 0,
    "failed_longs": Waiting(),
    "failed_shorts": Waiting(),
    "gated_until": 0,
    "liquidated": Window(),
    "realised": Window(),
    "unwound_at": 0,
    "batch": Batch(),
    "batch_after": 0,
    "flagged": Window(),
    "profits_of_all": 0,
    "payouts": (Payout(), Payout()),
    "claims_fixed": False,
}
stored_numbers = attrgetter(*NUMBERS)


class VenueLedger:
    """
    The storage of one venue, empty at time `at`.

    Parameters
    ----------
    terms : Terms
        Refused as the contract refuses them.
    oracle : Oracle
        The index price; `PriceOracle`, or anything with ``read(at=)``.
    pool : LiquidityPool
        The other side; its address is the key of the backstop account.
    fund : InsuranceFund
        First-loss capital.
    at : int
        Unix seconds of the deployment.
    address : str
        How the venue is named in calls to pool and fund.
    """

    longs: int
    shorts: int
    long_index_wad: int
    short_index_wad: int
    open_cost: int
    mean_premium_wad: int
    accrued_at: int
    price_wad: int
    stage: int
    priceless: bool
    pool_claim: int
    fund_claim: int
    debt: int
    pool_assets: int
    loan_times: int
    quote_held: int
    failed_longs: Waiting
    failed_shorts: Waiting
    gated_until: int
    liquidated: Window
    realised: Window
    unwound_at: int
    batch: Batch
    batch_after: int
    flagged: Window
    profits_of_all: int
    payouts: tuple[Payout, Payout]
    claims_fixed: bool

    def __init__(
        self,
        terms: Terms,
        oracle: Oracle,
        pool: LiquidityPool,
        fund: InsuranceFund,
        *,
        at: int,
        address: str = "venue",
    ) -> None:
        check_terms(terms)
        self.terms = terms
        self.oracle = oracle
        self.pool = pool
        self.fund = fund
        self.address = address
        self.MAX_PRICE = min(2**119, 2**251 // terms.skew_scale**2)
        self.MAX_ASSETS = 2**250 // (self.MAX_PRICE * WAD)
        self.curve = Curve(terms, pool.price_divisor)
        self.funding = Funding(terms)
        self.margins = MarginRules(self.curve, terms)
        self._accounts: dict[str, Account] = {}
        self._touched: dict[str, Account] = {}  # by the call now running, as they were
        self.chunks: dict[int, tuple[str, ...]] = {}  # of the batch that runs
        self.profits: dict[str, int] = {}
        self.released: set[str] = set()
        self.__dict__.update(NUMBERS, accrued_at=at)

    # Undoing a refused call

    def checkpoint(self) -> tuple[Any, ...]:
        """Return what `restore` needs, pool and fund included; maps of claims change last."""
        self._touched = {}
        pool, fund = self.pool, self.fund.checkpoint(self.address)
        outside = pool.quote_held, pool.assets_held, pool.total_shares, fund
        return stored_numbers(self), outside

    def restore(self, saved: tuple[Any, ...]) -> None:
        """Become, with pool and fund, what the venue was at the checkpoint."""
        numbers, outside = saved
        self.__dict__.update(zip(NUMBERS, numbers, strict=True))
        pool = self.pool
        pool.quote_held, pool.assets_held, pool.total_shares, fund = outside
        self.fund.restore(self.address, fund)
        self._accounts.update(self._touched)

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

    def queue(self, long: bool) -> Waiting:
        """Return losses that wait for deleveraging, by side of the failed positions."""
        return self.failed_longs if long else self.failed_shorts

    def stage_now(self, *, at: int) -> int:
        """Return 0 open, 1 withdrawals wait for deleveraging, 2 a batch runs, 3 wound up."""
        return OPEN if self.stage == GATED and not self._gated(at) else self.stage

    @property
    def skew(self) -> int:
        """K, the sum of all signed sizes."""
        return self.longs - self.shorts

    @property
    def exposure(self) -> int:
        """Net size of all but the backstop: the pool is the other side of it."""
        return self.skew - self.account(self.pool.address).size

    @property
    def owners(self) -> tuple[str, ...]:
        """All who ever had an account, the backstop included once it took a position."""
        return tuple(self._accounts)

    # Funding

    def _accrue(self, price_wad: int, at: int) -> None:
        """Bring funding and mean premium to now; a price of zero keeps the price."""
        require(self.stage != BATCH, "venue: deleveraging runs")
        if self.stage == CLOSED:
            require(price_wad == 0, "venue: wound up")
            return
        price_after = price_wad or self.price_wad
        priceless = self.priceless and price_wad == 0
        same = price_after == self.price_wad and priceless == self.priceless
        if at == self.accrued_at and same:
            return
        indices = self._indices_now(at)
        mean_wad = self._mean_premium(at)
        self.open_cost = self._open_cost_now(indices)
        self.long_index_wad, self.short_index_wad = indices
        self.mean_premium_wad = mean_wad
        self.accrued_at = at
        self.price_wad = price_after
        self.priceless = priceless

    def _gated(self, at: int) -> bool:
        return self.stage == GATED and at < self.gated_until

    def _now(self, at: int) -> int:
        """Return the time, which stands still while a batch runs and after the end."""
        return self.accrued_at if self.stage >= BATCH else at

    def _elapsed(self, at: int) -> int:
        elapsed = self._now(at) - self.accrued_at
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

    def _interest(self, account: Account, at: int) -> int:
        """Return interest on a negative balance since its last settlement, up."""
        if account.quote >= 0:
            return 0
        secs = self._now(at) - account.settled_at
        return div_ceil(-account.quote * self.terms.loan_rate_wad * secs, YEAR * WAD)

    def _account_now(self, owner: str, at: int) -> Account:
        """Return the account as a settlement at this second would leave it."""
        account = self.account(owner)
        owed = owed_by(account, self._indices_now(at))
        paid = self._interest(account, at)
        if owed:
            paid += div_ceil(owed, self.curve.price_divisor)
        return account._replace(quote=account.quote - paid) if paid else account

    def _settled(self, owner: str, at: int) -> tuple[Account, int]:
        """Return the account with funding and interest paid, and what it paid."""
        account = self.account(owner)
        exact = owed_by(account, self._indices())
        paid = self._interest(account, at)
        if exact:
            self.open_cost -= exact
            if owner == self.pool.address:  # the backstop is the pool's: it pays itself
                return account._replace(funding_index_wad=self._index(account.size)), 0
            paid += div_ceil(exact, self.curve.price_divisor)
        if paid:
            self._claim(paid, 0)
        assets, quote, size, entry, _, settled_at = account
        return Account(assets, quote - paid, size, entry, self._index(size), settled_at), paid

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

    def _store(self, owner: str, account: Account, at: int) -> None:
        """Write a settled account; the sums of loans follow its quote."""
        before = self.account(owner)
        require_half(account.quote)
        require_half(account.assets)
        require_half(account.entry)
        now = self._now(at) if account.quote < 0 else 0
        if before.quote < 0 or account.quote < 0:
            debt_before, debt = -min(before.quote, 0), -min(account.quote, 0)
            self._lend(debt - debt_before, 0)
            self.loan_times += debt * now - debt_before * before.settled_at
        self._touched.setdefault(owner, before)
        if account.settled_at != now:
            account = account._replace(settled_at=now)
        self._accounts[owner] = account

    def _store_backstop(self, before: Account, after: Account, at: int) -> None:
        """Write the backstop, after whoever its size came from or went to."""
        self._resize(before.size, after.size, after.entry - before.entry)
        premium_wad = self._premium_towards(after.size, at)
        sale = self.sale.changed(before.size, after.size, premium_wad, at)
        after = after._replace(
            funding_index_wad=self._index(after.size),
            settled_at=sale.word,  # it has no debts to be settled
        )
        require_half(after.entry)
        self._touched.setdefault(self.pool.address, self.account(self.pool.address))
        self._accounts[self.pool.address] = after

    @property
    def sale(self) -> Sale:
        """What the backstop's position is sold at, stored in its account."""
        stored = self.account(self.pool.address).settled_at
        return Sale(stored >> 40, stored & (2**40 - 1))

    def _premium_towards(self, size: int, at: int) -> int:
        """Return the more of premium and mean on the side of the size, never under zero."""
        side = 1 if size > 0 else -1
        return max(0, side * self.curve.premium(self.skew), side * self._mean_premium(at))

    # The pool's side

    def _pool_value(self, price_wad: int, indices: tuple[int, int], at: int) -> int:
        """Return claim + interest + asset tokens - what everybody else would get at closing."""
        if self.stage == CLOSED:
            return 0
        divisor = self.curve.price_divisor
        stop = self.account(self.pool.address)
        others_cost = self._open_cost_now(indices) - stop.entry * divisor
        others_cost -= owed_by(stop, indices)
        return (
            self.pool_claim
            + self._interest_of_all(at)
            + self.margins.value_down(self.pool_assets, price_wad)
            - self.curve.closing_value(self.skew, stop.size, price_wad)
            + div_floor(others_cost, divisor)
        )

    def _interest_of_all(self, at: int) -> int:
        """Return interest that has not been paid yet, down."""
        owed = self.debt * self._now(at) - self.loan_times
        return div_floor(self.terms.loan_rate_wad * owed, YEAR * WAD)

    def _pool_equity(self, price_wad: int, indices: tuple[int, int], at: int) -> int:
        quote, assets = self.pool.holdings()
        inventory = self.margins.value_down(assets, price_wad)
        return quote + inventory + self._pool_value(price_wad, indices, at)

    def _equity_required(self, size: int, price_wad: int) -> int:
        """Return size * S / skew share, quote, up."""
        needed = size * price_wad * WAD
        return div_ceil(needed, self.curve.price_divisor * self.terms.skew_share_wad)

    # Price, tokens, insurance

    def _read_price(self, at: int) -> int:
        price_wad = self.oracle.read(at=at).price_wad
        require(price_wad <= self.MAX_PRICE, "venue: price out of range")
        return price_wad

    def _draw(self, wanted: int) -> int:
        """Return quote that the pool sends, as much of `wanted` as it has."""
        pulled = self.pool.pay(self.address, wanted)
        self.quote_held += pulled
        self._claim(pulled, 0)
        return pulled

    def _covered(self, wanted: int) -> int:
        """Return what insurance pays: first its own claim here, then from the fund."""
        if wanted == 0:
            return 0
        own = min(wanted, self.fund_claim)
        drawn = 0
        if wanted > own:
            drawn = self.fund.cover(self.address, wanted - own)
            self.quote_held += drawn
        self._claim(own + drawn, -own)
        return own + drawn


def owed_by(account: Account, indices: tuple[int, int]) -> int:
    """Return funding that the account has not paid yet, times PRICE_DIVISOR."""
    size = account.size
    if size == 0:
        return 0
    if size > 0:
        return size * (indices[0] - account.funding_index_wad)
    return -size * (indices[1] - account.funding_index_wad)
