# SPDX-License-Identifier: MIT
# pragma version 0.4.3
"""
@title What part of the backstop's position is sold at
@notice Stateless.
@dev With S the index price, p the premium on the side of the position, never under zero, and d a
     discount that rises from zero to its cap in `SECS`:

         long    S * (1 + p) * (1 - d)
         short   S * (1 - p) * (1 + d)

     Any change of the position shortens the wait in proportion, whether it grows by g or shrinks
     to it: dust of either kind leaves the price as it is, and to take in parts saves nothing.
     What comes brings its premium, in a mean by size.
@custom:units Sizes signed, long positive; premiums, discounts and rates WAD.
@custom:rounding Against who takes.
"""

from modules import fixed_point

WAD: constant(int256) = 10**18
SECS: constant(int256) = 3_600  # seconds until the discount is at its cap


@internal
@pure
def rate(long: bool, premium_wad: int256, discount_wad: int256) -> int256:
    """
    @dev The price over the index.
    """
    if long:
        return fixed_point.div_ceil((WAD + premium_wad) * (WAD - discount_wad), WAD)
    return fixed_point.div_floor((WAD - premium_wad) * (WAD + discount_wad), WAD)


@internal
@pure
def discount(cap_wad: uint256, waited: int256) -> int256:
    """
    @dev WAD, down.
    """
    return fixed_point.div_floor(convert(cap_wad, int256) * waited, SECS)


@internal
@pure
def premium_after(
    before: int256, after: int256, premium_wad: int256, current_wad: int256
) -> int256:
    """
    @dev The mean by size; what turned around or is new has the current one.
    """
    if not self._stays(before, after):
        return current_wad
    grown: int256 = max(abs(after) - abs(before), 0)
    if grown == 0:
        return premium_wad
    return fixed_point.div_ceil(premium_wad * abs(before) + current_wad * grown, abs(after))


@internal
@pure
def wait_after(before: int256, after: int256, waited: int256) -> int256:
    """
    @dev Seconds, down.
    """
    if not self._stays(before, after):
        return 0
    return fixed_point.div_floor(
        waited * min(abs(before), abs(after)), max(abs(before), abs(after))
    )


@internal
@pure
def _stays(before: int256, after: int256) -> bool:
    """
    @dev Whether there is a position on the same side as before.
    """
    return (before > 0 and after > 0) or (before < 0 and after < 0)
