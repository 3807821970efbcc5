# SPDX-License-Identifier: MIT
"""
Failing accounts and their debts (`VenueRecovery.vy`).

A liquidation moves size to the backstop, the pool's own account, at S * (1 -+ penalty). Losses are
borne by the account's quote, its asset margin, the fund and then the pool, which queues them for
deleveraging. Raw asset and quote units, prices and rates WAD, sizes signed, long positive.
"""

from __future__ import annotations

from keeper.simulation.reference.deleverager import Deleverager
from keeper.simulation.reference.insurance_fund import InsuranceFund
from keeper.simulation.reference.liquidation_rules import LiquidationRules, Outcome
from keeper.simulation.reference.liquidity_pool import CLOSED, GATED, LiquidityPool, Oracle
from keeper.simulation.reference.position import Account
from keeper.simulation.reference.reverted import atomic, require
from keeper.simulation.reference.terms import Terms
from keeper.simulation.reference.venue_ledger import Waiting, Window
from keeper.units import BPS, WAD, div_floor, mul_div_down, mul_div_up, positive_part

DAY = 86_400  # seconds
WINDOW = 600  # seconds, in which the flow of liquidations drains
GATE_SECS = 3_600  # withdrawals wait no longer than this for deleveraging
DUST_BPS = 1  # of open interest


