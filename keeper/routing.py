# SPDX-License-Identifier: MIT
"""
How an order is split over venues: the same marginal cost everywhere. Pure; integers only.

Over the index, as a share of its price, an order of n units on side s (bought +1) costs at a
venue with skew K, scale L, and m = |K| where the order lowers it, 0 elsewhere,

    n (2 s K + n) / 2L  +  maker min(n, m) + taker max(n - m, 0)  +  s f T n
    impact                 fee                                       funding expected

with f the funding rate and T the time over which it is counted, in funding periods. Its marginal
cost, that of the n-th unit, rises with every unit, as maker <= taker (the venue's constructor
sees to it):

    (2 s K + 2n - 1) / 2L  +  (maker where n <= m, else taker)  +  s f T

so the sum is separable and convex, and the units with the least marginal costs are the cheapest
split there is (Gross 1956; Fox 1966, Management Science 13:210-216). `split` finds the largest
price per unit at which no more than the order is taken, by bisection over a grid fine enough that
at most two units a venue lie between two of its points, and hands out the last ones one by one.
Everything is exact: a test compares it with a search over all splits.

The rate is taken as given: those who trade the premium restore it after our order, and what it
will be on average is for `Policy.funding_horizon_secs` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from keeper.curve import largest
from keeper.snapshot import Market
from keeper.units import FUNDING_PERIOD_SECS, WAD, div_floor, sign


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A venue that an order may go to, and the most of it that fits there, raw asset units."""

    market: Market
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Costs:
    """A lane's marginal cost: `(base + 2n) / 2 scale`, and flat parts in WAD per period."""

    base: int  # 2 s K - 1
    scale: int  # L
    lowering: int  # m
    low: int  # (maker + s f T) * WAD * period
    high: int  # (taker + s f T) * WAD * period
    most: int

    def marginal(self, nth: int) -> Fraction:
        """Return what the n-th unit costs, n from 1, as a share of the price."""
        flat = self.low if nth <= self.lowering else self.high
        return Fraction(self.base + 2 * nth, 2 * self.scale) + Fraction(flat, _UNIT)

    def within(self, price: Fraction) -> int:
        """Return how many units cost at most `price` each."""
        lowering = min(self._count(price, self.low), self.lowering)
        return max(0, min(max(lowering, self._count(price, self.high)), self.most))

    def _count(self, price: Fraction, flat: int) -> int:
        """Return the last n with `(base + 2n) / 2 scale + flat <= price`."""
        left = 2 * self.scale * (price.numerator * _UNIT - flat * price.denominator)
        whole = _UNIT * price.denominator
        return div_floor(left - self.base * whole, 2 * whole)


_UNIT = WAD * FUNDING_PERIOD_SECS


def split(lanes: Sequence[Lane], size: int, horizon_secs: int) -> tuple[int, ...]:
    """
    Return the cheapest split of an order, one size a lane.

    Parameters
    ----------
    lanes : sequence of Lane
    size : int
        Raw asset units, bought positive.
    horizon_secs : int
        Time over which today's funding rate is counted.

    Returns
    -------
    tuple of int
        Sizes of the sign of `size` that sum to it, or to all that fits where that is less. Where
        two splits cost the same, the earlier lane has more.
    """
    side, total = sign(size), abs(size)
    costs = [_costs(lane, side, horizon_secs) for lane in lanes]
    if sum(each.most for each in costs) <= total:
        return tuple(side * each.most for each in costs)
    taken = _taken(costs, total)
    for _ in range(total - sum(taken)):
        i = min(
            (i for i, each in enumerate(costs) if taken[i] < each.most),
            key=lambda i: (costs[i].marginal(taken[i] + 1), i),
        )
        taken[i] += 1
    return tuple(side * each for each in taken)


def _taken(costs: Sequence[_Costs], total: int) -> list[int]:
    """Return units under the highest price of the grid at which they are at most `total`."""
    open_ones = [each for each in costs if each.most]
    step = Fraction(1, max(each.scale for each in open_ones))
    lowest = min(each.marginal(1) for each in open_ones) - step
    highest = max(each.marginal(each.most) for each in open_ones)
    steps = largest(
        lambda k: sum(each.within(lowest + k * step) for each in costs) <= total,
        -(-(highest - lowest) // step),
    )
    return [each.within(lowest + steps * step) for each in costs]


def _costs(lane: Lane, side: int, horizon_secs: int) -> _Costs:
    market = lane.market
    funding = side * market.funding_rate_wad * horizon_secs
    return _Costs(
        base=2 * side * market.skew - 1,
        scale=market.skew_scale,
        lowering=abs(market.skew) if side * sign(market.skew) < 0 else 0,
        low=market.maker_fee_wad * FUNDING_PERIOD_SECS + funding,
        high=market.taker_fee_wad * FUNDING_PERIOD_SECS + funding,
        most=max(lane.most, 0),
    )
