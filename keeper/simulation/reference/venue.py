# SPDX-License-Identifier: MIT
"""
A perpetual market against a pool (`PerpVenue.vy`).

With S the index price, K the skew and q an account's signed size:

    profit   q * S - entry
    equity   quote + assets * S * (1 - haircut) + profit, funding settled
    worse    the same with min(q * S, what closing q on the curve now would bring)

To open, equity at the worse is at least the initial margin; to withdraw, the same without
unrealised profit or borrowing. A reduction keeps the maintenance margin of what remains, and its
equity per size. A side stays under its cap and under the share of pool equity that a skew may be.
Other calls are inherited in the order in which the contracts run each other's code.
Conservation, to the unit:

    quote held = sum of account quote (signed) + pool claim + fund claim
    asset held = sum of account assets + pool assets

Raw asset and quote units, prices and rates WAD, sizes signed, long positive. Tokens are taken to
be honest and callers to have them; time `at` is Unix seconds and never goes back. Views take
prices up to `MAX_PRICE`.
"""

from __future__ import annotations

from keeper.simulation.reference.liquidity_pool import CLOSED
from keeper.simulation.reference.position import Account, changed, flips
from keeper.simulation.reference.reverted import atomic, require, require_word
from keeper.simulation.reference.venue_recovery import VenueRecovery
from keeper.snapshot import ZERO_ADDRESS, Margin, Market
from keeper.units import (
    BPS,
    INT256_MAX,
    WAD,
    Assets,
    Quote,
    Wad,
    div_floor,
    mul_div_down,
    mul_div_up,
    positive_part,
)

PERPETUAL = 0  # the only instrument
MAX_INSURANCE = 2**128  # what a fund is believed to have


