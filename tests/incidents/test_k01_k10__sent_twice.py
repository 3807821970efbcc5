# SPDX-License-Identifier: MIT
"""K-01, K-10: a plan is good once, for a while, at a state that it names."""

from __future__ import annotations

import boa
import pytest

from tests.vault_world import HOUR, Leg, vault_world


@pytest.fixture
def world():
    with boa.env.anchor():
        world = vault_world()
        world.deposit(world.depositor("holder"), 100)
        yield world


def test_k10__same_plan_twice__second_reverts_and_hedges_nothing(world):
    plan = world.plan(Leg(margin_assets=world.assets(30), size=-world.assets(50)))
    world.book.rebalance(plan, sender=world.keeper)
    with boa.reverts("book: wrong nonce"):
        world.book.rebalance(plan, sender=world.keeper)
    assert world.margin().delta == -world.assets(50)


def test_k01__plan_kept_for_a_better_price__expires(world):
    plan = world.plan(Leg(margin_assets=world.assets(30), size=-world.assets(50)))
    world.pass_time(HOUR)
    with boa.reverts("book: deadline passed"):
        world.book.rebalance(plan, sender=world.keeper)


def test_k01__two_plans_for_one_state__one_passes(world):
    plans = [
        world.plan(Leg(margin_assets=world.assets(30), size=-world.assets(n))) for n in (50, 60)
    ]
    world.book.rebalance(plans[1], sender=world.keeper)
    with boa.reverts("book: wrong nonce"):
        world.book.rebalance(plans[0], sender=world.keeper)
