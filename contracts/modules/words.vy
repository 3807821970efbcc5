# SPDX-License-Identifier: MIT
# pragma version 0.4.3
"""
@title Two 128-bit numbers in one storage word
@notice Stateless. A trade reads and writes its account and the market together; a word saved
     is 5,000 gas.
@custom:units None of its own.
@custom:rounding None: what does not fit reverts.
"""

HALF: constant(int256) = 2**128 - 1


@internal
@pure
def pack(high: int256, low: int256) -> int256:
    """
    @dev Both are signed 128-bit numbers.
    """
    assert (high << 128) >> 128 == high  # dev: high half overflows
    assert (low << 128) >> 128 == low  # dev: low half overflows
    return (high << 128) | (low & HALF)


@internal
@pure
def high_of(word: int256) -> int256:
    return word >> 128


@internal
@pure
def low_of(word: int256) -> int256:
    return (word << 128) >> 128
