# SPDX-License-Identifier: MIT
# pragma version 0.4.3
"""
@title What a position needs and what backs it
@dev With N = |q| * S:

         initial      IM = N * iota,  iota = base + slope * |q| / L
         maintenance  MM = N * max(share * iota, penalty + reward share + buffer)

     share < 1 and base > penalty + reward share + buffer, checked at construction, make
     MM < IM for every size (attack A-15). The reward is a flat amount capped by a share of N,
     so that it cannot lift MM over IM on a small position.
@custom:units Sizes in asset units, margins in quote units, rates WAD.
@custom:rounding Margin required up, collateral down.
"""

from interfaces import ILiquidationRules

from modules import curve
from modules import fixed_point

uses: curve

WAD: constant(uint256) = 10**18

BASE_WAD: immutable(uint256)
SLOPE_WAD: immutable(uint256)
SHARE_WAD: immutable(uint256)
FLOOR_WAD: immutable(uint256)  # penalty + reward share + buffer
KEPT_WAD: immutable(uint256)  # 1 - haircut


@deploy
def __init__(terms: ILiquidationRules.Terms):
    BASE_WAD = terms.initial_base_wad
    SLOPE_WAD = terms.initial_slope_wad
    SHARE_WAD = terms.maintenance_share_wad
    FLOOR_WAD = terms.penalty_wad + terms.reward_share_wad + terms.maintenance_buffer_wad
    KEPT_WAD = WAD - terms.haircut_wad


@internal
@view
def initial_rate(size: uint256) -> uint256:
    """
    @dev iota, WAD, up.
    """
    return BASE_WAD + fixed_point.mul_div_up(SLOPE_WAD, size, convert(curve.SKEW_SCALE, uint256))


@internal
@view
def required(size: uint256, price_wad: uint256) -> (uint256, uint256):
    """
    @dev Initial and maintenance margin, quote, up.
    """
    rate: uint256 = self.initial_rate(size)
    floor_rate: uint256 = max(fixed_point.mul_div_up(rate, SHARE_WAD, WAD), FLOOR_WAD)
    return self.share_up(size, price_wad, rate), self.share_up(size, price_wad, floor_rate)


@internal
@view
def share_up(size: uint256, price_wad: uint256, share_wad: uint256) -> uint256:
    """
    @dev share of the notional, quote, up.
    """
    return fixed_point.mul_div_up(size * price_wad, share_wad, curve.WAD_DIVISOR)


@internal
@view
def share_down(size: uint256, price_wad: uint256, share_wad: uint256) -> uint256:
    """
    @dev share of the notional, quote, down.
    """
    return fixed_point.mul_div_down(size * price_wad, share_wad, curve.WAD_DIVISOR)


@internal
@view
def value_down(size: int256, price_wad: uint256) -> int256:
    """
    @dev size * S, quote, down.
    """
    return fixed_point.div_floor(size * convert(price_wad, int256), curve.PRICE_DIVISOR)


@internal
@view
def value_up(size: int256, price_wad: uint256) -> int256:
    """
    @dev size * S, quote, up.
    """
    return fixed_point.div_ceil(size * convert(price_wad, int256), curve.PRICE_DIVISOR)


@internal
@view
def equity(account: ILiquidationRules.Account, price_wad: uint256) -> int256:
    """
    @dev For margin, at the index, funding settled before.
    """
    return (
        account.quote
        + self.collateral(account.assets, price_wad)
        + self.value_down(account.size, price_wad)
        - account.entry
    )


@internal
@view
def collateral(assets: uint256, price_wad: uint256) -> int256:
    """
    @dev assets * S * (1 - haircut), quote, down.
    """
    return convert(self.share_down(assets, price_wad, KEPT_WAD), int256)


@internal
@view
def assets_for(quote: uint256, price_wad: uint256, share_wad: uint256) -> uint256:
    """
    @dev The fewest assets whose share of value, rounded down, is at least `quote`. A price of
        zero buys nothing: everything.
    """
    if price_wad == 0:
        return max_value(uint256)
    return fixed_point.mul_div_up(quote, curve.WAD_DIVISOR, price_wad * share_wad)


@internal
@view
def kept_for(quote: uint256, price_wad: uint256) -> uint256:
    """
    @dev Asset margin that backs `quote` after the haircut.
    """
    return self.assets_for(quote, price_wad, KEPT_WAD)
