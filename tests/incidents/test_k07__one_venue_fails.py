# SPDX-License-Identifier: MIT
"""K-07: a venue that fails in every call stops neither the other one nor the exits."""

from __future__ import annotations

import boa
import pytest

from tests.vault_world import Leg, add_settable_venue, vault_world

SILENT, BURNING = 1, 2


@pytest.mark.parametrize("silence", [SILENT, BURNING])
@pytest.mark.parametrize("first", [True, False], ids=["hedge here", "hedge there"])
def test_failing_venue__others_hedge_and_holders_leave(silence, first):
    with boa.env.anchor():
        world = vault_world()
        holder = world.depositor("holder")
        world.deposit(holder, 100)
        failing = add_settable_venue(world)
        half = {"margin_assets": world.assets(20), "size": -world.assets(50)}
        legs = [Leg(**half), Leg(**half, venue=failing.address)]
        world.rebalance(*(legs if first else legs[::-1]))
        failing.set_silence(silence)
        shares = world.vault.balanceOf(holder) // 10
        assert world.vault.redeem(shares, holder, holder, sender=holder) > world.assets(7)
        world.pass_time(world.limits["cooldown_secs"])
        world.set_price(1_000)
        world.rebalance(Leg(size=-world.gap()))  # what the exit left too short is bought back
        assert abs(world.drift_bps()) < world.limits["inner_band_bps"]
        number = world.request(holder, shares)
        world.become_due()
        assert world.queue.process(1) == 1
        assert world.queue.request_of(number).shares == 0
