# SPDX-License-Identifier: MIT
"""
What arbitrageurs and traders do to follow a market path: sizes only, exact integers.

The spot pool is moved until its mid is the path's spot price; the perpetual's skew is moved until
its premium is the path's basis. Both as far as the venues' own caps allow.
"""

from dataclasses import dataclass
from typing import NamedTuple

from keeper.units import BPS, WAD

CAP_MARGIN_BPS = 9_900  # use 99 % of a cap: accruals between reading and sending move it a little


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotPool:
    """Reserves in raw units; the fee is a share of what the trader pays in, WAD."""

    assets: int
    quote: int
    fee_wad: int


class PerpBook(NamedTuple):
    """
    The perpetual's open interest and caps, raw asset units, and the trader's own position.

    `max_skew` bounds |K| where a trade increases it; `max_side` the open interest of one side.
    """

    skew: int
    skew_scale: int
    long_size: int
    short_size: int
    max_side: int
    max_skew: int
    position: int


def arbitrage_assets(pool: SpotPool, price_wad: int, price_divisor: int) -> int:
    """
    Return the trade after which quote reserve over asset reserve is the price, within one unit.

    Parameters
    ----------
    pool : SpotPool
        Not empty.
    price_wad : int
        Whole quote per whole asset, WAD, positive.
    price_divisor : int
        ``10 ** (18 + asset decimals - quote decimals)``.

    Returns
    -------
    int
        Raw assets bought (positive) or sold (negative) by the arbitrageur.
    """
    under = pool.quote * price_divisor < pool.assets * price_wad
    low, high = 0, pool.assets - 1 if under else 2**24 * pool.assets
    while low < high:
        middle = (low + high + 1) // 2
        assets, quote = _after(pool, middle if under else -middle)
        beyond = quote * price_divisor > assets * price_wad
        if beyond if under else not beyond:
            high = middle - 1
        else:
            low = middle
    return low if under else -low


def _after(pool: SpotPool, bought: int) -> tuple[int, int]:
    """Return the reserves after a trade, by the formulas in SpotMarket.vy without its ceilings."""
    if bought >= 0:
        paid = pool.quote * bought // (pool.assets - bought)
        return pool.assets - bought, pool.quote + paid * WAD // (WAD - pool.fee_wad)
    sold = -bought
    priced = sold * (WAD - pool.fee_wad) // WAD
    return pool.assets + sold, pool.quote - pool.quote * priced // (pool.assets + priced)


def trader_size(book: PerpBook, basis: float) -> int:
    """
    Return the trade that brings skew over scale to `basis`, or as near as the caps let it.

    Returns
    -------
    int
        Raw asset units, long positive.
    """
    wanted = round(basis * book.skew_scale) - book.skew
    side = book.long_size if wanted > 0 else book.short_size
    reducing = max(0, -book.position if wanted > 0 else book.position)
    room = max(0, book.max_side * CAP_MARGIN_BPS // BPS - side) + reducing
    most_skew = book.max_skew * CAP_MARGIN_BPS // BPS
    against = -book.skew if wanted > 0 else book.skew  # distance to zero skew, or past it
    room = min(room, max(0, most_skew + against))
    return min(wanted, room) if wanted > 0 else max(wanted, -room)


def achieved_basis(book: PerpBook, size: int) -> float:
    """Return the premium after the trade."""
    return (book.skew + size) / book.skew_scale
