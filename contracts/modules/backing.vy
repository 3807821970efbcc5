# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
"""
@title What a change of a position must leave in its account
@dev What increases |q| or turns it around leaves the initial margin, at the worse of index and
     closing fill. A reduction keeps the maintenance margin of what remains, and at least as much
     equity per size as before (`PerpVenue`).
@custom:units Raw asset and quote units, prices WAD, sizes signed, long positive.
@custom:rounding Against the account.
"""

from interfaces import ILiquidationRules

from modules import curve
from modules import fixed_point
from modules import margin_rules
from modules import venue_ledger as ledger

uses: curve
uses: ledger
uses: margin_rules


@internal
@view
def is_covered_rest(
    before: ILiquidationRules.Account, size_after: int256, equity: int256, price_wad: uint256
) -> bool:
    """
    @dev Whether this is a reduction; then `equity` must back the rest.
    """
    size: uint256 = fixed_point.magnitude(size_after)
    ledger.require(size == 0 or size >= ledger.MIN_SIZE, "venue: under minimum size")
    if size_after < min(before.size, 0) or size_after > max(before.size, 0):
        return False
    kept: uint256 = margin_rules.required(size, price_wad)[1]
    ledger.require(equity >= convert(kept, int256), "venue: rest under maintenance")
    ledger.require(
        equity * abs(before.size) >= margin_rules.equity(before, price_wad) * convert(size, int256),
        "venue: rest has less equity",
    )
    return True


@internal
@view
def require_initial(equity: int256, size: int256, price_wad: uint256):
    initial: uint256 = margin_rules.required(fixed_point.magnitude(size), price_wad)[0]
    ledger.require(equity >= convert(initial, int256), "venue: under initial margin")


@internal
@view
def closing_gain(size: int256, price_wad: uint256) -> int256:
    """
    @dev What closing `size` on the curve now brings over its value at the index.
    """
    return -curve.cost(ledger.skew(), -size, price_wad) - margin_rules.value_down(size, price_wad)
