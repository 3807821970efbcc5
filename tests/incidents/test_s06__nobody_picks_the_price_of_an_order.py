# SPDX-License-Identifier: MIT
"""S-06: an exit that waits is priced by a round after its delay, a plan not after its deadline."""

from __future__ import annotations

import boa
import pytest

from tests.vault_world import QUEUE_DELAY, Leg


def test_s06__rounds_inside_the_delay__price_nothing(world, owners):
    world.request(owners[0], world.vault.balanceOf(owners[0]))
    for price in (1_010, 990, 1_005):
        world.pass_time(QUEUE_DELAY // 4)
        world.set_price(price)
        with boa.reverts("queue: nothing is due"):
            world.queue.process(1)


@pytest.mark.parametrize("rounds_waited", [1, 2])
def test_s06__who_picks_a_later_round__pays_for_the_choice(world, owners, rounds_waited):
    """The first round after the delay bears no base charge, each later one does."""
    number = world.request(owners[0], world.vault.balanceOf(owners[0]) // 2)
    world.become_due()
    for _ in range(rounds_waited - 1):
        world.pass_time(60)
    world.queue.process(1)
    filled = next(e for e in world.queue.get_logs() if type(e).__name__ == "RedemptionFilled")
    assert filled.id == number
    assert (filled.base_charge > 0) == (rounds_waited > 1)


def test_s06__plan_after_its_deadline__is_not_carried_out(world, owners):
    plan = world.plan(Leg(margin_assets=world.assets(1)), deadline=boa.env.timestamp + 30)
    world.pass_time(31)
    with boa.reverts("book: deadline passed"):
        world.book.rebalance(plan, sender=world.keeper)
