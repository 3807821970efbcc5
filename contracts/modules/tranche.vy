# SPDX-License-Identifier: MIT
# pragma version 0.4.3
"""
@title Quote that several share, and their claims on it
@notice Stateless.
@dev With n the quote, m the claims and V = 10**6 claims that nobody owns,

         claims for q        q * (m + V) / (n + 1), down
         worth of s claims   s * (n + 1) / (m + V), down; never over n

     A loss that leaves (n + 1) / (m + V) under a millionth of the first price makes one claim of
     a million, until it is above: m + V <= 10**12 * (n + 1). Claims carry the generation that
     they were made in.
@custom:units Raw quote units; claims 10**6 for the first quote unit.
@custom:rounding Down.
"""

from modules import fixed_point


struct Tranche:
    quote: uint256
    shares: uint256  # claims on it
    generation: uint256  # how often a million of them became one


struct Claim:
    shares: uint256  # in units of their generation
    generation: uint256


VIRTUAL: constant(uint256) = 10**6  # claims of nobody; a first quote unit buys as many
SPLIT: constant(uint256) = 10**6  # old claims for a new one
MAX_SPLITS: constant(uint256) = 12  # 10**72; more claims than that there cannot be


@internal
@pure
def shares_for(quote: uint256, whole: Tranche, owed: uint256) -> uint256:
    """
    @dev The claims that `quote` buys where another `owed` is part of the value.
    """
    return fixed_point.mul_div_down(quote, whole.shares + VIRTUAL, whole.quote + owed + 1)


@internal
@pure
def worth_of(shares: uint256, whole: Tranche) -> uint256:
    return fixed_point.mul_div_down(shares, whole.quote + 1, whole.shares + VIRTUAL)


@internal
@pure
def as_of(claim: Claim, generation: uint256) -> uint256:
    """
    @dev A claim in units of a later generation.
    """
    splits: uint256 = min(generation - claim.generation, MAX_SPLITS)
    return fixed_point.mul_div_down(claim.shares, 1, SPLIT**splits)


@internal
@pure
def after_loss(before: Tranche, loss: uint256) -> Tranche:
    whole: Tranche = before
    whole.quote -= loss
    for _: uint256 in range(MAX_SPLITS):
        if whole.shares + VIRTUAL <= VIRTUAL * SPLIT * (whole.quote + 1):
            break
        whole.shares = fixed_point.mul_div_down(whole.shares, 1, SPLIT)
        whole.generation += 1
    return whole
