# SPDX-License-Identifier: MIT
"""Vault, book and guard do what the reference model does, plan by plan, refusals included."""

from __future__ import annotations

import random
from collections import Counter

import boa
import pytest

from tests.vault_twins import VaultTwins

STEPS = 50
SEEDS = (1, 2, 3)
refused: Counter[str] = Counter()
ETHER, QUOTE = 10**18, 10**6


@pytest.fixture(scope="module")
def deployed():
    with boa.env.anchor():
        yield VaultTwins()


def sensible(twins, chance, n):
    """Return a leg that closes the gap at one venue, with margin for it."""
    seen = twins.vault.position(twins.oracle.try_read(at=twins.now)[1].price_wad, at=twins.now)
    size = -seen.gap or chance.randint(-2, 2) * ETHER
    held = seen.margins[n]
    wanted = max(0, abs(held.delta + size) * chance.randint(25, 45) // 100 - held.assets)
    return twins.leg(n, size, min(wanted, twins.vault.idle_assets))


def near(chance, size):
    return size * chance.choice((25, 50, 90, 100, 100, 101, 120)) // 100


def drawn(twins, chance):
    """Return a plan: one that closes the gap, moves, settles, tops up, or makes no sense."""
    n = chance.randrange(2)
    vault, margin = twins.vault, twins.vault.position(10**21, at=twins.now).margins
    kind = chance.randrange(9)
    some = chance.randint(1, 30) * ETHER // 10
    limit = 10**30
    match kind:
        case 0 | 1 | 2:
            leg = sensible(twins, chance, n)
            return twins.plan(twins.leg(n, near(chance, leg.size), near(chance, leg.margin_assets)))
        case 3:  # neutral: settle against the spot market
            side = chance.choice((1, -1))
            leg = twins.leg(n, side * some, quote=-chance.choice((0, some * 900 // 10**12)))
            after = chance.randrange(2)
            sale = limit if side < 0 else chance.choice((0, 0, limit))
            return twins.plan(
                leg, spot_after=after, spot_assets=-side * some, spot_limit_price_wad=sale
            )
        case 4:  # a move between venues
            a, b = twins.leg(n, some), twins.leg(1 - n, -near(chance, some), some // 3)
            return twins.plan(a, b)
        case 5:
            return twins.plan(twins.leg(n, 0, chance.choice((some, -some, 0, 10**20))))
        case 6:
            quote = chance.choice((1, -1)) * some * 500 // 10**12
            return twins.plan(twins.leg(n, 0, 0, quote), twins.leg(n, 0, some // 4))
        case 7:
            size = margin[n].delta * chance.randint(1, 150) // -100
            return twins.plan(twins.leg(n, size))
    leg = sensible(twins, chance, n)
    return chance.choice(
        (
            twins.plan(leg, nonce=vault.nonce + 1),
            twins.plan(leg, deadline=twins.now - 1),
            twins.plan(),
            twins.plan(leg, leg),
            twins.plan(twins.leg(n, 2**112 + 1)),
            twins.plan(twins.leg(n, 1_001 * ETHER)),
            twins.plan(leg, spot_assets=1, spot_limit_price_wad=10**30 + 1),
            twins.plan(leg, spot_assets=-some, spot_limit_price_wad=0, spot_after=7),
        )
    )


def live(twins, chance):
    """Let something happen to both."""
    match chance.randrange(7):
        case 0:
            answer = twins.asset_feed.last_round.answer
            twins.publish(max(answer * chance.choice((98, 99, 101, 101, 106)) // 100, 10**9))
        case 1 | 2:
            twins.wait(chance.choice((12, 700, 1_500)))
        case 3 | 4:
            if twins.oracle.try_read(at=twins.now)[0]:
                twins.deposit(chance.randint(3, 15) * ETHER)
        case 5:
            twins.trade(chance.randrange(2), chance.randint(-60, 60) * ETHER)


@pytest.mark.parametrize("seed", SEEDS)
def test_rebalance__random_plans__as_the_model_to_the_unit(deployed, seed):
    chance = random.Random(seed)
    with boa.env.anchor():
        deployed.restart()
        accepted = [deployed.rebalance(drawn(deployed, chance)) for _ in range(3)].count(None)
        for step in range(STEPS):
            if step == STEPS - 10:
                deployed.pause(3_600)
            live(deployed, chance)
            accepted += deployed.rebalance(drawn(deployed, chance)) is None
    refused.update(deployed.refused)
    assert accepted >= STEPS // 7, deployed.refused
    if seed == SEEDS[-1]:
        assert len(refused) >= 15, refused