class VenueRecovery(Deleverager):
    """What a venue does when accounts fail."""

    def __init__(
        self,
        terms: Terms,
        oracle: Oracle,
        pool: LiquidityPool,
        fund: InsuranceFund,
        *,
        at: int,
        address: str = "venue",
        gas_divisor: int = 10**30,
    ) -> None:
        super().__init__(terms, oracle, pool, fund, at=at, address=address)
        self.rules = LiquidationRules(self.margins, terms, gas_divisor)

    # Calls

    @atomic
    def liquidate(self, sender: str, account: str, *, at: int) -> int:
        """Let the backstop take what must be taken; return the size, sign of the position."""
        require(account != self.pool.address, "venue: backstop account")
        price_wad = self._read_price(at)
        self._accrue(price_wad, at)
        failed = self._settled(account, at)[0]
        stop = self._settled(self.pool.address, at)[0]
        done = self.rules.outcome(failed, stop, price_wad)
        if done.equity_before > 0:
            self._pace(abs(done.size), at)
        self._store_outcome(account, failed, stop, done, at)
        covered = self._covered(done.loss + done.reward_unpaid)
        bonus = min(covered, done.reward_unpaid)
        deficit = done.loss - (covered - bonus)
        self._book_failure(done, failed.quote, bonus)
        self._credit(sender, done.reward + bonus, at)
        if deficit > 0:
            self._queue(done.size, deficit, price_wad, at)
        return done.size

    @atomic
    def settle_debt(self, sender: str, account: str, *, at: int) -> int:
        """Sell asset margin to the pool until the account owes nothing; return assets sold."""
        price_wad = self._read_price(at)
        self._accrue(price_wad, at)
        before = self._settled(account, at)[0]
        debt, sold_at = positive_part(-before.quote), WAD - self.terms.discount_wad
        require(debt > 0 and before.assets > 0, "venue: nothing to settle")
        share = self.terms.loan_share_wad
        backed = self.margins.share_down(before.assets, price_wad, share)
        require(sender == account or debt > backed, "venue: debt is backed")
        sold = min(before.assets, self.margins.assets_for(debt, price_wad, sold_at))
        brought = self.margins.share_down(sold, price_wad, sold_at)
        self._lend(0, sold)
        self._claim(-brought, 0)
        after = before._replace(assets=before.assets - sold, quote=before.quote + brought)
        self._store(account, after, at)
        return sold

    @atomic
    def realise(self, sender: str, *, at: int) -> int:
        """Turn the caller's profit at the worse of index and closing fill into quote."""
        price_wad = self._read_price(at)
        self._accrue(price_wad, at)
        before = self._settled(sender, at)[0]
        index_value = self.margins.value_down(before.size, price_wad)
        closing_value = -self.curve.cost(self.skew, -before.size, price_wad)
        profit = positive_part(min(index_value, closing_value) - before.entry)
        require(profit > 0, "venue: no profit")
        quote = self._within_rate(min(profit, self._payable()), price_wad, at)
        require(quote > 0, "venue: no profit payable now")
        after = before._replace(quote=before.quote + quote, entry=before.entry + quote)
        self._resize(before.size, after.size, quote)
        self._claim(-quote, 0)
        self._store(sender, after, at)
        return quote

    @atomic
    def settle(self, *, at: int) -> None:  # noqa: ARG002 - a call like the others
        """Move tokens between venue and pool until the venue holds what accounts may take."""
        if self.stage == CLOSED:
            require(self.claims_fixed, "venue: wound up")
            return
        assets = self.pool_assets
        surplus = self.pool_claim - self.debt
        sent = positive_part(surplus)
        if surplus < 0:
            self._draw(-surplus)
        self._claim(-sent, 0)
        self.quote_held -= sent
        self.pool_assets = 0
        self.pool.book(self.address, sent, assets)

    @atomic
    def pay_fund(self, sender: str) -> int:
        """Hand the insurance fund the quote that is its own, and return it. The fund only."""
        require(sender == self.fund.address, "venue: not the fund")
        require(self.stage != CLOSED or self.claims_fixed, "venue: wound up")
        if self.fund_claim > self.quote_held:  # lent out: the pool sends what it can
            self._draw(self.fund_claim - self.quote_held)
        paid = min(self.fund_claim, self.quote_held)
        self._claim(0, -paid)
        self.quote_held -= paid
        return paid

    # Views

    def liquidation(self, account: str, price_wad: int, *, at: int) -> tuple[bool, int, int]:
        """Return whether the account fails, the size that would be taken, the reward asked."""
        if account == self.pool.address:
            return False, 0, 0
        return self.rules.assess(self._account_now(account, at), price_wad)

    # Internals

    def _pace(self, size: int, at: int) -> None:
        flow = self.terms.liquidation_flow
        level = drained(self.liquidated, flow, WINDOW, at)
        require(level < flow, "venue: liquidations are paced")
        self.liquidated = Window(level + size, at)

    def _store_outcome(
        self, owner: str, failed: Account, stop: Account, done: Outcome, at: int
    ) -> None:
        """Move the position from the failed account to the backstop."""
        self._resize(failed.size, done.size_after, done.entry_after - failed.entry)
        left = failed._replace(
            assets=failed.assets - done.assets_sold,
            quote=done.quote_after,
            size=done.size_after,
            entry=done.entry_after,
            funding_index_wad=self._index(done.size_after),
        )
        self._store(owner, left, at)
        grown = stop._replace(size=done.backstop_size_after, entry=done.backstop_entry_after)
        self._store_backstop(stop, grown, at)

    def _book_failure(self, done: Outcome, quote_before: int, bonus: int) -> None:
        """Book to the pool what the others did not get."""
        self._lend(0, done.assets_sold)
        others = done.reward + bonus + done.fund_penalty
        self._claim(quote_before - done.quote_after - others, done.fund_penalty)

    def _credit(self, owner: str, quote: int, at: int) -> None:
        """Add to a balance; only one in debt has to be settled for it."""
        account = self.account(owner)
        if account.quote >= 0:
            self._touched.setdefault(owner, account)
            self._accounts[owner] = account._replace(quote=account.quote + quote)
            return
        account = self._settled(owner, at)[0]
        self._store(owner, account._replace(quote=account.quote + quote), at)

    def _queue(self, size: int, deficit: int, price_wad: int, at: int) -> None:
        """Queue a loss; one, or a sum, that is no dust beside open interest gates withdrawals."""
        before = self.queue(size > 0)
        waiting = Waiting(before.quote + deficit, before.size + abs(size))
        if size > 0:
            self.failed_longs = waiting
        else:
            self.failed_shorts = waiting
        notional = self.margins.value_up(self.longs + self.shorts, price_wad)
        least = mul_div_up(notional, DUST_BPS, BPS)
        if deficit >= least or before.quote < least <= before.quote + deficit:
            self.gated_until = at + GATE_SECS
            self.stage, self.priceless = GATED, False

    def _payable(self) -> int:
        """Return quote that the pool has here and there beyond what it lent."""
        return positive_part(self.pool_claim - self.debt + self.pool.quote_held)

    def _within_rate(self, quote: int, price_wad: int, at: int) -> int:
        """Return as much of `quote` as a day's window has room for, and put it there."""
        equity = positive_part(self._pool_equity(price_wad, self._indices(), at))
        width = mul_div_down(equity, self.terms.realise_share_wad, WAD)
        level = drained(self.realised, width, DAY, at)
        taken = min(quote, positive_part(width - level))
        self.realised = Window(level + taken, at)
        return taken


def drained(window: Window, flow: int, period: int, at: int) -> int:
    """Return what is left in a window that drains by `flow` in `period` seconds, up."""
    secs = min(at - window.at, period)
    return positive_part(window.level - div_floor(flow * secs, period))
