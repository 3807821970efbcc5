# SPDX-License-Identifier: MIT
"""V-06: withdraw(maxWithdraw) and redeem(maxRedeem) never revert and leave at most dust."""

from __future__ import annotations

import boa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vault_world import vault_world


@pytest.fixture(scope="module")
def worlds():
    with boa.env.anchor():
        yield {decimals: vault_world(decimals) for decimals in (6, 8, 18)}


@given(
    decimals=st.sampled_from([6, 8, 18]),
    mine=st.integers(1_100, 90_000),
    others=st.integers(0, 9_000),
    hedged=st.sampled_from([None, "0.15", "0.3", "0.5"]),
    price=st.integers(700, 1_250),
    entry=st.booleans(),
    by_shares=st.booleans(),
)
def test_v06__any_state__maximum_succeeds_and_leaves_dust(  # noqa: PLR0917
    worlds, decimals, mine, others, hedged, price, entry, by_shares
):
    world = worlds[decimals]
    with boa.env.anchor():
        unit = world.assets(1) // 1_000
        holder, other = world.depositor("holder"), world.depositor("other")
        world.vault.deposit(mine * unit, holder, sender=holder)
        if others > 2:
            world.vault.deposit(others * unit, other, sender=other)
        if hedged:
            world.hedge(float(hedged))
        world.set_price(price)
        vault = world.vault
        if entry:
            call, most = (
                (vault.mint, vault.maxMint(holder))
                if by_shares
                else (vault.deposit, vault.maxDeposit(holder))
            )
            if most:
                call(most, holder, sender=holder)
            return
        call, limit = (
            (vault.redeem, vault.maxRedeem) if by_shares else (vault.withdraw, vault.maxWithdraw)
        )
        most = limit(holder)
        if most:
            call(most, holder, holder, sender=holder)
        assert limit(holder) <= vault.MIN_SUPPLY() * 3
