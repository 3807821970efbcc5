# SPDX-License-Identifier: MIT
"""
N-02, the venue's side: tokens with callbacks. Whatever moves tokens at venue, pool or fund,
re-entry into the venue reverts, into each of the four contracts that its code is in, because they
share one lock; and what pool and fund let through in the meantime pays nobody more than outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boa
import pytest

from tests.market_world import MAX_UINT, NOBODY, deployer
from tests.venue_world import FUND_DELAY, World, world


class Stage:
    """A venue over callback tokens; the re-entrant is trader, provider and staker."""

    def __init__(self) -> None:
        tokens = [
            deployer("testing/CallbackToken.vy").deploy(name, name, decimals)
            for name, decimals in (("ETH", 18), ("USDC", 6))
        ]
        self.world: World = world(insurance=10, asset=tokens[0], quote=tokens[1])
        w = self.world
        self.attacker = deployer("testing/Reenterer.vy").deploy()
        for token in tokens:
            token.mint(self.attacker.address, 10**26)
            for spender in (w.venue, w.pool, w.fund):
                self.act(token, "approve", spender.address, MAX_UINT)
        self.act(w.venue, "deposit", w.assets(20), w.quotes(40))
        self.act(w.venue, "trade", 0, w.assets(40), MAX_UINT)
        self.act(w.fund, "stake", w.quotes(10))
        w.pass_time(w.fund.ENTRY_DELAY())
        w.fund.enter(self.attacker.address)
        self.act(w.fund, "request_unstake", w.fund.shares_of(self.attacker.address) // 2)
        self.act(w.fund, "stake", w.quotes(5))  # may enter when a test lets it
        self.failing = w.trader("failing", quote=9)
        w.trade(self.failing, 30)
        self.debtor = w.trader("debtor", assets=12)
        w.trade(self.debtor, -40)
        w.pass_time(FUND_DELAY)
        self.act(w.pool, "request_provide", w.quotes(10), 0)
        w.set_price("0.8")
        w.venue.liquidate(self.failing, sender=w.owner)
        w.become_due()
        w.set_price("0.95")
        w.stand()
        much = w.venue.offer().size - w.assets("0.4")  # the rest may be unwound
        w.venue.take_over(much, MAX_UINT, sender=w.trader("taker", quote=20))
        self.act(w.venue, "trade", 0, w.assets(1), MAX_UINT)  # a fee for the fund to collect

    def act(self, contract: Any, name: str, *args: Any) -> Any:
        call = getattr(contract, name).prepare_calldata(*args)
        return self.attacker.execute(contract.address, call)

    def hook(self, token: str, when: str, contract: Any, name: str, *args: Any) -> None:
        address = self.attacker.address
        hooks = (address, NOBODY) if when == "before" else (NOBODY, address)
        getattr(self.world, token).set_hooks(*hooks)
        self.attacker.arm(contract.address, getattr(contract, name).prepare_calldata(*args))


Operation = Callable[[Stage, World], Any]
OPERATIONS: dict[str, tuple[str, Operation]] = {
    "deposit": ("quote", lambda s, w: s.act(w.venue, "deposit", 0, w.quotes(1))),
    "deposit_assets": ("asset", lambda s, w: s.act(w.venue, "deposit", w.assets(1), 0)),
    "withdraw": ("quote", lambda s, w: s.act(w.venue, "withdraw", 0, 10**6, w.owner)),
    "settle": ("quote", lambda s, w: s.act(w.venue, "settle")),
    "collect": ("quote", lambda s, w: s.act(w.fund, "collect", w.venue.address)),
    "unstake": ("quote", lambda s, w: s.act(w.fund, "unstake", 0)),
    "stake": ("quote", lambda s, w: w.fund.stake(10**6)),
    "request_provide": ("quote", lambda s, w: w.pool.request_provide(10**6, 0)),
}


def venue_calls(s: Stage) -> list[tuple[Any, str, tuple[Any, ...]]]:
    """Calls of all five contracts of the venue; those of the first lines pass on their own."""
    w, me = s.world, s.attacker.address
    return [
        (w.venue, "deposit", (0, 10**6)),
        (w.venue, "withdraw", (0, 10**6, me)),
        (w.venue, "trade", (0, w.assets(1), MAX_UINT)),
        (w.venue, "accrue", ()),
        (w.venue, "settle", ()),
        (w.venue, "unwind", ()),
        (w.venue, "take_over", (w.assets("0.1"), MAX_UINT)),
        (w.venue, "wind_up", ()),
        (w.venue, "liquidate", (s.failing,)),
        (w.venue, "settle_debt", (s.debtor,)),
        (w.venue, "realise", ()),
        (w.venue, "deleverage", (1, [me])),
        (w.venue, "abandon", ()),
        (w.venue, "close", ([me],)),
        (w.venue, "fix_claims", ()),
        (w.venue, "release", (me,)),
    ]


PASSING = 8


@pytest.fixture(scope="module")
def stage() -> Any:
    with boa.env.anchor():
        yield Stage()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", ["deposit", "deposit_assets", "withdraw", "settle"])
def test_n02__venue_moves_tokens__its_other_parts_are_locked(
    stage: Stage, operation: str, when: str
) -> None:
    token, run = OPERATIONS[operation]
    for place, (contract, name, args) in enumerate(venue_calls(stage)):
        with boa.env.anchor():
            if place < PASSING:
                stage.act(contract, name, *args)  # so it is the lock that stops it
        with boa.env.anchor():
            stage.hook(token, when, contract, name, *args)
            run(stage, stage.world)
            assert stage.attacker.attempts() == 1, (operation, name)
            assert not stage.attacker.succeeded(), (operation, name)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("call", ["enter", "execute_provide"])
def test_n02__shares_bought_in_the_middle__no_more_than_outside(
    stage: Stage, operation: str, call: str, when: str
) -> None:
    """Fund and pool may be entered while only the venue is locked, but never get cheaper."""
    w, me = stage.world, stage.attacker.address
    token, run = OPERATIONS[operation]
    contract, args, shares = {
        "enter": (w.fund, (me,), lambda: w.fund.shares_of(me)),
        "execute_provide": (w.pool, (me,), lambda: w.pool.shares_of(me)),
    }[call]
    outside = []
    for first in (False, True):  # the call alone, before or after the operation
        with boa.env.anchor():
            if first:
                run(stage, w)
            before = shares()
            stage.act(contract, call, *args)
            outside.append(shares() - before)
    with boa.env.anchor():
        stage.hook(token, when, contract, call, *args)
        before = shares()
        run(stage, w)
        assert stage.attacker.attempts() == 1
        if stage.attacker.succeeded():
            assert shares() - before <= max(outside)
