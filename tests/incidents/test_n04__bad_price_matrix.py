# SPDX-License-Identifier: MIT
"""
N-04: what works while there is no good price, by design 2.4.

Nothing that is priced: neither entry nor exit nor a plan, also none that reduces risk, because
its result could not be judged. What has no price goes on: shares move, a pause begins and ends,
roles and limits change, views answer with the last good price. Exit in kind after a long time of
it is a later issue. N-10: every malformed answer is such a bad price.
"""

from __future__ import annotations

import boa
import pytest

from tests.vault_world import HOUR, LIMIT_NAMES, Leg, vault_world

NOW = object()
ROUNDS = {
    "zero": ((2, 0, NOW, NOW, 2), "oracle: asset feed zero"),
    "negative": ((2, -1, NOW, NOW, 2), "oracle: asset feed negative"),
    "incomplete": ((2, 10**11, NOW, 0, 2), "oracle: asset feed incomplete"),
    "old round": ((2, 10**11, NOW, NOW, 1), "oracle: asset feed old round"),
    "stale": (None, "oracle: asset feed stale"),
}


@pytest.fixture
def world():
    with boa.env.anchor():
        world = vault_world()
        world.deposit(world.depositor("holder"), 50)
        world.hedge()
        world.deposit(world.depositor("late"), 10)
        yield world


@pytest.mark.parametrize("fault", ROUNDS)
def test_n04__bad_price__everything_priced_says_why(world, fault):
    answer, reason = ROUNDS[fault]
    boa.env.time_travel(seconds=HOUR + 1)
    if answer is not None:
        at = boa.env.timestamp
        world.base.asset_feed.set_round(*(at if x is NOW else x for x in answer))
    holder = world.depositor("another")
    for attempt in (
        lambda: world.deposit(holder, 1),
        lambda: world.vault.mint(10**21, holder, sender=holder),
        lambda: world.vault.withdraw(1, holder, holder, sender=holder),
        lambda: world.vault.redeem(1, holder, holder, sender=holder),
        lambda: world.rebalance(Leg(size=-world.assets(10))),
        lambda: world.rebalance(Leg(margin_assets=1)),
        world.book.valuation,
    ):
        with boa.reverts(reason):
            attempt()


def test_n04__bad_price__the_rest_goes_on(world):
    holder = world.depositor("one more")
    world.deposit(holder, 1)
    world.break_oracle()
    assert world.vault.totalAssets() > world.assets(59)
    world.vault.transfer(boa.env.eoa, 5, sender=holder)
    world.vault.pause_entry(HOUR, sender=world.guardian)
    world.vault.lift_entry_pause()
    world.book.pause_rebalancing(HOUR, sender=world.guardian)
    world.book.set_keeper(holder)
    world.book.set_limits(tuple(world.limits[name] for name in LIMIT_NAMES))
    assert not world.lens.snapshots([world.vault.address])[2][0].price_ok
