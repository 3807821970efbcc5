# SPDX-License-Identifier: MIT
"""
What a book left at a venue and how far it believes what the venue says (`book_ledger.vy`).

The reference's venues always answer, so that silence cannot come up here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from keeper.simulation.reference.reverted import require
from keeper.snapshot import Margin
from keeper.units import BPS, DAY_SECS, div_floor, mul_div_up

GAIN_BPS: Final = 100  # of what is at stake, in a day
CREDIT_DAYS: Final = 30
MAX_EXPOSURE: Final = 2**111
MAX_CASH: Final = 2**103


class Left(NamedTuple):
    """Exposure (asset margin plus size), cash in quote, and where the credit for gains starts."""

    exposure: int = 0
    cash: int = 0
    noted_at: int = 0

    def after_order(
        self, assets: int, quote: int, size: int, price_wad: int, price_divisor: int
    ) -> Left:
        """Return what is left after an order of the book's own, sizes at the index."""
        at_index = div_floor(size * price_wad, price_divisor)
        return _checked(
            self._replace(exposure=self.exposure + assets + size, cash=self.cash + quote - at_index)
        )


class Sight(NamedTuple):
    """A venue as far as it is believed."""

    margin: Margin
    value: int  # quote; counts at zero at the least
    noted_at: int
    lost: bool  # assets + delta is not what was left
    short: bool  # worth less than the credit explains
    sound: bool

    def noted(self, price_wad: int, price_divisor: int) -> Left:
        """Return the record of the venue as it stands, no more believed than before."""
        exposure = self.margin.assets + self.margin.delta
        cash = self.value - div_floor(exposure * price_wad, price_divisor)
        return _checked(Left(exposure, cash, self.noted_at))

    def quote_value(self, price_wad: int, price_divisor: int) -> int:
        """Return what counts beside the asset margin, at least nothing less a unit."""
        return max(self.value, -1) - div_floor(self.margin.assets * price_wad, price_divisor)


def sight(
    margin: Margin, left: Left, price_wad: int, seen_wad: int, price_divisor: int, *, at: int
) -> Sight:
    """Return what counts of an account, given what was left there and the last price seen."""
    at_index = div_floor(left.exposure * price_wad, price_divisor)
    value = div_floor(margin.assets * price_wad, price_divisor) + margin.quote + margin.profit
    at_stake = abs(at_index) + abs(left.cash)
    start = max(left.noted_at, at - CREDIT_DAYS * DAY_SECS)
    lost = margin.assets + margin.delta != left.exposure
    if lost:
        at_index = max(at_index, div_floor(left.exposure * seen_wad, price_divisor))
    change = value - at_index - left.cash
    a_day = mul_div_up(at_stake, GAIN_BPS, BPS)
    credit = mul_div_up(a_day, at - start, DAY_SECS)
    counted = min(change, credit)
    spent = mul_div_up(counted, DAY_SECS, a_day) if counted > 0 else 0
    return Sight(
        margin=margin,
        value=value + counted - change,
        noted_at=min(start + spent, at),
        lost=lost,
        short=change < -credit,
        sound=not lost and abs(change) <= credit,
    )


def _checked(left: Left) -> Left:
    fits = abs(left.exposure) < MAX_EXPOSURE and abs(left.cash) < MAX_CASH
    require(fits, "book: record over its bounds")
    return left
