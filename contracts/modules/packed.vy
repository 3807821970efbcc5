# SPDX-License-Identifier: MIT
# pragma version 0.4.3
"""
@title Several numbers in one storage word
@notice Stateless. A cold word costs 2,100 gas to read whatever is in it.
@custom:units None of its own.
"""


@internal
@pure
def part(word: uint256, offset: uint256, bits: uint256) -> uint256:
    """
    @dev The `bits` bits of `word` that begin at bit `offset`.
    """
    return (word >> offset) & ~(max_value(uint256) << bits)


@internal
@pure
def place(number: uint256, offset: uint256, bits: uint256) -> uint256:
    """
    @dev `number` at bit `offset`. Reverts where it would spill into its neighbour.
    """
    assert number >> bits == 0  # dev: number does not fit
    return number << offset


@internal
@pure
def replace(word: uint256, number: uint256, offset: uint256, bits: uint256) -> uint256:
    """
    @dev `word` with the part at `offset` exchanged.
    """
    return (word & ~(~(max_value(uint256) << bits) << offset)) | self.place(number, offset, bits)
