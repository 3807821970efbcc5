# SPDX-License-Identifier: MIT
"""K-04: dust brings no rebalance about, and a cooldown that runs holds up no urgent one."""

from __future__ import annotations

import boa

from tests.vault_world import Leg


def test_k04__many_dust_deposits__cost_the_sender_and_move_nothing(world, owners):
    world.hedge()
    griefer = world.depositor("griefer")
    for _ in range(20):
        world.vault.deposit(10**13, griefer, sender=griefer)
    assert abs(world.drift_bps()) < world.limits["inner_band_bps"]
    world.pass_time(world.limits["cooldown_secs"])
    with boa.reverts("book: drift inside the band"):
        world.rebalance(Leg(size=-world.gap()))
    paid = world.assets(10_000) - world.asset.balanceOf(griefer)
    assert world.vault.convertToAssets(world.vault.balanceOf(griefer)) < paid


def test_k04__cooldown_runs__an_urgent_plan_passes_at_once(world, owners):
    world.hedge()
    world.deposit(owners[0], 2)  # 3 %: over the inner band only
    with boa.reverts("book: cooldown"):
        world.rebalance(Leg(margin_assets=world.assets(1), size=-world.gap()))
    world.deposit(owners[0], 10)
    assert world.drift_bps() > world.limits["urgent_band_bps"]
    world.rebalance(Leg(margin_assets=world.assets(6), size=-world.gap()))
    assert abs(world.drift_bps()) < world.limits["inner_band_bps"]
