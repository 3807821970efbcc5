# SPDX-License-Identifier: MIT
"""V-01: a donation must not take anything from the next depositor, nor pay the donor."""

from __future__ import annotations

import boa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vault_world import vault_world


@pytest.fixture(scope="module")
def world():
    with boa.env.anchor():
        yield vault_world()


@given(
    donation=st.integers(0, 30).flatmap(lambda e: st.integers(1, 10**e)),
    first=st.integers(10**15 + 10**14, 10**19),
    victim=st.integers(10**17, 10**19),
    to_book=st.booleans(),
)
def test_v01__any_donation__changes_nothing_but_the_donors_wealth(
    world, donation, first, victim, to_book
):
    results = []
    for given_away in (0, donation):
        with boa.env.anchor():
            attacker, depositor = world.depositor("attacker"), world.depositor("victim")
            world.asset.mint(attacker, donation)
            shares = world.vault.deposit(first, attacker, sender=attacker)
            receiver = world.book if to_book else world.vault
            world.asset.transfer(receiver.address, given_away, sender=attacker)
            bought = world.vault.deposit(victim, depositor, sender=depositor)
            kept = victim * (10_000 - 90) // 10_000 - victim // 1_000  # base, then gap
            assert world.vault.convertToAssets(bought) >= kept
            world.vault.redeem(shares, attacker, attacker, sender=attacker)
            wealth = world.asset.balanceOf(attacker) + given_away
            results.append((wealth, bought, world.vault.totalAssets()))
    assert results[0] == results[1]
