# SPDX-License-Identifier: MIT
"""
G-04, A-21: a venue reports ten times what is there, or a loss of more than all.

Who leaves on a gain takes no more than the credit for funding from the others, a hundredth of what
is at stake at the venue in a day; and nobody enters at the wrong price, which would be too high or,
capped, too low. A loss takes no more than what is there, whoever buys shares on it is refused, and
nobody is kept from leaving.
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


def test_venue_hides_what_is_there__accomplice_cannot_buy_and_others_can_leave():
    with boa.env.anchor():
        world = vault_world()
        stayer, accomplice = world.depositor("stayer"), world.depositor("accomplice")
        world.deposit(stayer, 100)
        liar = add_settable_venue(world)
        world.rebalance(
            Leg(margin_assets=world.assets(30), size=-world.assets(100), venue=liar.address)
        )
        honest = world.vault.totalAssets()
        for hidden in (5_000, 30_000, 10**9):
            liar.set_faults(10_000, 10_000, -world.quotes(hidden), 0)
            for _ in range(3):
                world.book.flag()
                world.pass_time(3_600)
                world.set_price(1_000)
                with boa.reverts("vault: hedge is not sound"):
                    world.deposit(accomplice, 10)
            assert world.vault.totalAssets() > world.assets(70) - 10**10  # rounding
            assert paid_to(world, stayer, shares=10**22) > 0
        liar.set_faults(10_000, 10_000, 0, 0)
        assert world.vault.totalAssets() == honest


def paid_to(world, leaver, shares=None):
    """Return what the leaver would be paid, for all his shares if not said otherwise."""
    with boa.env.anchor():
        shares = shares or world.vault.balanceOf(leaver)
        return int(world.vault.redeem(shares, leaver, leaver, sender=leaver))
