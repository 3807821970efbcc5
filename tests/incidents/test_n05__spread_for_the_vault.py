# SPDX-License-Identifier: MIT
"""N-05: price at deposit >= worth >= price at withdrawal, in any state."""

from __future__ import annotations

import boa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vault_world import vault_world


@pytest.fixture(scope="module")
def world():
    """Hedged, then 20 more came: a gap, quote in the venue's account."""
    with boa.env.anchor():
        world = vault_world()
        world.deposit(world.depositor("holder"), 80)
        world.hedge()
        world.deposit(world.depositor("late"), 20)
        yield world


@given(
    price=st.integers(30_000, 250_000).map(lambda cents: cents / 100),
    amount=st.integers(10**3, 3 * 10**19),
)
def test_n05__any_price_and_amount__spread_is_the_vaults(world, price, amount):
    with boa.env.anchor():
        world.set_price(price)
        vault = world.vault
        shares = vault.previewDeposit(amount)
        assert vault.convertToAssets(shares) <= amount
        assert shares <= vault.convertToShares(amount)
        assert vault.previewRedeem(shares) <= vault.convertToAssets(shares)
        assert vault.previewMint(shares) >= vault.convertToAssets(shares)
        assert vault.previewWithdraw(amount) >= vault.convertToShares(amount)
        assert vault.previewRedeem(shares) <= amount
