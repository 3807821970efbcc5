# SPDX-License-Identifier: MIT
"""K-02: who makes the work himself and waits for the whole reward has paid more than he gets."""

from __future__ import annotations

import boa

from tests.vault_world import FALLBACK, Leg

GRACE, RAMP, MOST = FALLBACK


def test_k02__own_deposit_makes_the_drift__costs_more_than_the_reward(world, owners):
    world.hedge()
    farmer = world.depositor("farmer")
    shares = world.deposit(farmer, 4)  # over 5 % of 64: the least that is urgent
    assert world.drift_bps() > world.limits["urgent_band_bps"]
    world.book.flag(sender=farmer)
    world.pass_time(GRACE + RAMP)
    world.set_price(1_000)
    leg = world._leg(Leg(margin_assets=world.assets(2), size=-world.gap()))
    with boa.reverts("book: reward too high"):
        world.book.fall_back(leg, MOST + 1, farmer, sender=farmer)
    world.book.fall_back(leg, MOST, farmer, sender=farmer)
    world.vault.redeem(shares, farmer, farmer, sender=farmer)
    lost = world.assets(10_000) - world.asset.balanceOf(farmer)
    assert lost > 10 * MOST


def test_k02__somebody_else_named__only_he_is_paid(world, owners):
    world.hedge()
    world.deposit(owners[0], 10)
    world.book.flag()
    world.pass_time(GRACE + RAMP // 2)
    world.set_price(1_000)
    sender, receiver = (str(boa.env.generate_address(name)) for name in ("sender", "receiver"))
    leg = world._leg(Leg(margin_assets=world.assets(5), size=-world.gap()))
    idle = world.vault.idle_assets()
    world.book.fall_back(leg, MOST // 2, receiver, sender=sender)
    assert world.asset.balanceOf(receiver) == MOST // 2
    assert world.asset.balanceOf(sender) == 0
    assert world.vault.idle_assets() == idle - world.assets(5) - MOST // 2
