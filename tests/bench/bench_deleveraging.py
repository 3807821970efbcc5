# SPDX-License-Identifier: MIT
"""The recorded event as a table, and the time for many accounts; asserts no time."""

from __future__ import annotations

import random
import time

import pytest

from keeper.deleveraging import check, deleverage
from keeper.units import Assets, Quote
from tests.deleveraging_world import (
    SHOCKS,
    WAVES,
    failed_longs,
    maintenance_of,
    position,
    read_waves,
    table,
)

ETHER, DOLLAR = 10**18, 10**6


@pytest.mark.skipif(
    not (WAVES.exists() and SHOCKS.exists()), reason="the recorded event is not beside the project"
)
def test_event__need_against_taken() -> None:
    """Print need, production and ours for each wave, dollars; what is over is in units."""
    print(f"\n{table(read_waves())}")


@pytest.mark.parametrize("count", [100, 1_000, 10_000])
def test_many_accounts__time(count: int) -> None:
    """Time of this process only: other work on the machine does not count."""
    chance = random.Random(7)
    positions = []
    for i in range(1, count + 1):
        size = chance.randint(ETHER // 10, 100 * ETHER)
        leverage = chance.uniform(0.1, 20)  # at a price of 2,000
        equity = int(size / ETHER * 2_000 * DOLLAR / leverage)
        positions.append(position(i, -size, equity))
    interest = sum(-each.size for each in positions)
    batch = failed_longs(interest // 3, 50 * count * 2_000 * DOLLAR // 100)

    def maintenance(size: Assets) -> Quote:
        return maintenance_of(500)(Assets(size * 2_000 * DOLLAR // ETHER))

    began = time.process_time()
    done = deleverage(batch, positions, maintenance)
    computed = time.process_time()
    check(batch, positions, maintenance, done.cuts, done.leverage)
    verified = time.process_time()
    cut = sum(1 for each in done.cuts if each.size)
    print(
        f"\n{count:>7,} accounts, {cut:,} cut: computed in {(computed - began) * 1_000:.1f} ms, "
        f"checked in {(verified - computed) * 1_000:.1f} ms; "
        f"over {sum(each.size for each in done.cuts) - interest // 3} units"
    )
