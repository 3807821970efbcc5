# SPDX-License-Identifier: MIT
"""A-22: asset margin counts at its full price; moving it there and back changes no value."""

from __future__ import annotations

from tests.vault_world import Leg


def test_a22__moved_to_margin_and_back__worth_the_same(world, owners):
    worth = world.vault.totalAssets()
    world.rebalance(Leg(margin_assets=world.assets(30)))
    margin = world.margin()
    assert margin.assets == world.assets(30)
    assert margin.equity < world.value(world.assets(30))  # the haircut is for margin only
    assert world.vault.totalAssets() == worth
    world.rebalance(Leg(margin_assets=-world.assets(30)))
    assert world.vault.totalAssets() == worth == world.vault.idle_assets()
