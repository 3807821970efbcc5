# SPDX-License-Identifier: MIT
"""A book that unwinds ends in assets alone: the keeper closes, buys back and repays."""

from __future__ import annotations

import boa
import pytest

from keeper.policy import Memory, Policy
from keeper.risk import assess
from keeper.snapshot import Block, Snapshot
from keeper.strategy import Hold, Rebalance, decide
from tests.vault_twins import FEED_UNIT, PRICE, VaultTwins

POLICY = Policy(settle_trigger_bps=10_000)  # profit and debt stay until the unwinding
STEP = 900  # seconds
PATIENCE = 200  # steps: budgets let some of NAV be traded in a day


@pytest.fixture(scope="module")
def deployed():
    with boa.env.anchor():
        yield VaultTwins()


def seen(twins):
    block = Block(number=1, hash="0x", parent_hash="", at=twins.now, base_fee=0)
    return Snapshot(block=block, vault=twins.vault.snapshot(at=twins.now), words=b"")


def kept(twins, price, steps):
    """Let the keeper work until he holds, on both sides alike; return his reasons."""
    memory, reasons = Memory(), []
    for _ in range(steps):
        decision = decide(seen(twins), POLICY, memory)
        memory = decision.memory
        if isinstance(decision, Rebalance):
            assert twins.rebalance(decision.plan) is None, decision.reason
            reasons.append(decision.reason)
        elif isinstance(decision, Hold) and "inside the band" in decision.reason:
            break
        twins.wait(STEP)
        twins.publish(price)
    return reasons


def arbitraged(twins, tenths):
    """Let both spot markets follow the price, at the same depth in assets."""
    world, spot = twins.world, twins.vault.spot
    assets, quote = world.spot.reserves()
    more = quote * (tenths - 10) // 10
    world.spot.withdraw(0, quote, world.base.owner)
    world.spot.seed(0, quote + more)
    spot.withdraw("owner", 0, quote)
    spot.seed("owner", 0, quote + more)
    assert world.spot.reserves() == (assets, quote + more)


@pytest.mark.parametrize(
    ("moved", "reason"),
    [(7, "quote without a position"), (14, "quote debt")],
)
def test_unwinding__after_a_move__ends_in_assets_alone(deployed, moved, reason):
    with boa.env.anchor():
        deployed.restart()
        kept(deployed, PRICE * FEED_UNIT, 10)
        deployed.publish(PRICE * FEED_UNIT * moved // 10)
        arbitraged(deployed, moved)
        deployed.unwind()
        reasons = kept(deployed, PRICE * FEED_UNIT * moved // 10, PATIENCE)
        vault = seen(deployed).vault
        risk = assess(vault)
        assert any(each == reason for each in reasons)
        assert [venue.margin.delta for venue in vault.venues[:2]] == [0, 0]
        assert risk.drift_bps <= vault.limits.inner_band_bps
        assert abs(risk.quote_value) * 100 <= risk.nav
        assert min(venue.margin.quote for venue in vault.venues) > -risk.nav // 100