class Venue(VenueRecovery):
    """One venue with its pool and fund, empty at time `at`; parameters as `VenueLedger`."""

    # Calls open to users

    @atomic
    def deposit(self, sender: str, assets: int, quote: int, *, at: int) -> None:
        """Add margin to the caller's account."""
        _require_amount(assets, quote)
        require(self.stage != CLOSED, "venue: wound up")
        self._accrue(0, at)
        account = self._settled(sender, at)[0]
        after = account._replace(
            assets=account.assets + assets, quote=account.quote + _signed(quote)
        )
        require_word(after.assets)
        require(after.assets <= self.MAX_ASSETS, "venue: too many assets")
        self._store(sender, after, at)
        self.quote_held += quote

    @atomic
    def withdraw(
        self, sender: str, assets: int, quote: int, *, at: int, receiver: str = "receiver"
    ) -> None:
        """Take margin from the caller's account, never unrealised profit nor a loan."""
        _require_amount(assets, quote)
        require(receiver != ZERO_ADDRESS, "venue: zero receiver")
        account = self.account(sender)
        require(assets <= account.assets, "venue: not enough assets")
        require(not self._gated(at), "venue: withdrawals wait")
        if self.stage == CLOSED:
            require(sender in self.released, "venue: not released yet")
        price_wad = 0
        if account.size != 0 or account.quote < 0:
            price_wad = self._read_price(at)
        self._accrue(price_wad, at)
        account = self._settled(sender, at)[0]
        after = account._replace(
            assets=account.assets - assets, quote=account.quote - _signed(quote)
        )
        require(quote == 0 or after.quote >= 0, "venue: not enough quote")
        if price_wad > 0:
            backing = self._backing(after, price_wad)
            self._require_initial(backing, after.size, price_wad)
        self._store(sender, after, at)
        self._make_room(quote)
        self.quote_held -= quote

    @atomic
    def trade(
        self, sender: str, instrument: int, size: int, limit_price_wad: int, *, at: int
    ) -> int:
        """Change the caller's position by `size`; return quote paid, fee included, up."""
        require(instrument == PERPETUAL, "venue: unknown instrument")
        require(size != 0, "venue: zero size")
        require(abs(size) <= 2 * self.terms.max_side, "venue: size out of range")
        price_wad = self._read_price(at)
        self._accrue(price_wad, at)
        before = self._settled(sender, at)[0]
        curve, skew = self.curve, self.skew
        within = curve.fill_within(skew, size, price_wad, limit_price_wad)
        require(within, "venue: fill over the limit")
        cost, fee = curve.cost(skew, size, price_wad), curve.fee(skew, size, price_wad)
        fund_fee = mul_div_down(fee, self.terms.fund_share_wad, WAD)
        closing = curve.cost(skew, -before.size, price_wad) if flips(before.size, size) else 0
        after, realised = changed(before, size, cost, closing)
        self._resize(before.size, after.size, after.entry - before.entry)
        self._claim(fee - realised - fund_fee, fund_fee)
        assets, quote, held, entry, _, settled_at = after
        quote += realised - fee
        after = Account(assets, quote, held, entry, self._index(held), settled_at)
        self._store(sender, after, at)
        self._require_allowed(before, after, price_wad, at)
        return cost + fee

    @atomic
    def accrue(self, *, at: int) -> None:
        """Bring funding to this second and take the index price for the next interval."""
        self._accrue(self._read_price(at), at)

    # Views

    def margin(self, account: str, price_wad: int, *, at: int) -> Margin:
        """Return the account at this price, with funding accrued to the second."""
        held = self._account_now(account, at)
        initial, maintenance = self.margins.required(abs(held.size), price_wad)
        return Margin(
            assets=Assets(held.assets),
            quote=Quote(held.quote),
            delta=Assets(held.size),
            profit=Quote(self.margins.value_down(held.size, price_wad) - held.entry),
            equity=Quote(self.margins.equity(held, price_wad)),
            initial=Quote(initial),
            maintenance=Quote(maintenance),
        )

    def market(self, price_wad: int, *, at: int) -> Market:
        """Return curve, funding, margin terms and what stands behind them."""
        terms, premium_wad = self.terms, self.curve.premium(self.skew)
        return Market(
            skew=Assets(self.skew),
            skew_scale=Assets(terms.skew_scale),
            long_size=Assets(self.longs),
            short_size=Assets(self.shorts),
            max_side=Assets(terms.max_side),
            premium_wad=Wad(premium_wad),
            mean_premium_wad=Wad(self._mean_premium(at)),
            premium_cap_wad=Wad(terms.premium_cap_wad),
            funding_rate_wad=Wad(self.funding.rate(premium_wad)),
            taker_fee_wad=Wad(terms.taker_fee_wad),
            maker_fee_wad=Wad(terms.maker_fee_wad),
            initial_base_wad=Wad(terms.initial_base_wad),
            initial_slope_wad=Wad(terms.initial_slope_wad),
            maintenance_share_wad=Wad(terms.maintenance_share_wad),
            maintenance_floor_wad=Wad(terms.maintenance_floor_wad),
            haircut_wad=Wad(terms.haircut_wad),
            pool_equity=Quote(self._pool_equity(price_wad, self._indices_now(at), at)),
            insurance=Quote(self._insurance()),
        )

    def free_assets(self, account: str, price_wad: int, ratio_bps: int, *, at: int) -> int:
        """Return asset margin that can leave, equity staying over initial and ratio, down."""
        held = self._account_now(account, at)
        initial, maintenance = self.margins.required(abs(held.size), price_wad)
        wanted = max(initial, mul_div_up(maintenance, ratio_bps, BPS))
        lacking = wanted - self._backing(held._replace(assets=0), price_wad)
        if lacking <= 0:
            return held.assets
        return positive_part(held.assets - self.margins.kept_for(lacking, price_wad))

    def quote_trade(self, instrument: int, size: int, price_wad: int) -> tuple[int, int]:
        """Return what `trade` would cost now before the fee, and the fee, both up."""
        require(instrument == PERPETUAL, "venue: unknown instrument")
        curve, skew = self.curve, self.skew
        return curve.cost(skew, size, price_wad), curve.fee(skew, size, price_wad)

    def hedge_cost(self, instrument: int, size: int, price_wad: int, *, at: int) -> int:
        """Return the cost over the index at the worse of the premium and its mean, up."""
        require(instrument == PERPETUAL, "venue: unknown instrument")
        spare = WAD - 1 if size > 0 else 0
        mean_skew = div_floor(self._mean_premium(at) * self.curve.skew_scale + spare, WAD)
        now = self.curve.cost_over_index(self.skew, size, price_wad)
        return positive_part(max(now, self.curve.cost_over_index(mean_skew, size, price_wad)))

    def pool_value(self, price_wad: int, *, at: int) -> int:
        """Return quote that the pool owns here beyond its own tokens, at closing value, down."""
        return self._pool_value(price_wad, self._indices_now(at), at)

    def pool_equity_required(self, price_wad: int) -> int:
        """Return |net size of accounts| * S / skew share, quote, up."""
        return self._equity_required(abs(self.exposure), price_wad)

    # What a trade and a withdrawal must satisfy

    def _require_allowed(self, before: Account, after: Account, price_wad: int, at: int) -> None:
        """Bind caps on what increases |q|."""
        equity = self.margins.equity(after, price_wad)
        if self._is_covered_rest(before, after.size, equity, price_wad):
            return
        side = self.longs if after.size > 0 else self.shorts
        require(side <= self.terms.max_side, "venue: side is full")
        pool_equity = self._pool_equity(price_wad, self._indices(), at)
        needed = self._equity_required(side, price_wad)
        require(pool_equity >= needed, "venue: pool too small")
        equity += min(self._closing_gain(after.size, price_wad), 0)
        self._require_initial(equity, after.size, price_wad)

    def _backing(self, account: Account, price_wad: int) -> int:
        """Return equity at the worse of index and closing fill, without unrealised profit."""
        profit = self.margins.value_down(account.size, price_wad) - account.entry
        worse = profit + min(self._closing_gain(account.size, price_wad), 0)
        return self.margins.equity(account, price_wad) - profit + min(worse, 0)

    # Tokens

    def _insurance(self) -> int:
        """Return the fund's claim here and what it could pay."""
        return self.fund_claim + min(self.fund.available(self.address), MAX_INSURANCE)

    def _make_room(self, quote: int) -> None:
        """Pull from the pool what is lacking to pay `quote`."""
        held = self.quote_held
        if quote > held:
            require(held + self._draw(quote - held) >= quote, "venue: pool cannot pay")


def _require_amount(assets: int, quote: int) -> None:
    require(assets > 0 or quote > 0, "venue: zero amount")


def _signed(number: int) -> int:
    """Return the number, which must fit a signed word."""
    if number > INT256_MAX:
        raise OverflowError
    return number
