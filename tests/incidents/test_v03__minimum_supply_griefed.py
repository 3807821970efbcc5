# SPDX-License-Identifier: MIT
"""V-03: a donation before the first deposit must not make a deposit of the minimum revert."""

from __future__ import annotations

import boa
import pytest

from tests.vault_world import vault_world


@pytest.mark.parametrize("decimals", [6, 8, 18])
@pytest.mark.parametrize("exponent", [0, 6, 18, 30])
def test_v03__donation_first__minimum_deposit_still_passes(decimals, exponent):
    with boa.env.anchor():
        world = vault_world(decimals)
        depositor = world.depositor("depositor")
        for receiver in (world.vault, world.book):
            world.asset.mint(receiver.address, 10**exponent)
            world.quote.mint(receiver.address, 10**exponent)
        least = world.vault.MIN_SUPPLY()
        assets = world.vault.previewMint(least)
        assert world.vault.deposit(assets, depositor, sender=depositor) >= least
