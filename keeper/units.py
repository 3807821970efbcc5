# SPDX-License-Identifier: MIT
"""
Integer quantities of the decision path and the roundings that it may use.

The roundings are those of `contracts/modules/fixed_point.vy`, name for name. Python integers
do not overflow, so a product over 256 bits, which reverts on chain, is refused here too.
"""

from __future__ import annotations

from typing import NewType, NoReturn

Wad = NewType("Wad", int)  # 1e18 fixed point
Bps = NewType("Bps", int)  # 1/10_000
Assets = NewType("Assets", int)  # raw asset token units; sizes and deltas too, long positive
Quote = NewType("Quote", int)  # raw quote token units

WAD = 10**18
BPS = 10_000
DAY_SECS = 86_400
FUNDING_PERIOD_SECS = 28_800  # rates are quoted per 8 hours
FUNDING_PERIODS_A_YEAR = 1_095  # 3 * 365
UINT256_MAX = 2**256 - 1
INT256_MAX = 2**255 - 1
MIN_DECIMALS = 6
MAX_DECIMALS = 18


def mul_div_down(x: int, y: int, denominator: int) -> int:
    """Return floor(x * y / denominator) of unsigned numbers; refuse a product over 256 bits."""
    product = x * y
    if x < 0 or y < 0 or product > UINT256_MAX or denominator <= 0:
        _refuse(x, y, denominator)
    return product // denominator


def mul_div_up(x: int, y: int, denominator: int) -> int:
    """Return ceil(x * y / denominator) of unsigned numbers; refuse a product over 256 bits."""
    product = x * y
    if x < 0 or y < 0 or product > UINT256_MAX or denominator <= 0:
        _refuse(x, y, denominator)
    return -(-product // denominator)


def div_floor(numerator: int, denominator: int) -> int:
    """Return floor(numerator / denominator), toward minus infinity."""
    if denominator <= 0:
        _refuse(0, 0, denominator)
    return numerator // denominator


def div_ceil(numerator: int, denominator: int) -> int:
    """Return ceil(numerator / denominator), toward plus infinity."""
    if denominator <= 0:
        _refuse(0, 0, denominator)
    return -(-numerator // denominator)


def magnitude(x: int) -> int:
    """Return |x|."""
    return abs(x)


def positive_part(x: int) -> int:
    """Return max(x, 0)."""
    return max(x, 0)


def sign(x: int) -> int:
    """Return -1, 0 or 1."""
    return (x > 0) - (x < 0)


def price_divisor(asset_decimals: int, quote_decimals: int) -> int:
    """
    Return the divisor that turns raw assets times a WAD price into raw quote.

    Parameters
    ----------
    asset_decimals, quote_decimals : int
        6 to 18, as the contracts allow.

    Raises
    ------
    ValueError
        Outside that range.
    """
    for decimals in (asset_decimals, quote_decimals):
        if not MIN_DECIMALS <= decimals <= MAX_DECIMALS:
            raise ValueError(f"decimals must be {MIN_DECIMALS} to {MAX_DECIMALS}, were {decimals}")
    return int(10 ** (18 + asset_decimals - quote_decimals))


def _refuse(x: int, y: int, denominator: int) -> NoReturn:
    """Say what a rounding refuses; the checks stand where they cost no call, these run a lot."""
    if x < 0 or y < 0:
        raise ValueError(f"expected unsigned factors, were {x} and {y}")
    if x * y > UINT256_MAX:
        raise OverflowError(f"{x} * {y} exceeds 256 bits")
    raise ZeroDivisionError(f"expected a positive denominator, was {denominator}")
