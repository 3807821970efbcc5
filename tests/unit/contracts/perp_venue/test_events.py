# SPDX-License-Identifier: MIT
"""Folding the events from deployment rebuilds every account, the sums and the ledgers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keeper.simulation.reference.venue_ledger import Sale
from keeper.units import div_ceil
from tests.venue_world import WAD, World, world

YEAR = 365 * 86_400  # seconds


@dataclass
class Account:
    """Margin and position of one account."""

    assets: int = 0
    quote: int = 0
    size: int = 0
    entry: int = 0
    index: int = 0  # funding index of its side at the last settlement
    settled_at: int = 0  # if it was in debt then


class Fold:
    """The venue as its events tell it."""

    def __init__(self, divisor: int, pool: str, loan_rate: int, skew_scale: int) -> None:
        self.divisor, self.skew_scale = divisor, skew_scale
        self.loan_rate = loan_rate
        self.accounts: dict[str, Account] = {pool: Account()}
        self.pool = pool
        self.longs = self.shorts = self.long_index = self.short_index = 0
        self.price = self.at = self.mean = 0
        self.pool_claim = self.fund_claim = self.pool_assets = self.held = 0
        self.sale = Sale()

    def index(self, size: int) -> int:
        return 0 if size == 0 else self.long_index if size > 0 else self.short_index

    def resize(self, account: Account, size: int, entry: int) -> None:
        self.longs += max(size, 0) - max(account.size, 0)
        self.shorts += max(-size, 0) - max(-account.size, 0)
        account.size, account.entry, account.index = size, entry, self.index(size)

    def resize_backstop(self, size: int, entry: int) -> None:
        stop, side = self.accounts[self.pool], 1 if size > 0 else -1
        before = stop.size
        self.resize(stop, size, entry)
        premium = (self.longs - self.shorts) * WAD // self.skew_scale
        towards = max(0, side * premium, side * self.mean)
        self.sale = self.sale.changed(before, size, towards, self.at)

    def settle(self, account: Account, funding: int) -> None:
        owed = abs(account.size) * (self.index(account.size) - account.index)
        debt, secs = -min(account.quote, 0), self.at - account.settled_at
        interest = div_ceil(debt * self.loan_rate * secs, YEAR * WAD)
        assert funding == div_ceil(owed, self.divisor) + interest
        account.index, account.settled_at = self.index(account.size), self.at
        self.pool_claim += funding

    def apply(self, event: Any) -> None:
        getattr(self, type(event).__name__, lambda _: None)(event)

    def FundingAccrued(self, e: Any) -> None:  # noqa: N802 (the event's name)
        assert e.price_before_wad == self.price
        self.price, self.at, self.mean = (
            e.price_after_wad,
            e.accrued_at,
            e.mean_premium_after_wad,
        )
        self.long_index, self.short_index = e.long_index_after_wad, e.short_index_after_wad

    def MarginDeposited(self, e: Any) -> None:  # noqa: N802
        account = self.accounts.setdefault(e.account, Account())
        self.settle(account, e.funding)
        assert account.quote - e.funding == e.quote_before
        account.assets += e.assets
        account.quote = e.quote_after
        self.held += e.quote
        assert (account.assets, account.quote) == (e.assets_after, e.quote_before + e.quote)

    def MarginWithdrawn(self, e: Any) -> None:  # noqa: N802
        account = self.accounts[e.account]
        self.settle(account, e.funding)
        account.assets, account.quote = e.assets_after, e.quote_after
        self.pool_claim += e.pulled
        self.held += e.pulled - e.quote

    def Traded(self, e: Any) -> None:  # noqa: N802
        account = self.accounts[e.account]
        self.settle(account, e.funding)
        assert (account.size, account.entry) == (e.size_before, e.entry_before)
        assert e.price_wad == self.price
        self.resize(account, e.size_after, e.entry_after)
        account.quote = e.quote_after
        self.fund_claim += e.fund_fee
        self.pool_claim += e.quote_before - e.quote_after - e.fund_fee

    def AccountLiquidated(self, e: Any) -> None:  # noqa: N802
        account, out = self.accounts[e.account], e.outcome
        self.settle(account, e.funding)
        drawn = max(0, e.covered - self.fund_claim)
        self.resize(account, out.size_after, out.entry_after)
        self.resize_backstop(out.backstop_size_after, out.backstop_entry_after)
        account.assets -= out.assets_sold
        account.quote = out.quote_after
        self.pool_assets += out.assets_sold
        self.held += drawn
        self.pool_claim, self.fund_claim = e.pool_claim_after, e.fund_claim_after
        liquidator = self.accounts.setdefault(e.liquidator, Account())
        liquidator.quote += e.reward
        assert liquidator.quote == e.liquidator_quote_after

    def BackstopTaken(self, e: Any) -> None:  # noqa: N802
        stop = self.accounts[self.pool]
        assert (stop.size, stop.entry) == (e.backstop_size_before, e.backstop_entry_before)
        self.Traded(e)
        self.resize_backstop(e.backstop_size_after, e.backstop_entry_after)

    def PoolSettled(self, e: Any) -> None:  # noqa: N802
        self.pool_claim, self.held = e.pool_claim_after, e.quote_held_after
        self.pool_assets -= e.assets

    def FundPaid(self, e: Any) -> None:  # noqa: N802
        self.pool_claim, self.fund_claim = e.pool_claim_after, e.fund_claim_after
        self.held = e.quote_held_after


def compare(fold: Fold, w: World) -> None:
    for owner, account in fold.accounts.items():
        assert tuple(w.venue.account(owner)) == (
            account.assets,
            account.quote,
            account.size,
            account.entry,
            account.index,
            fold.sale.word if owner == fold.pool else account.settled_at * (account.quote < 0),
        )
    others = [a for owner, a in fold.accounts.items() if owner != fold.pool]
    open_cost = sum(
        a.entry * fold.divisor + abs(a.size) * (fold.index(a.size) - a.index)
        for a in fold.accounts.values()
    )
    assert tuple(w.venue.state()) == (
        fold.longs,
        fold.shorts,
        fold.long_index,
        fold.short_index,
        open_cost,
        fold.price,
        fold.at,
        fold.mean,
        fold.pool_claim,
        fold.fund_claim,
    )
    debt = sum(max(-a.quote, 0) for a in others)
    assert tuple(w.venue.reserves()) == (fold.held, debt, fold.pool_assets)


def test_events__folded__give_the_state() -> None:
    w = world(insurance=1)
    terms = w.terms
    fold = Fold(w.divisor(), str(w.pool.address), terms["loan_rate_wad"], terms["skew_scale"])
    fold.at = w.venue.state()[6]

    def run(contract: Any, name: str, *arguments: Any, sender: str | None = None) -> None:
        getattr(contract, name)(*arguments, sender=sender or w.owner)
        for event in contract.get_logs(strict=False):
            if getattr(event, "address", None) == w.venue.address:
                fold.apply(event)
        compare(fold, w)

    a, b, c, d = (w.actor(name) for name in "abcd")
    u, q, most = w.assets, w.quotes, 2**256 - 1
    run(w.venue, "deposit", 0, q(16), sender=a)
    run(w.venue, "deposit", u(40), 0, sender=b)
    run(w.venue, "deposit", u(9), q(1), sender=c)
    run(w.venue, "trade", 0, u(100), most, sender=a)
    run(w.venue, "trade", 0, -u(70), 0, sender=b)
    run(w.venue, "trade", 0, u(40), most, sender=c)
    for price in ("0.97", "0.94", "0.93", "0.86", "1.05", "1.6"):
        w.pass_time(7_000)
        w.set_price(price)
        run(w.venue, "accrue")
        for who in (a, b, c):
            if w.venue.liquidation(who, w.price())[0]:
                run(w.venue, "liquidate", who, sender=d)
        w.pass_time(7_000)
        free = w.venue.free_assets(b, w.price(), 0)
        if free > 10:
            run(w.venue, "withdraw", free // 10, 0, b, sender=b)
    assert w.venue.account(w.pool.address)[2] != 0
    held = w.venue.offer().size
    run(w.venue, "deposit", 0, q(500), sender=a)
    w.pass_time(1_000)
    run(w.venue, "take_over", held // 3, most if held > 0 else 0, sender=a)
    run(w.venue, "settle")
    run(w.venue, "deposit", u(50), 0, sender=b)
    run(w.venue, "trade", 0, -u(10), 0, sender=b)
    run(w.venue, "trade", 0, u(25), most, sender=b)
    assert w.venue.account(b)[1] < 0  # a loan, of losses and fees
    run(w.venue, "withdraw", u(3), 0, b, sender=b)
    run(w.fund, "collect", w.venue.address)
    run(w.venue, "withdraw", 0, w.venue.account(d)[1], d, sender=d)
