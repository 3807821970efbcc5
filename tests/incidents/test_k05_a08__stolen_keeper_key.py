# SPDX-License-Identifier: MIT
"""
K-05, A-08: who has the keeper's key can lose no more than the budget in any 24 hours.

The thief owns the other side of both venues and moves the hedge between them, which needs no
drift, at fills as bad as the bounds allow, every hour and a half for two days. First form:
without the public fallback and without deleveraging.
"""

from __future__ import annotations

import boa
from boa import BoaError

from tests.vault_world import DAY, Leg, add_settable_venue, vault_world

BUDGET_BPS = 200


def lose(world, venues, turn, edge_bps):
    """Move half the hedge there or back at fills `edge_bps` off; return quote lost or None."""
    here, there = venues if turn % 2 else venues[::-1]
    here.set_fill(10**14 * (10_000 - edge_bps))
    there.set_fill(10**14 * (10_000 + edge_bps))
    size = world.assets(20)
    try:
        return world.rebalance(
            Leg(size=-size, venue=here.address), Leg(size=size, venue=there.address)
        ).cost
    except BoaError as error:
        if "book: cost over its b" not in str(error):
            raise
        return None


def test_k05__thief_with_the_key__loses_at_most_the_budget_in_any_day():
    with boa.env.anchor():
        world = vault_world(
            cost_budget_bps=BUDGET_BPS, turnover_budget_bps=1_000_000, urgent_reserve_bps=0
        )
        world.deposit(world.depositor("holder"), 100)
        venues = [add_settable_venue(world, 10_000) for _ in range(2)]
        unit = world.assets(1)
        for venue in venues:
            world.rebalance(Leg(margin_assets=40 * unit, size=-50 * unit, venue=venue.address))
        nav, lost, turn = world.value(world.vault.totalAssets()), [], 0
        for _ in range(32):
            world.pass_time(5_400)
            for edge_bps in (99, 33, 11):
                cost = lose(world, venues, turn, edge_bps)
                if cost is not None:
                    lost.append((boa.env.timestamp, cost))
                    turn += 1
                    break
        most = nav * BUDGET_BPS // 10_000
        assert sum(cost for _, cost in lost) > most  # he tried, and in two days he got on
        days = [sum(c for when, c in lost if at <= when < at + DAY) for at, _ in lost]
        assert most // 2 < max(days) <= most
