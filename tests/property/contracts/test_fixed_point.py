# SPDX-License-Identifier: MIT
"""The roundings agree with Python's whole numbers."""

from __future__ import annotations

import boa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

HARNESS = """
from modules import fixed_point

@external
@pure
def mul_div_down(x: uint256, y: uint256, denominator: uint256) -> uint256:
    return fixed_point.mul_div_down(x, y, denominator)

@external
@pure
def mul_div_up(x: uint256, y: uint256, denominator: uint256) -> uint256:
    return fixed_point.mul_div_up(x, y, denominator)

@external
@pure
def div_floor(numerator: int256, denominator: int256) -> int256:
    return fixed_point.div_floor(numerator, denominator)

@external
@pure
def div_ceil(numerator: int256, denominator: int256) -> int256:
    return fixed_point.div_ceil(numerator, denominator)

@external
@pure
def magnitude(x: int256) -> uint256:
    return fixed_point.magnitude(x)

@external
@pure
def positive_part(x: int256) -> uint256:
    return fixed_point.positive_part(x)
"""
amounts = st.integers(0, 2**128 - 1)
signed = st.one_of(st.integers(-(2**255), 2**255 - 1), st.integers(-20, 20))
divisors = st.one_of(st.integers(1, 2**255 - 1), st.integers(1, 9))


@pytest.fixture(scope="module")
def rounding():
    import tests.market_world  # noqa: F401  sets the search path

    with boa.env.anchor():
        yield boa.loads(HARNESS)


@given(x=amounts, y=amounts, denominator=divisors)
@example(x=7, y=1, denominator=2)
@example(x=6, y=1, denominator=2)
def test_mul_div__any_product__goes_where_its_name_says(rounding, x, y, denominator):
    assert rounding.mul_div_down(x, y, denominator) == x * y // denominator
    assert rounding.mul_div_up(x, y, denominator) == -(-x * y // denominator)


@given(numerator=signed, denominator=divisors)
@example(numerator=-7, denominator=2)
@example(numerator=-6, denominator=2)
@example(numerator=7, denominator=2)
@example(numerator=6, denominator=2)
def test_div__any_sign__floor_and_ceil_are_pythons(rounding, numerator, denominator):
    assert rounding.div_floor(numerator, denominator) == numerator // denominator
    assert rounding.div_ceil(numerator, denominator) == -(-numerator // denominator)


@pytest.mark.parametrize("denominator", [0, -1])
def test_div__denominator_not_positive__refused(rounding, denominator):
    for divide in (rounding.div_floor, rounding.div_ceil):
        with boa.reverts("fixed_point: denominator <= 0"):
            divide(1, denominator)


@given(x=signed)
@example(x=0)
def test_parts__any_number__size_and_what_is_over_zero(rounding, x):
    assert rounding.magnitude(x) == abs(x)
    assert rounding.positive_part(x) == max(x, 0)
