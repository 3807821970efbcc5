# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
"""
@title What the heavy side pays the light side for waiting
@dev Per 8 hours, with premium p = K/L and interest i:

         f = p + clamp(i - p, -band, band), clamped to -cap..cap; f > 0: longs pay

     Two indices, quote owed per asset since deployment, one for each side. Over an interval the
     paying side's grows by f * S * dt / 28,800, rounded up; the receiving side's falls by the
     same, but by no more than what the payers paid, shared equally, rounded down. The pool
     never pays funding; what is left over is the pool's (attack A-25). S and K are those of the
     start of the interval: K is constant between touches, S is the price at the last priced
     touch, so the sum over a day depends on when the market was touched, through S only.
     The mean premium follows the premium with a time constant of 30 minutes,
     m' = p + (m - p) * exp(-dt / 1,800): with p constant between touches it is the same
     however often it is touched.
@custom:units Indices WAD (quote per asset, whole tokens), rates WAD per 8 hours.
@custom:rounding Against the account: payers up, receivers down.
"""

from modules import fixed_point
from snekmate.utils import math

WAD: constant(int256) = 10**18
PERIOD: constant(int256) = 28_800  # seconds; rates are per 8 hours
MEAN_TIME: constant(uint256) = 1_800  # seconds; time constant of the mean premium

INTEREST_WAD: immutable(int256)
BAND_WAD: immutable(int256)
CAP_WAD: immutable(int256)


@deploy
def __init__(interest_wad: uint256, band_wad: uint256, cap_wad: uint256):
    INTEREST_WAD = convert(interest_wad, int256)
    BAND_WAD = convert(band_wad, int256)
    CAP_WAD = convert(cap_wad, int256)


@internal
@view
def rate(premium_wad: int256) -> int256:
    """
    @dev f per 8 hours at this premium.
    """
    pull: int256 = max(-BAND_WAD, min(BAND_WAD, INTEREST_WAD - premium_wad))
    return max(-CAP_WAD, min(CAP_WAD, premium_wad + pull))


@internal
@view
def owed(
    premium_wad: int256, longs: int256, shorts: int256, price_wad: int256, elapsed: int256
) -> (int256, int256):
    """
    @dev Growth of the long and of the short index over `elapsed` seconds.
    """
    rate_wad: int256 = self.rate(premium_wad)
    due: int256 = abs(rate_wad) * price_wad * elapsed
    paid: int256 = fixed_point.div_ceil(due, PERIOD * WAD)
    payers: int256 = longs if rate_wad > 0 else shorts
    receivers: int256 = shorts if rate_wad > 0 else longs
    received: int256 = 0
    if receivers > 0:
        received = min(
            fixed_point.div_floor(due, PERIOD * WAD),
            fixed_point.div_floor(paid * payers, receivers),
        )
    if rate_wad > 0:
        return paid, -received
    return -received, paid


@internal
@pure
def mean(mean_wad: int256, premium_wad: int256, elapsed: int256) -> int256:
    """
    @dev Exponential mean after `elapsed` seconds at this premium, down.
    """
    # After 100 time constants nothing is left of the old mean; it keeps the product small.
    secs: uint256 = min(convert(elapsed, uint256), 100 * MEAN_TIME)
    weight: int256 = math._wad_exp(-convert(secs * 10**18 // MEAN_TIME, int256))
    return premium_wad + fixed_point.div_floor((mean_wad - premium_wad) * weight, WAD)
