# SPDX-License-Identifier: MIT
"""Q-03 (Lyra): a frozen account at the head of the queue stops nobody behind it."""

from __future__ import annotations

import boa

from tests.market_world import deployer
from tests.vault_world import vault_world


def test_frozen_head__others_are_paid_and_his_claim_stays():
    with boa.env.anchor():
        token = deployer("testing/BlacklistToken.vy").deploy("Token", "ETH", 18)
        world = vault_world(asset=token)
        owners = [world.depositor(f"owner {n}") for n in range(3)]
        for owner in owners:
            world.deposit(owner, 20)
            world.request(owner, 10**22)
        token.set_blacklisted(owners[0], True)
        world.become_due()
        assert world.queue.process(10) == 3
        with boa.reverts("token: receiver is blacklisted"):
            world.queue.claim(owners[0])
        claims = [world.queue.claim_of(owner) for owner in owners]
        for owner, claim in zip(owners[1:], claims[1:], strict=True):
            assert world.queue.claim(owner) == claim > 0
        assert world.queue.reserved_assets() == claims[0] == token.balanceOf(world.queue.address)
        token.set_blacklisted(owners[0], False)
        assert world.queue.claim(owners[0]) == claims[0]
