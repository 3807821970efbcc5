# SPDX-License-Identifier: MIT
"""A-19: a venue under its margin stops no plan elsewhere; a rescue of margin may leave drift."""

from __future__ import annotations

from tests.vault_world import Leg, add_settable_venue


def test_a19__other_venue_under_its_floor__a_plan_on_this_one_passes(world, owners):
    other = add_settable_venue(world)
    half = {"margin_assets": world.assets(12), "size": -world.assets(30)}
    world.rebalance(Leg(**half), Leg(**half, venue=other.address))
    other.set_maintenance(9_000)  # of the notional: what is there is far under the floor
    world.deposit(owners[0], 10)
    world.rebalance(Leg(margin_assets=world.assets(5), size=-world.gap()))
    assert abs(world.drift_bps()) < world.limits["inner_band_bps"]


def test_a19__margin_under_the_floor_and_drift__margin_alone_may_come(world, owners):
    world.hedge(0.1)
    world.deposit(owners[0], 10)
    drift = world.drift_bps()
    assert drift > world.limits["urgent_band_bps"]
    world.set_price(1_060)
    floor, before = world.limits["margin_floor_bps"], world.margin_ratio_bps()
    world.rebalance(Leg(margin_assets=world.assets(10)))
    assert world.margin_ratio_bps() > max(before, floor)
    assert world.drift_bps() > world.limits["urgent_band_bps"]
