# SPDX-License-Identifier: MIT
"""
How the backstop gets rid of what it took (`VenueBackstop.vy`, `modules/auction.vy`).

With S the index price, p the premium on the side of the position and d a discount that rises with
time, it sells a long at S * (1 + p) * (1 - d) and a short at S * (1 - p) * (1 + d), where

    p = max(0, K / L, its 30-minute mean, min(p when the position came, side / L))

Raw asset and quote units, prices and rates WAD, sizes signed, long positive.
"""

from __future__ import annotations

from typing import NamedTuple

from keeper.simulation.reference.position import Account, changed, flips
from keeper.simulation.reference.reverted import atomic, require
from keeper.simulation.reference.venue_ledger import AUCTION_SECS
from keeper.simulation.reference.venue_wind_up import VenueWindUp
from keeper.units import WAD, div_ceil, div_floor, mul_div_down

UNWIND_PERIOD = 60  # seconds between two steps of the backstop


class Offer(NamedTuple):
    """What the backstop holds and at which price over the index (`IVenueBackstop.Offer`)."""

    size: int
    premium_wad: int
    discount_wad: int
    rate_wad: int


class VenueBackstop(VenueWindUp):
    """The ways out of the backstop."""

    @property
    def max_discount_wad(self) -> int:
        """Half of the pool's part of the penalty."""
        return mul_div_down(self.terms.penalty_wad, WAD - self.terms.fund_share_wad, 2 * WAD)

    # Calls

    @atomic
    def unwind(self, *, at: int) -> int:
        """Let the backstop close one step of its position on the curve; return the size."""
        price_wad = self._read_price(at)
        self._accrue(price_wad, at)
        require(not self._gated(at), "venue: deleveraging first")
        require(at >= self.unwound_at + UNWIND_PERIOD, "venue: unwound a moment ago")
        stop = self._settled(self.pool.address, at)[0]
        step = min(abs(stop.size), self.terms.unwind_step)
        require(step != 0, "venue: nothing to unwind")
        # What moves the premium by more is worth the fees of whoever goes ahead.
        fees = 2 * self.terms.maker_fee_wad * self.terms.skew_scale
        require(abs(stop.size) * WAD <= fees, "venue: takers first")
        size, skew = -step if stop.size > 0 else step, self.skew
        within = abs(skew + size) <= abs(skew) or (
            abs(skew + size) * WAD <= self.terms.premium_cap_wad * self.curve.skew_scale
        )
        require(within, "venue: premium cap")
        after = changed(stop, size, self.curve.cost(skew, size, price_wad), 0)[0]
        self._store_backstop(stop, after, at)
        self.unwound_at = at
        return size

    @atomic
    def take_over(self, sender: str, size: int, limit_price_wad: int, *, at: int) -> int:
        """Move `size` of the backstop's position to the caller; return quote paid, with fee."""
        price_wad = self._read_price(at)
        self._accrue(price_wad, at)
        require(not self._gated(at), "venue: deleveraging first")
        before = self._settled(sender, at)[0]
        stop = self._settled(self.pool.address, at)[0]
        same_side = size * stop.size > 0
        require(same_side and abs(size) <= abs(stop.size), "venue: not the backstop's")
        rate_wad = self.offer(at=at).rate_wad
        limit = min(limit_price_wad, 8 * price_wad) * WAD
        fill = price_wad * rate_wad
        require(fill <= limit if size > 0 else fill >= limit, "venue: fill over the limit")
        cost = self._cost(size, price_wad, rate_wad)
        fee = self.margins.share_up(abs(size), price_wad, self.terms.taker_fee_wad)
        fund_fee = mul_div_down(fee, self.terms.fund_share_wad, WAD)
        turns = flips(before.size, size)
        closing = self._cost(-before.size, price_wad, rate_wad) if turns else 0
        after, realised = changed(before, size, cost, closing)
        after = after._replace(
            quote=after.quote + realised - fee, funding_index_wad=self._index(after.size)
        )
        equity = self.margins.equity(after, price_wad)
        if not self._is_covered_rest(before, after.size, equity, price_wad):
            equity += min(self._closing_gain(after.size, price_wad), 0)
            self._require_initial(equity, after.size, price_wad)
        self._resize(before.size, after.size, after.entry - before.entry)
        self._claim(fee - realised - fund_fee, fund_fee)
        self._store(sender, after, at)
        self._store_backstop(stop, changed(stop, -size, -cost, 0)[0], at)
        return cost + fee

    # Views

    def offer(self, *, at: int) -> Offer:
        """Return what the backstop holds and what a part of it is sold at."""
        held = self.account(self.pool.address).size
        side = self.curve.premium(self.longs if held > 0 else self.shorts)
        came_wad = min(self.sale.premium_wad, side)
        premium_wad = max(came_wad, self._premium_towards(held, at))
        waited = min(at - self.sale.since, AUCTION_SECS)
        discount_wad = mul_div_down(self.max_discount_wad, waited, AUCTION_SECS)
        rate_wad = price_rate(held, premium_wad, discount_wad)
        return Offer(held, premium_wad, discount_wad, rate_wad)

    # What a change of a position must leave

    def _is_covered_rest(
        self, before: Account, size_after: int, equity: int, price_wad: int
    ) -> bool:
        """Return whether this is a reduction; then `equity` must back the rest."""
        size = abs(size_after)
        require(size == 0 or size >= self.terms.min_size, "venue: under minimum size")
        if before.size * size_after < 0 or size > abs(before.size):
            return False
        kept = self.margins.required(size, price_wad)[1]
        require(equity >= kept, "venue: rest under maintenance")
        backed = self.margins.equity(before, price_wad) * size
        require(equity * abs(before.size) >= backed, "venue: rest has less equity")
        return True

    def _require_initial(self, equity: int, size: int, price_wad: int) -> None:
        initial = self.margins.initial(abs(size), price_wad)
        require(equity >= initial, "venue: under initial margin")

    def _closing_gain(self, size: int, price_wad: int) -> int:
        """Return what closing `size` on the curve now brings over its value at the index."""
        brings = -self.curve.cost(self.skew, -size, price_wad)
        return brings - self.margins.value_down(size, price_wad)

    def _cost(self, size: int, price_wad: int, rate_wad: int) -> int:
        """Return size * S * rate, quote, up."""
        return div_ceil(size * price_wad * rate_wad, self.curve.wad_divisor)


def price_rate(held: int, premium_wad: int, discount_wad: int) -> int:
    """Return the price over the index of part of a position, WAD, against who takes it."""
    if held > 0:
        return div_ceil((WAD + premium_wad) * (WAD - discount_wad), WAD)
    return div_floor((WAD - premium_wad) * (WAD + discount_wad), WAD)
