# SPDX-License-Identifier: MIT
"""
A perpetual market against a pool (`PerpVenue.vy`).

With S the index price, K the skew and q an account's signed size:

    profit   q * S - entry
    equity   quote + assets * S * (1 - haircut) + profit, funding settled
    worse    the same with min(q * S, what closing q on the curve now would bring)

To open, equity at the worse is at least the initial margin; to withdraw, the same without
unrealised profit or borrowing. A reduction keeps the maintenance margin of what remains.
Conservation, to the unit:

    quote held = sum of account quote (signed) + pool claim + fund claim
    asset held = sum of account assets + pool assets

Raw asset and quote units, prices and rates WAD, sizes signed, long positive. Tokens are taken to
be honest and callers to have them; time `at` is Unix seconds and never goes back. Views take
prices up to `MAX_PRICE`.
"""

from __future__ import annotations

from keeper.simulation.reference.insurance_fund import InsuranceFund
from keeper.simulation.reference.liquidation_rules import LiquidationRules, Outcome
from keeper.simulation.reference.liquidity_pool import LiquidityPool, Oracle
from keeper.simulation.reference.margin_rules import MarginRules
from keeper.simulation.reference.position import Account, changed, flips
from keeper.simulation.reference.reverted import atomic, require, require_word
from keeper.simulation.reference.terms import Terms
from keeper.simulation.reference.venue_ledger import Shortfall, VenueLedger, owed_by
from keeper.snapshot import ZERO_ADDRESS, Margin, Market
from keeper.units import (
    BPS,
    INT256_MAX,
    WAD,
    Assets,
    Quote,
    Wad,
    div_ceil,
    div_floor,
    mul_div_down,
    mul_div_up,
    positive_part,
)

PERPETUAL = 0  # the only instrument
MAX_INSURANCE = 2**128  # what a fund is believed to have


