# SPDX-License-Identifier: MIT
"""
The end of a venue at a frozen price (`VenueWindUp.vy`).

Positions are closed at the price of the last touch. Then claims are paid in ranks: balances,
profits, the insurance fund, the pool; in quote as far as it goes, and in assets for what is
lacking. Every claim of a rank gets the same share, down. Raw asset and quote units, prices WAD.
"""

from __future__ import annotations

from collections.abc import Sequence

from keeper.simulation.reference.liquidity_pool import BATCH, CLOSED
from keeper.simulation.reference.position import EMPTY, Account
from keeper.simulation.reference.reverted import Reverted, atomic, require
from keeper.simulation.reference.venue_ledger import Payout, VenueLedger, Window
from keeper.units import WAD, mul_div_down, positive_part

NO_CAUSE, INSOLVENT, NO_PRICE = range(3)
INSOLVENT_SECS = 3_600
NO_PRICE_SECS = 7 * 86_400


class VenueWindUp(VenueLedger):
    """The end of a venue."""

    # Calls

    @atomic
    def wind_up(self, *, at: int) -> bool:
        """End the venue when its cause has lasted; return whether it is wound up now."""
        require(self.stage != CLOSED, "venue: wound up")
        require(self.stage != BATCH, "venue: deleveraging runs")
        cause = self._cause(at)
        if cause != self.flagged.level:
            self.flagged = Window(cause, at)
            return False
        needed = INSOLVENT_SECS if cause == INSOLVENT else NO_PRICE_SECS
        if cause == NO_CAUSE or at - self.flagged.at < needed:
            return False
        self.stage = CLOSED
        quote, assets = self.pool.hand_over(self.address)
        self.quote_held += quote
        self._claim(quote, 0)
        self._lend(0, assets)
        return True

    @atomic
    def close(self, accounts: Sequence[str], *, at: int) -> None:
        """Close positions at the frozen price and settle debts."""
        require(self._closing(), "venue: not winding up")
        for account in accounts:
            self._close(account, at)

    @atomic
    def fix_claims(self, *, at: int) -> None:
        """Fix what each claim is worth, when all accounts are closed."""
        require(self._closing(), "venue: not winding up")
        stop = self.account(self.pool.address)
        closed = self.longs + self.shorts == abs(stop.size) and self.debt == 0
        require(closed, "venue: accounts are open")
        self._settled(self.pool.address, at)
        self._resize(stop.size, 0, -stop.entry)
        self._store(self.pool.address, EMPTY, at)
        quote, assets = self.quote_held, self.pool_assets
        balances = self._paid(quote - self.pool_claim - self.fund_claim, quote, assets)
        quote, assets = quote - balances.quote, assets - balances.assets
        profits = self._paid(self.profits_of_all, quote, assets)
        quote, assets = quote - profits.quote, assets - profits.assets
        fund_after = min(self.fund_claim, quote)
        quote -= fund_after
        lost = self.fund_claim - fund_after
        self._claim(lost - quote, -lost)
        self.quote_held -= quote
        self._lend(0, -assets)
        self.payouts = balances, profits
        self.claims_fixed = True
        self.pool.book(self.address, quote, assets)

    @atomic
    def release(self, account: str, *, at: int) -> None:
        """Turn an account's claims into what it can withdraw, once."""
        require(self.claims_fixed, "venue: claims are not fixed")
        require(account not in self.released, "venue: released already")
        before = self.account(account)
        claims = before.quote, self.profits.get(account, 0)
        quote = sum(mul_div_down(c, p.quote, p.claims) for c, p in self._ranked(claims))
        assets = sum(mul_div_down(c, p.assets, p.claims) for c, p in self._ranked(claims))
        self._claim(before.quote - quote, 0)
        self._lend(0, -assets)
        self._store(account, before._replace(quote=quote, assets=before.assets + assets), at)
        self.profits[account] = 0
        self.released.add(account)

    # Internals

    def _cause(self, at: int) -> int:
        """Return why the venue may be wound up now, with funding accrued."""
        try:
            price_wad = self.oracle.read(at=at).price_wad
        except Reverted:
            price_wad = None
        if price_wad is None or price_wad > self.MAX_PRICE:
            self._accrue(0, at)
            return NO_PRICE
        self._accrue(price_wad, at)
        return INSOLVENT if self._index_equity(price_wad, at) < 0 else NO_CAUSE

    def _index_equity(self, price_wad: int, at: int) -> int:
        """Return pool equity with everybody but the backstop closed at the index."""
        stop = self.account(self.pool.address).size
        return (
            self._pool_equity(price_wad, self._indices(), at)
            + self.curve.closing_value(self.skew, stop, price_wad)
            - self.margins.value_up(self.skew - stop, price_wad)
        )

    def _closing(self) -> bool:
        return self.stage == CLOSED and not self.claims_fixed

    def _close(self, owner: str, at: int) -> None:
        if owner == self.pool.address:
            return
        before = self._settled(owner, at)[0]
        if before.size == 0 and before.quote >= 0:
            return
        profit = self.margins.value_down(before.size, self.price_wad) - before.entry
        total = before.quote + profit
        claim = max(0, min(profit, total))
        has, sold = total - claim, 0
        if has < 0:
            sold = min(before.assets, self.margins.assets_for(-has, self.price_wad, WAD))
            has += self.margins.share_down(sold, self.price_wad, WAD)
        after = Account(assets=before.assets - sold, quote=max(has, 0))
        self._resize(before.size, 0, -before.entry)
        self._lend(0, sold)
        self._claim(before.quote - after.quote, 0)
        self._store(owner, after, at)
        self.profits[owner] = claim
        self.profits_of_all += claim
        self._covered(positive_part(-has))

    def _paid(self, claims: int, quote: int, assets: int) -> Payout:
        """Return a rank's part of the quote and assets that are left."""
        in_quote = min(claims, quote)
        lacking, in_assets = claims - in_quote, 0
        if lacking:
            worth = mul_div_down(lacking, self.curve.price_divisor, self.price_wad)
            in_assets = min(assets, worth)
        return Payout(claims, in_quote, in_assets)

    def _ranked(self, claims: tuple[int, int]) -> list[tuple[int, Payout]]:
        """Return claims with what their rank is paid."""
        pairs = zip(claims, self.payouts, strict=True)
        return [(claim, payout) for claim, payout in pairs if claim]
