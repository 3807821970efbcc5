# SPDX-License-Identifier: MIT
"""N-02 and N-03 for exits in kind: what a token's hook may do in the middle of one."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import NOBODY, deployer
from tests.vault_world import Leg, vault_world

SHARES = 10**21


class Stage:
    """A vault with idle assets and quote over callback tokens; claims of a settled round."""

    def __init__(self):
        tokens = [
            deployer("testing/CallbackToken.vy").deploy(name, name, decimals)
            for name, decimals in (("ETH", 18), ("USDC", 6))
        ]
        self.world = world = vault_world(asset=tokens[0], quote=tokens[1])
        self.attacker = deployer("testing/Reenterer.vy").deploy()
        other = world.depositor("other")
        world.deposit(other, 100)
        world.rebalance(Leg(margin_assets=world.assets(20), size=-world.assets(50)))
        world.pass_time(world.limits["cooldown_secs"])
        world.rebalance(Leg(size=world.assets(10)), spot_assets=-world.assets(10))
        world.vault.transfer(self.attacker.address, 20 * SHARES, sender=other)
        world.pass_time(60)
        world.open_exit()
        self.exit()
        world.set_price(1_000)
        world.exit.settle()
        world.pass_time(60)
        world.open_exit()

    def exit(self):
        me = self.attacker.address
        self.act(self.world.exit, "exit", SHARES, me, me, 0, 0)

    def act(self, contract, name, *args):
        call = getattr(contract, name).prepare_calldata(*args)
        return self.attacker.execute(contract.address, call)

    def hook(self, token, when, contract, name, *args):
        address = self.attacker.address
        hooks = (address, NOBODY) if when == "before" else (NOBODY, address)
        getattr(self.world, token).set_hooks(*hooks)
        self.attacker.arm(contract.address, getattr(contract, name).prepare_calldata(*args))


@pytest.fixture(scope="module")
def stage():
    with boa.env.anchor():
        yield Stage()


def calls(stage):
    """State-changing calls that all pass on their own while there is no price."""
    me, leaving = stage.attacker.address, stage.world.exit
    return [
        (leaving, "exit", (SHARES, me, me, 0, 0)),
        (leaving, "redeem", (0, 10**20, me)),
    ]


def views(stage):
    world = stage.world
    last = world.state()["last_price_wad"]
    return [
        (world.vault, "totalAssets", ()),
        (world.vault, "convertToAssets", (SHARES,)),
        (world.vault, "convertToShares", (world.assets(1),)),
        (world.vault, "idle_assets", ()),
        (world.book, "flow", ()),
        (world.book, "apart", (last,)),
        (world.book, "state", ()),
        (world.exit, "settled_supply", (last,)),
        (world.exit, "hollow_shares", ()),
        (world.exit, "round_of", (0,)),
    ]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("token", ["asset", "quote"])
def test_n02__reentry_in_an_exit__reverts(stage, token, when):
    for contract, name, args in calls(stage):
        with boa.env.anchor():
            stage.act(contract, name, *args)
        with boa.env.anchor():
            stage.hook(token, when, contract, name, *args)
            stage.exit()
            assert stage.attacker.attempts() == 1
            assert not stage.attacker.succeeded(), name


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("token", ["asset", "quote"])
def test_n03__view_in_an_exit__reverts_or_says_before_or_after(stage, token, when):
    for contract, name, args in views(stage):
        call = getattr(contract, name).prepare_calldata(*args)
        with boa.env.anchor():
            before = boa.env.raw_call(contract.address, data=call).output
            stage.hook(token, when, contract, name, *args)
            stage.exit()
            after = boa.env.raw_call(contract.address, data=call).output
            assert stage.attacker.attempts() == 1
            if stage.attacker.succeeded():
                assert stage.attacker.response() in (before, after), name