class Venue(VenueLedger):
    """
    One venue with its pool and fund, empty at time `at`.

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

    __slots__ = ("MAX_ASSETS", "MAX_PRICE", "margins", "oracle", "rules")

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
        super().__init__(terms, pool, fund, at=at, address=address)
        self.oracle = oracle
        self.MAX_PRICE = min(2**120, 2**251 // terms.skew_scale**2)
        self.MAX_ASSETS = 2**250 // (self.MAX_PRICE * WAD)
        self.margins = MarginRules(self.curve, terms)
        self.rules = LiquidationRules(self.margins, terms)

    # Calls open to users

    @atomic
    def deposit(self, sender: str, assets: int, quote: int, *, at: int) -> None:
        """Add margin to the caller's account."""
        _require_amount(assets, quote)
        self._accrue(0, at)
        account = self._settled(sender)[0]
        after = account._replace(
            assets=account.assets + assets, quote=account.quote + _signed(quote)
        )
        require_word(after.assets)
        require(after.assets <= self.MAX_ASSETS, "venue: too many assets")
        self._store(sender, after)
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
        price_wad = 0
        if account.size != 0 or account.quote < 0:
            price_wad = self._read_price(at)
        self._accrue(price_wad, at)
        account = self._settled(sender)[0]
        after = account._replace(
            assets=account.assets - assets, quote=account.quote - _signed(quote)
        )
        require(quote == 0 or after.quote >= 0, "venue: not enough quote")
        if price_wad > 0:
            backing = self._backing(after, price_wad)
            self._require_initial(backing, after.size, price_wad)
        self._store(sender, after)
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
        before = self._settled(sender)[0]
        curve, skew = self.curve, self.skew
        within = curve.fill_within(skew, size, price_wad, limit_price_wad)
        require(within, "venue: fill over the limit")
        cost, fee = curve.cost(skew, size, price_wad), curve.fee(skew, size, price_wad)
        fund_fee = mul_div_down(fee, self.terms.fund_share_wad, WAD)
        closing = curve.cost(skew, -before.size, price_wad) if flips(before.size, size) else 0
        after, realised = changed(before, size, cost, closing)
        self._resize(before.size, after.size, after.entry - before.entry)
        self._claim(fee - realised - fund_fee, fund_fee)
        after = after._replace(
            quote=after.quote + realised - fee, funding_index_wad=self._index(after.size)
        )
        self._store(sender, after)
        self._require_allowed(before.size, after, skew, price_wad)
        return cost + fee

    @atomic
    def liquidate(self, sender: str, account: str, *, at: int) -> int:
        """Let the backstop take what must be taken; return the size, sign of the position."""
        require(account != self.pool.address, "venue: backstop account")
        price_wad = self._read_price(at)
        self._accrue(price_wad, at)
        failed = self._settled(account)[0]
        stop = self._settled(self.pool.address)[0]
        done = self.rules.outcome(failed, stop, price_wad)
        self._store_outcome(account, failed, stop, done)
        covered = self._covered(done.loss + done.reward_unpaid)
        bonus = min(covered, done.reward_unpaid)
        deficit = done.loss - (covered - bonus)
        self._book_failure(done, failed.quote, bonus)
        liquidator = self.account(sender)
        earned = done.reward + bonus
        self._store(sender, liquidator._replace(quote=liquidator.quote + earned))
        if deficit > 0:
            total = self.shortfalls[done.size > 0]
            more = Shortfall(total.quote + deficit, total.size + abs(done.size))
            self.shortfalls[done.size > 0] = more
        return done.size

    @atomic
    def accrue(self, *, at: int) -> None:
        """Bring funding to this second and take the index price for the next interval."""
        self._accrue(self._read_price(at), at)

    @atomic
    def settle(self, *, at: int) -> None:  # noqa: ARG002 - a call like the others
        """Move tokens between venue and pool until the venue holds what accounts may take."""
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
        if self.fund_claim > self.quote_held:  # lent out: the pool sends what it can
            self._draw(self.fund_claim - self.quote_held)
        paid = min(self.fund_claim, self.quote_held)
        self._claim(0, -paid)
        self.quote_held -= paid
        return paid

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
            pool_equity=Quote(self._pool_equity(price_wad, self._indices_now(at))),
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

    def liquidation(self, account: str, price_wad: int, *, at: int) -> tuple[bool, int, int]:
        """Return whether the account fails, the size that would be taken, the reward asked."""
        if account == self.pool.address:
            return False, 0, 0
        return self.rules.assess(self._account_now(account, at), price_wad)

    def pool_value(self, price_wad: int, *, at: int) -> int:
        """Return quote that the pool owns here beyond its own tokens, at closing value, down."""
        return self._pool_value(price_wad, self._indices_now(at))

    def pool_equity_required(self, price_wad: int) -> int:
        """Return |K| * S / skew share, quote, up."""
        needed = abs(self.skew) * price_wad * WAD
        return div_ceil(needed, self.curve.price_divisor * self.terms.skew_share_wad)

    # What a trade and a withdrawal must satisfy

    def _require_allowed(
        self, size_before: int, account: Account, skew_before: int, price_wad: int
    ) -> None:
        """Bind caps and margin on what increases |q|; a reduction keeps its rest's maintenance."""
        size = abs(account.size)
        require(size == 0 or size >= self.terms.min_size, "venue: under minimum size")
        flipped = size_before * account.size < 0
        equity = self.margins.equity(account, price_wad)
        if not flipped and size <= abs(size_before):
            kept = self.margins.required(size, price_wad)[1]
            require(equity >= kept, "venue: rest under maintenance")
            return
        require(max(self.longs, self.shorts) <= self.terms.max_side, "venue: side is full")
        skew = abs(self.skew)
        if skew > abs(skew_before):
            most = self.terms.premium_cap_wad * self.curve.skew_scale
            require(skew * WAD <= most, "venue: premium cap")
            pool_equity = self._pool_equity(price_wad, self._indices())
            needed = self.pool_equity_required(price_wad)
            require(pool_equity >= needed, "venue: pool too small")
        equity += min(self._closing_gain(account.size, price_wad), 0)
        self._require_initial(equity, account.size, price_wad)

    def _require_initial(self, equity: int, size: int, price_wad: int) -> None:
        initial = self.margins.initial(abs(size), price_wad)
        require(equity >= initial, "venue: under initial margin")

    def _backing(self, account: Account, price_wad: int) -> int:
        """Return equity at the worse of index and closing fill, without unrealised profit."""
        profit = self.margins.value_down(account.size, price_wad) - account.entry
        worse = profit + min(self._closing_gain(account.size, price_wad), 0)
        return self.margins.equity(account, price_wad) - profit + min(worse, 0)

    def _closing_gain(self, size: int, price_wad: int) -> int:
        """Return what closing `size` on the curve now brings over its value at the index."""
        brings = -self.curve.cost(self.skew, -size, price_wad)
        return brings - self.margins.value_down(size, price_wad)

    # Liquidation

    def _store_outcome(self, owner: str, failed: Account, stop: Account, done: Outcome) -> None:
        """Move the position from the failed account to the backstop."""
        self._resize(failed.size, done.size_after, done.entry_after - failed.entry)
        stop_size = done.backstop_size_after
        self._resize(stop.size, stop_size, done.backstop_entry_after - stop.entry)
        left = Account(
            assets=failed.assets - done.assets_sold,
            quote=done.quote_after,
            size=done.size_after,
            entry=done.entry_after,
            funding_index_wad=self._index(done.size_after),
        )
        self._store(owner, left)
        stop = stop._replace(
            size=stop_size,
            entry=done.backstop_entry_after,
            funding_index_wad=self._index(stop_size),
        )
        self._store(self.pool.address, stop)

    def _book_failure(self, done: Outcome, quote_before: int, bonus: int) -> None:
        """Book to the pool what the others did not get."""
        self._lend(0, done.assets_sold)
        others = done.reward + bonus + done.fund_penalty
        self._claim(quote_before - done.quote_after - others, done.fund_penalty)

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

    # The pool's side

    def _pool_value(self, price_wad: int, indices: tuple[int, int]) -> int:
        """Return claim + asset tokens here - what everybody else would get at closing."""
        divisor = self.curve.price_divisor
        stop = self.account(self.pool.address)
        others_cost = self._open_cost_now(indices) - stop.entry * divisor
        others_cost -= owed_by(stop, indices)
        return (
            self.pool_claim
            + self.margins.value_down(self.pool_assets, price_wad)
            - self.curve.closing_value(self.skew, stop.size, price_wad)
            + div_floor(others_cost, divisor)
        )

    def _pool_equity(self, price_wad: int, indices: tuple[int, int]) -> int:
        quote, assets = self.pool.holdings()
        inventory = self.margins.value_down(assets, price_wad)
        return quote + inventory + self._pool_value(price_wad, indices)

    def _insurance(self) -> int:
        """Return the fund's claim here and what it could pay."""
        return self.fund_claim + min(self.fund.available(self.address), MAX_INSURANCE)

    # Price and tokens

    def _read_price(self, at: int) -> int:
        price_wad = self.oracle.read(at=at).price_wad
        require(price_wad <= self.MAX_PRICE, "venue: price out of range")
        return price_wad

    def _make_room(self, quote: int) -> None:
        """Pull from the pool what is lacking to pay `quote`."""
        held = self.quote_held
        if quote > held:
            require(held + self._draw(quote - held) >= quote, "venue: pool cannot pay")

    def _draw(self, wanted: int) -> int:
        """Return quote that the pool sends, as much of `wanted` as it has."""
        pulled = self.pool.pay(self.address, wanted)
        self.quote_held += pulled
        self._claim(pulled, 0)
        return pulled


def _require_amount(assets: int, quote: int) -> None:
    require(assets > 0 or quote > 0, "venue: zero amount")


def _signed(number: int) -> int:
    """Return the number, which must fit a signed word."""
    if number > INT256_MAX:
        raise OverflowError
    return number
