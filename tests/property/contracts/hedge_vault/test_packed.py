# SPDX-License-Identifier: MIT
from __future__ import annotations

import boa
import pytest
from hypothesis import given
from hypothesis import strategies as st

HARNESS = """
from modules import packed

@external
@pure
def part(word: uint256, offset: uint256, bits: uint256) -> uint256:
    return packed.part(word, offset, bits)

@external
@pure
def replace(word: uint256, number: uint256, offset: uint256, bits: uint256) -> uint256:
    return packed.replace(word, number, offset, bits)
"""


@pytest.fixture(scope="module")
def packed():
    import tests.market_world  # noqa: F401  sets the search path

    with boa.env.anchor():
        yield boa.loads(HARNESS)


@given(
    word=st.integers(0, 2**256 - 1),
    bits=st.sampled_from([8, 16, 24, 32, 40, 72, 96, 128, 160]),
    offset=st.integers(0, 248),
    number=st.integers(0, 2**160 - 1),
)
def test_replace__any_part__takes_the_number_and_touches_nothing_else(
    packed, word, bits, offset, number
):
    offset = min(offset, 256 - bits)
    if number >> bits:
        with boa.reverts(dev="number does not fit"):
            packed.replace(word, number, offset, bits)
        return
    after = packed.replace(word, number, offset, bits)
    assert packed.part(after, offset, bits) == number
    mask = ((1 << bits) - 1) << offset
    assert after & ~mask == word & ~mask
