# SPDX-License-Identifier: MIT
# pragma version 0.4.3
"""
@title Fixed-point arithmetic with the rounding direction in the name
@notice Stateless.
@dev Vyper `//` truncates toward zero, which would round a loss in the account's favour, and
     Python's floors. Of the signed divisions only those here agree with the Python model.
     Products must fit their type; the bounds on amounts and prices keep them far inside.
@custom:units None of its own.
@custom:rounding `down` and `floor` toward minus infinity, `up` and `ceil` away from it.
"""

WAD: constant(uint256) = 10**18
BPS: constant(uint256) = 10_000


@internal
@pure
def mul_div_down(x: uint256, y: uint256, denominator: uint256) -> uint256:
    """
    @dev floor(x * y / denominator). Reverts if x * y exceeds 256 bits.
    """
    return x * y // denominator


@internal
@pure
def mul_div_up(x: uint256, y: uint256, denominator: uint256) -> uint256:
    """
    @dev ceil(x * y / denominator). Reverts if x * y exceeds 256 bits.
    """
    product: uint256 = x * y
    quotient: uint256 = product // denominator
    # Unchecked: not over the product, and one more only where the denominator is over 1.
    exact: bool = unsafe_mul(quotient, denominator) == product
    return unsafe_add(quotient, convert(not exact, uint256))


@internal
@pure
def div_floor(numerator: int256, denominator: int256) -> int256:
    """
    @dev floor(numerator / denominator), the same value as Python `//`.
    """
    assert denominator > 0, "fixed_point: denominator <= 0"
    # Unchecked: no quotient by a positive number is farther from zero than what is divided.
    quotient: int256 = unsafe_div(numerator, denominator)
    if unsafe_mul(quotient, denominator) > numerator:
        quotient = unsafe_sub(quotient, 1)
    return quotient


@internal
@pure
def div_ceil(numerator: int256, denominator: int256) -> int256:
    """
    @dev ceil(numerator / denominator), the same value as Python `-(-numerator // d)`.
    """
    assert denominator > 0, "fixed_point: denominator <= 0"
    quotient: int256 = unsafe_div(numerator, denominator)
    if unsafe_mul(quotient, denominator) < numerator:
        quotient = unsafe_add(quotient, 1)
    return quotient


@internal
@pure
def magnitude(x: int256) -> uint256:
    """
    @dev |x|.
    """
    return convert(abs(x), uint256)


@internal
@pure
def positive_part(x: int256) -> uint256:
    """
    @dev max(x, 0).
    """
    return convert(max(x, 0), uint256)
