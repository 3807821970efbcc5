# SPDX-License-Identifier: MIT
"""Named roundings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper import units

signed = st.integers(min_value=-(2**200), max_value=2**200)
unsigned = st.integers(min_value=0, max_value=2**127)
divisors = st.integers(min_value=1, max_value=2**200)


@given(numerator=signed, denominator=divisors)
def test_div__any_signs__brackets_the_quotient(numerator, denominator):
    down, up = units.div_floor(numerator, denominator), units.div_ceil(numerator, denominator)
    assert down * denominator <= numerator <= up * denominator
    assert up - down == (numerator % denominator != 0)


@given(x=unsigned, y=unsigned, denominator=divisors)
def test_mul_div__any_factors__one_division(x, y, denominator):
    assert units.mul_div_down(x, y, denominator) == units.div_floor(x * y, denominator)
    assert units.mul_div_up(x, y, denominator) == units.div_ceil(x * y, denominator)


def test_div_floor__negative__differs_from_truncation():
    assert units.div_floor(-7, 2) == -4
    assert units.div_ceil(-7, 2) == -3


def test_mul_div__product_over_256_bits__refused_as_on_chain():
    with pytest.raises(OverflowError):
        units.mul_div_down(2**128, 2**128, 1)
    with pytest.raises(ValueError, match="unsigned"):
        units.mul_div_up(-1, 1, 1)
    with pytest.raises(ZeroDivisionError):
        units.div_floor(1, 0)


@pytest.mark.parametrize(
    ("asset", "quote", "exponent"), [(18, 6, 30), (6, 18, 6), (8, 6, 20), (18, 18, 18)]
)
def test_price_divisor__allowed_decimals(asset, quote, exponent):
    assert units.price_divisor(asset, quote) == 10**exponent


@pytest.mark.parametrize(("asset", "quote"), [(5, 6), (18, 19)])
def test_price_divisor__other_decimals__refused(asset, quote):
    with pytest.raises(ValueError, match="decimals"):
        units.price_divisor(asset, quote)
