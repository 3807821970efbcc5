# SPDX-License-Identifier: MIT
"""The exponential function as the chain computes it, to the last unit."""

from __future__ import annotations

from functools import lru_cache

from keeper.simulation.reference.reverted import Reverted

SMALLEST_WAD = -41_446_531_673_892_822_313  # ln(1e-18); under it the result is zero
LARGEST_WAD = 135_305_999_368_893_231_589  # ln((2**255 - 1) / 1e18)
LN_2 = 54_916_777_467_707_473_351_141_471_128  # times 2**96
SCALE = 3_822_833_074_963_236_453_042_738_258_902_158_003_155_416_615_667


def div_toward_zero(numerator: int, denominator: int) -> int:
    """Return the quotient without its fraction, as the EVM's SDIV does."""
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


@lru_cache(maxsize=256)  # an hourly market asks for the same one at every bar
def wad_exp(x_wad: int) -> int:
    """
    Return exp(x), WAD, exactly as snekmate 0.1.2 `math._wad_exp`.

    Parameters
    ----------
    x_wad : int
        Signed WAD.

    Raises
    ------
    Reverted
        From `LARGEST_WAD` on, where the result leaves 256 bits.

    Notes
    -----
    A (6, 7)-term rational approximation on (-ln 2 / 2, ln 2 / 2) after factoring out powers of
    two; Remco Bloemen, https://xn--2-umb.com/22/exp-ln, MIT. ``wad_exp(-10**18)`` is
    367879441171442321.
    """
    if x_wad <= SMALLEST_WAD:
        return 0
    if x_wad >= LARGEST_WAD:
        raise Reverted("math: wad_exp overflow")
    x = div_toward_zero(x_wad << 78, 5**18)
    k = (div_toward_zero(x << 96, LN_2) + 2**95) >> 96
    x -= k * LN_2
    return (div_toward_zero(_numerator(x), _denominator(x)) * SCALE) >> (195 - k)


def _numerator(x: int) -> int:
    y = (((x + 1_346_386_616_545_796_478_920_950_773_328) * x) >> 96) + (
        57_155_421_227_552_351_082_224_309_758_442
    )
    p = (((y + x - 94_201_549_194_550_492_254_356_042_504_812) * y) >> 96) + (
        28_719_021_644_029_726_153_956_944_680_412_240
    )
    return p * x + (4_385_272_521_454_847_904_659_076_985_693_276 << 96)


def _denominator(x: int) -> int:
    q = (((x - 2_855_989_394_907_223_263_936_484_059_900) * x) >> 96) + (
        50_020_603_652_535_783_019_961_831_881_945
    )
    q = ((q * x) >> 96) - 533_845_033_583_426_703_283_633_433_725_380
    q = ((q * x) >> 96) + 3_604_857_256_930_695_427_073_651_918_091_429
    q = ((q * x) >> 96) - 14_423_608_567_350_463_180_887_372_962_807_573
    return ((q * x) >> 96) + 26_449_188_498_355_588_339_934_803_723_976_023
