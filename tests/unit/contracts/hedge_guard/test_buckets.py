# SPDX-License-Identifier: MIT
"""What is in the buckets: shares of NAV in quote, of the least equity where NAV is under it."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import DAY, WAD, deployer
from tests.vault_world import LIMIT_NAMES, default_limits

PRICE, DIVISOR = 1_000 * WAD, 10**30
LEAST = 10 * 10**6  # quote; 0.01 assets at 1,000
COST, TURNOVER, NEUTRAL = WAD // 1_000, WAD // 2, WAD // 3  # of NAV
NO_LEAK = dict.fromkeys(("cost_budget_bps", "turnover_budget_bps"), 0)


@pytest.fixture(scope="module")
def guard():
    with boa.env.anchor():
        yield deployer("HedgeGuard.vy").deploy()


def used(guard, nav, *, passed=0, price=PRICE, **limits):
    word = COST | TURNOVER << 72 | NEUTRAL << 144 | (boa.env.timestamp - passed) << 216
    chosen = default_limits() | limits
    return guard.used(word, nav, price, DIVISOR, tuple(chosen[name] for name in LIMIT_NAMES))


@pytest.mark.parametrize(
    ("nav", "base"),
    [
        (10**12, 10**12),
        (LEAST + 1, LEAST + 1),
        (LEAST - 1, LEAST),
        (0, LEAST),
        (-(10**12), LEAST),
    ],
)
def test_used__nav_or_the_least_equity__rounded_up(guard, nav, base):
    shares = COST, TURNOVER, NEUTRAL
    assert used(guard, nav, **NO_LEAK) == tuple(-(-share * base // WAD) for share in shares)


def test_used__equity_worth_less_than_a_unit__a_unit(guard):
    assert used(guard, 0, min_equity=1, price=1, **NO_LEAK) == (1, 1, 1)


@pytest.mark.parametrize("passed", [0, DAY // 4, DAY])
def test_used__time_passes__half_the_daily_budget_leaks_in_a_day(guard, passed):
    """Budgets of 20 bp and 100 %: 10 bp and 50 % are what leaks."""
    nav = 10**12
    full = COST * nav // WAD, TURNOVER * nav // WAD
    left = used(guard, nav, passed=passed, cost_budget_bps=20, turnover_budget_bps=10_000)
    assert left[:2] == tuple(amount * (DAY - passed) // DAY for amount in full)


def test_leaked__part_of_a_share__stays_in_the_bucket(guard):
    """20 bp a day are 10^15 of what leaks in 86,400 s: a second takes 11,574,074,074.07 of it."""
    word = COST | (boa.env.timestamp - 1) << 216
    chosen = default_limits() | {"cost_budget_bps": 20}
    left = guard.leaked(word, tuple(chosen[name] for name in LIMIT_NAMES))
    assert left & (2**72 - 1) == COST - WAD // 1_000 // DAY
