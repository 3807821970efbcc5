# SPDX-License-Identifier: MIT
"""
G-04, A-21: a venue reports ten times what is there.

Who leaves on that takes no more than the credit for funding from the others, a hundredth of what is
at stake at the venue in a day; and nobody enters at the wrong price, which would be too high or,
capped, too low.
"""

from __future__ import annotations

import boa

from tests.vault_world import DAY, Leg, add_settable_venue, vault_world


def test_lying_venue__leaver_takes_at_most_the_credit():
    with boa.env.anchor():
        world = vault_world()
        stayer, leaver = world.depositor("stayer"), world.depositor("leaver")
        world.deposit(stayer, 60)
        world.deposit(leaver, 40)
        liar = add_settable_venue(world)
        world.rebalance(
            Leg(margin_assets=world.assets(30), size=-world.assets(100), venue=liar.address)
        )
        honest = paid_to(world, leaver)
        at_stake = world.value(world.assets(70)) + world.value(world.assets(100))
        liar.set_faults(10_000, 10_000, world.quotes(1_000_000), 0)
        assert world.vault.maxDeposit(stayer) == 0
        taken = paid_to(world, leaver) - honest
        credit = world.assets(at_stake // 100 * 40 // 100) // world.quotes(1_000)
        assert 0 < taken <= credit + world.assets("0.01")
        for _ in range(5):
            world.book.flag()  # noting it again and again brings nothing
        assert paid_to(world, leaver) - honest <= taken + world.assets("0.01")
        world.pass_time(DAY)
        world.set_price(1_000)
        assert paid_to(world, leaver) - honest <= 2 * credit + world.assets("0.02")


def paid_to(world, leaver):
    """Return what the leaver would be paid for all his shares."""
    with boa.env.anchor():
        shares = world.vault.balanceOf(leaver)
        return int(world.vault.redeem(shares, leaver, leaver, sender=leaver))
