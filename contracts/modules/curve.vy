# SPDX-License-Identifier: MIT
# pragma version 0.4.3
"""
@title The price of moving the skew
@dev With S the index price, K the skew and L the skew scale, the mark price is S * (1 + K/L)
     and a trade of x fills at the mean of mark before and after,

         cost(K, x) = x * S * (1 + (K + x/2) / L) = S * (G(K + x) - G(K)),  G(k) = k + k^2/2L

     so the cost of a path depends on its ends only, and a round trip costs its fees. It is one
     division, so splitting a trade can only add roundings of one unit, against the trader.
     Fee: taker on the part of x that increases |K|, maker on the rest, on index notional.
     8 * L^2 * price fits 251 bits by construction (`MAX_PRICE`), and |K| < L, |x| <= 2L.
@custom:units Sizes in asset units, values in quote units, prices WAD.
@custom:rounding Costs and fees up, values down.
"""

from modules import fixed_point

WAD: constant(int256) = 10**18

SKEW_SCALE: immutable(int256)  # L, asset units
PRICE_DIVISOR: immutable(int256)  # quote units = asset units * price_wad / PRICE_DIVISOR
WAD_DIVISOR: immutable(uint256)  # PRICE_DIVISOR * WAD, for products with a rate
TAKER_FEE_WAD: immutable(uint256)
MAKER_FEE_WAD: immutable(uint256)


@deploy
def __init__(
    skew_scale: uint256, price_divisor: uint256, taker_fee_wad: uint256, maker_fee_wad: uint256
):
    SKEW_SCALE = convert(skew_scale, int256)
    PRICE_DIVISOR = convert(price_divisor, int256)
    WAD_DIVISOR = price_divisor * 10**18
    TAKER_FEE_WAD = taker_fee_wad
    MAKER_FEE_WAD = maker_fee_wad


@internal
@view
def premium(skew: int256) -> int256:
    """
    @dev K / L, WAD, down.
    """
    return fixed_point.div_floor(skew * WAD, SKEW_SCALE)


@internal
@view
def cost(skew: int256, size: int256, price_wad: uint256) -> int256:
    """
    @dev Quote paid (positive) or received for `size` from `skew`, up.
    """
    return self._scaled(size, price_wad, self._doubled(skew, size))


@internal
@view
def cost_over_index(skew: int256, size: int256, price_wad: uint256) -> int256:
    """
    @dev What `size` from `skew` costs more than at the index, fee included, quote, up; negative
         is a gain.
    """
    return convert(self.fee(skew, size, price_wad), int256) + self._scaled(
        size, price_wad, 2 * skew + size
    )


@internal
@view
def closing_value(skew: int256, but_for: int256, price_wad: uint256) -> int256:
    """
    @dev What all positions but `but_for` bring when all close together, each at the mean
         S * (1 + (K + b)/2L) of the curve from K to b, `but_for`; quote, up. A trade changes it
         by exactly what it costs, whoever holds b.
    """
    return self._scaled(skew - but_for, price_wad, 2 * SKEW_SCALE + skew + but_for)


@internal
@view
def fill_within(skew: int256, size: int256, price_wad: uint256, limit_price_wad: uint256) -> bool:
    """
    @dev Whether the mean fill is no worse than the limit, compared before any division.
    """
    fill: int256 = convert(price_wad, int256) * self._doubled(skew, size)
    # A limit above any fill also keeps the product inside its type.
    limit: int256 = convert(min(limit_price_wad, 8 * price_wad), int256) * 2 * SKEW_SCALE
    return fill <= limit if size > 0 else fill >= limit


@internal
@view
def fee(skew: int256, size: int256, price_wad: uint256) -> uint256:
    """
    @dev Quote, up.
    """
    amount: uint256 = fixed_point.magnitude(size)
    maker: uint256 = 0
    if (skew > 0) != (size > 0):
        maker = min(amount, fixed_point.magnitude(skew))
    rate: uint256 = (amount - maker) * TAKER_FEE_WAD + maker * MAKER_FEE_WAD
    return fixed_point.mul_div_up(rate, price_wad, WAD_DIVISOR)


@internal
@view
def _doubled(skew: int256, size: int256) -> int256:
    """
    @dev 2L * (1 + (K + x/2) / L), the fill over the index before its division.
    """
    return 2 * SKEW_SCALE + 2 * skew + size


@internal
@view
def _scaled(size: int256, price_wad: uint256, doubled: int256) -> int256:
    """
    @dev size * S * doubled / 2L, quote, up.
    """
    return fixed_point.div_ceil(
        size * convert(price_wad, int256) * doubled, 2 * SKEW_SCALE * PRICE_DIVISOR
    )
