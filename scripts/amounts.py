# SPDX-License-Identifier: MIT
"""Amounts as people write them, and as tokens count them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from keeper.units import BPS, mul_div_down, mul_div_up

# By how much a flow may come out worse than it was quoted. Others can move the charge in front of
# a transaction (the vault's bounds, ERC-5143); half a per cent is under the base charge anyway.
TOLERANCE_BPS: Final = 50


class AmountError(Exception):
    """What was typed is no amount; the text is one line for the user."""


def parse(text: str, decimals: int) -> int:
    """
    Return raw token units of an amount in whole tokens, such as ``"1.5"``.

    Raises
    ------
    AmountError
        Unless it is a positive decimal number that the token can express.
    """
    if not re.fullmatch(r"\d[\d_]*(\.\d+)?|\.\d+", text):
        raise AmountError(f"{text!r} is not an amount: write whole tokens, such as 1.5")
    units = Decimal(text.replace("_", "")).scaleb(decimals)
    if units != units.to_integral_value():
        raise AmountError(f"{text} has more than the token's {decimals} decimals")
    if units == 0:
        raise AmountError("an amount of zero does nothing")
    if units >= 2**128:
        raise AmountError(f"{text} is more than there can be of any token")
    return int(units)


def parse_bps(text: str) -> int:
    """
    Return basis points of a share such as ``"95%"``, or of plain basis points.

    Raises
    ------
    AmountError
        If it is neither, or finer than one basis point.
    """
    if re.fullmatch(r"\d+", text):
        return int(text)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)
    if match is None:
        raise AmountError(f"{text!r} is not a share: write 95% or 9500 (basis points)")
    bps = Decimal(match[1]) * 100
    if bps != bps.to_integral_value():
        raise AmountError(f"{text} is finer than a basis point")
    return int(bps)


def at_least(quoted: int) -> int:
    """Return the least that is accepted of something quoted, rounded down."""
    return mul_div_down(quoted, BPS - TOLERANCE_BPS, BPS)


def at_most(quoted: int) -> int:
    """Return the most that is given for something quoted, rounded up."""
    return mul_div_up(quoted, BPS + TOLERANCE_BPS, BPS)


def show(units: int, decimals: int, places: int = 6) -> str:
    """Return raw units as whole tokens, cut toward zero after `places` digits."""
    digits = min(places, decimals)
    cut = abs(units) // 10 ** (decimals - digits)
    whole, rest = divmod(cut, 10**digits)
    fraction = str(rest).zfill(digits).rstrip("0") if digits else ""
    sign = "-" if units < 0 and cut else ""
    return f"{sign}{whole:,}.{fraction}" if fraction else f"{sign}{whole:,}"


def show_bps(bps: int) -> str:
    """Return basis points as per cent."""
    return f"{Decimal(bps) / 100:.2f} %"
