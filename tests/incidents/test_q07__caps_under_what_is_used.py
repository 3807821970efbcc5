# SPDX-License-Identifier: MIT
"""Q-07: a cap set under what is used already underflows nothing, and exits go on."""

from __future__ import annotations

import boa

from tests.vault_world import LIMIT_NAMES


def test_q07__all_caps_under_the_usage__entry_closed_exits_open(world, owners):
    world.hedge()
    world.deposit(owners[0], 5)  # a gap, which the new limits do not allow
    world.book.set_allotment(world.venue.address, 0)
    tight = world.limits | {"max_trade": 1, "gap_share_bps": 0, "gap_floor": 1}
    world.book.set_limits(tuple(tight[name] for name in LIMIT_NAMES))
    for owner in owners:
        assert world.vault.maxDeposit(owner) == world.vault.maxMint(owner) == 0
        with boa.reverts("vault: gap over its limit"):
            world.deposit(owner, 1)
    for owner in owners:
        shares = world.vault.maxRedeem(owner) // 3
        assert world.vault.redeem(shares, owner, owner, sender=owner) > world.assets(9)
    number = world.request(owners[0], world.vault.balanceOf(owners[0]) // 4)
    world.become_due()
    assert world.queue.process(1) == 1
    assert world.queue.request_of(number).shares == 0
