# SPDX-License-Identifier: MIT
"""V-02: everybody leaves, dust stays, somebody donates: shares start at their first price."""

from __future__ import annotations

import boa
import pytest

from tests.vault_world import vault_world


@pytest.mark.parametrize("decimals", [6, 8, 18])
@pytest.mark.parametrize("rounds", [1, 3])
def test_v02__emptied_and_donated_to__price_starts_at_one(decimals, rounds):
    with boa.env.anchor():
        world = vault_world(decimals)
        first, second = world.depositor("first"), world.depositor("second")
        for _ in range(rounds):
            for holder, whole in ((first, 7), (second, "3.000001")):
                world.deposit(holder, whole)
            for holder in (second, first):
                shares = world.vault.balanceOf(holder)
                world.vault.redeem(shares, holder, holder, sender=holder)
        assert world.vault.totalSupply() == 0
        assert world.vault.totalAssets() <= 2 * rounds
        for receiver in (world.vault, world.book, world.venue):
            world.asset.mint(receiver.address, world.assets(1_000))
            world.quote.mint(receiver.address, world.quotes(1_000))
        unit = world.assets(1)
        assert world.vault.convertToAssets(unit * 1_000) == unit
        assert world.vault.convertToShares(unit) == unit * 1_000
        third = world.depositor("third")
        world.deposit(third, "0.01")
        assert abs(world.vault.convertToAssets(unit * 1_000) - unit) <= unit // 80  # his charge


def test_v02__worth_of_a_share__never_rounds_a_rate_to_zero():
    """From the first deposit on an asset's worth of shares is worth about an asset."""
    with boa.env.anchor():
        world = vault_world(6)
        holder = world.depositor("holder")
        least = world.vault.MIN_SUPPLY() // 1_000 * 103 // 100
        world.vault.deposit(least, holder, sender=holder)
        assert world.vault.convertToAssets(10**9) in range(999_000, 1_020_000)
