# SPDX-License-Identifier: MIT
"""V-05: limits are the owner's; receiver and caller may be anybody, in all four flows."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import MAX_UINT


@pytest.mark.parametrize("flow", ["deposit", "mint"])
def test_v05__entry__payer_and_receiver_differ(world, flow):
    payer, receiver = world.depositor("payer"), str(boa.env.generate_address("receiver"))
    amount = world.assets(1) if flow == "deposit" else world.assets(1) * 1_000
    answer = getattr(world.vault, flow)(amount, receiver, sender=payer)
    shares, paid = (answer, amount) if flow == "deposit" else (amount, answer)
    assert (world.vault.balanceOf(receiver), world.vault.balanceOf(payer)) == (shares, 0)
    assert world.asset.balanceOf(payer) == world.assets(10_000) - paid


@pytest.mark.parametrize("flow", ["withdraw", "redeem"])
def test_v05__exit__three_parties__owners_limit_governs(world, flow):
    owner, rich = world.depositor("owner"), world.depositor("rich")
    caller, receiver = (str(boa.env.generate_address(n)) for n in ("caller", "receiver"))
    world.deposit(owner, 1)
    world.deposit(rich, 50)
    world.vault.approve(caller, MAX_UINT, sender=owner)
    limit = world.vault.maxWithdraw if flow == "withdraw" else world.vault.maxRedeem
    call = getattr(world.vault, flow)
    with boa.reverts("erc20: burn amount exceeds balance"):
        call(limit(owner) + 10**15, rich, owner, sender=caller)
    with boa.reverts("erc20: insufficient allowance"):
        call(limit(rich) // 2, receiver, rich, sender=caller)
    assert limit(receiver) == 0
    call(limit(owner), receiver, owner, sender=caller)
    assert world.asset.balanceOf(receiver) > 0
    assert world.vault.balanceOf(owner) <= 10**6
    assert world.vault.balanceOf(rich) > 0 == world.asset.balanceOf(caller)
