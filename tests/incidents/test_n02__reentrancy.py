# SPDX-License-Identifier: MIT
"""
N-02: tokens with callbacks. Whatever moves tokens, re-entry into vault, book, queue or venue
reverts, also into another contract than the one at work; and N-03: a view called in the middle
reverts or says what was true before or is true after.
"""

from __future__ import annotations

import boa
import pytest

from tests.market_world import MAX_UINT, NOBODY, deployer
from tests.vault_world import Leg, vault_world


class Stage:
    """A hedged vault over callback tokens; the re-entrant is a holder and the keeper."""

    def __init__(self):
        tokens = [
            deployer("testing/CallbackToken.vy").deploy(name, name, decimals)
            for name, decimals in (("ETH", 18), ("USDC", 6))
        ]
        self.world = world = vault_world(asset=tokens[0], quote=tokens[1])
        self.attacker = deployer("testing/Reenterer.vy").deploy()
        world.book.set_keeper(self.attacker.address)
        for token in tokens:
            token.mint(self.attacker.address, 10**26)
            for spender in (world.vault, world.venue, world.spot, world.base.pool):
                self.act(token, "approve", spender.address, MAX_UINT)
        world.deposit(world.depositor("other"), 10)
        self.act(world.vault, "deposit", world.assets(90), self.attacker.address)
        self.plan(Leg(margin_assets=world.assets(30), size=-world.assets(100)))
        world.pass_time(world.limits["cooldown_secs"])
        self.plan(Leg(size=world.assets(10)), spot_assets=-world.assets(10))
        world.pass_time(world.limits["cooldown_secs"])
        self.plan(Leg(margin_quote=world.quotes(2_000)))
        self.act(world.vault, "approve", world.queue.address, MAX_UINT)
        self.act(world.queue, "request", 10**21, 0)
        world.become_due()

    def act(self, contract, name, *args):
        call = getattr(contract, name).prepare_calldata(*args)
        return self.attacker.execute(contract.address, call)

    def plan(self, *legs, **fields):
        self.act(self.world.book, "rebalance", self.world.plan(*legs, **fields))

    def hook(self, token, when, contract, name, *args):
        address = self.attacker.address
        hooks = (address, NOBODY) if when == "before" else (NOBODY, address)
        getattr(self.world, token).set_hooks(*hooks)
        self.attacker.arm(contract.address, getattr(contract, name).prepare_calldata(*args))


OPERATIONS = {
    "deposit": ("asset", lambda s, u: s.act(s.world.vault, "deposit", u, s.attacker.address)),
    "mint": ("asset", lambda s, u: s.act(s.world.vault, "mint", 1_000 * u, s.attacker.address)),
    "withdraw": (
        "asset",
        lambda s, u: s.act(s.world.vault, "withdraw", u, s.attacker.address, s.attacker.address),
    ),
    "exit_from_margin": (
        "asset",
        lambda s, u: s.act(
            s.world.vault,
            "withdraw",
            s.world.vault.idle_assets() + 2 * u,
            "0x" + "99" * 20,
            s.attacker.address,
        ),
    ),
    "fill": ("asset", lambda s, u: s.act(s.world.queue, "process", 1)),
    "margin_in": ("asset", lambda s, u: s.plan(Leg(margin_assets=u))),
    "margin_out": ("asset", lambda s, u: s.plan(Leg(margin_assets=-u))),
    "quote_in": ("quote", lambda s, u: s.plan(Leg(margin_quote=10**8))),
    "quote_out": ("quote", lambda s, u: s.plan(Leg(margin_quote=-(10**8)))),
    "spot_sale": ("asset", lambda s, u: s.plan(Leg(size=u), spot_assets=-u)),
    "spot_sale_quote": ("quote", lambda s, u: s.plan(Leg(size=u), spot_assets=-u)),
    "spot_purchase": ("quote", lambda s, u: s.plan(Leg(size=-u), spot_assets=u)),
    "spot_purchase_asset": ("asset", lambda s, u: s.plan(Leg(size=-u), spot_assets=u)),
}


FLOWS = {"deposit", "mint", "withdraw", "exit_from_margin", "fill"}  # without a plan


def calls(stage):
    """State-changing calls that would all pass on their own."""
    world, me, unit = stage.world, stage.attacker.address, stage.world.assets(1)
    return [
        (world.vault, "deposit", (unit, me)),
        (world.vault, "mint", (unit, me)),
        (world.vault, "withdraw", (unit, me, me)),
        (world.vault, "redeem", (10**20, me, me)),
        (world.queue, "process", (1,)),
        (world.book, "rebalance", (world.plan(Leg(margin_assets=10**15)),)),
    ]


def views(stage):
    world, me, unit = stage.world, stage.attacker.address, stage.world.assets(1)
    price = world.price()
    return [
        (world.vault, "totalAssets", ()),
        (world.vault, "convertToAssets", (10**21,)),
        (world.vault, "convertToShares", (unit,)),
        (world.vault, "previewDeposit", (unit,)),
        (world.vault, "previewRedeem", (10**21,)),
        (world.vault, "maxRedeem", (me,)),
        (world.vault, "idle_assets", ()),
        (world.book, "valuation", ()),
        (world.book, "flow", ()),
        (world.book, "state", ()),
        (world.book, "free_assets", (price,)),
        (world.venue, "margin", (world.book.address, price)),
    ]


@pytest.fixture(scope="module")
def stage():
    with boa.env.anchor():
        yield Stage()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_n02__reentry_from_a_token__reverts(stage, operation, when):
    token, run = OPERATIONS[operation]
    for contract, name, args in calls(stage):
        with boa.env.anchor():
            # The same call passes on its own: it is the lock that stops it.
            stage.act(contract, name, *args)
        with boa.env.anchor():
            stage.hook(token, when, contract, name, *args)
            if name == "rebalance":  # its nonce would be stale inside a plan: give the next
                plan = list(args[0])
                plan[0] += operation not in FLOWS
                stage.hook(token, when, contract, name, tuple(plan))
            run(stage, stage.world.assets(1))
            assert stage.attacker.attempts() == 1, (operation, name)
            assert not stage.attacker.succeeded(), (operation, name)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_n03__view_in_the_middle__reverts_or_says_before_or_after(stage, operation, when):
    token, run = OPERATIONS[operation]
    unit = stage.world.assets(1)
    for contract, name, args in views(stage):
        call = getattr(contract, name).prepare_calldata(*args)
        with boa.env.anchor():
            before = boa.env.raw_call(contract.address, data=call).output
            stage.hook(token, when, contract, name, *args)
            run(stage, unit)
            after = boa.env.raw_call(contract.address, data=call).output
            assert stage.attacker.attempts() == 1
            if stage.attacker.succeeded():
                assert stage.attacker.response() in (before, after), (operation, name)
