# SPDX-License-Identifier: MIT
"""N-06: a value read without a poke is the value after one; nobody gains by poking."""

from __future__ import annotations

import boa
import pytest

from tests.venue_world import WAD, world


@pytest.mark.parametrize("seconds", [1, 59, 3_600, 28_800, 1_000_001])
def test_n06__read_without_poke__equals_read_after(seconds: int) -> None:
    w = world(price=2, liquidity=10_000)
    long = w.trader("long", quote=100)
    short = w.trader("short", quote=100)
    w.trade(long, 70)
    w.trade(short, -20)
    w.pass_time(seconds)
    read = [w.venue.margin(each, 2 * WAD) for each in (long, short)]
    market = w.venue.market(2 * WAD)
    pool = w.pool.equity(2 * WAD)
    w.venue.accrue()
    assert [w.venue.margin(each, 2 * WAD) for each in (long, short)] == read
    assert w.venue.market(2 * WAD) == market
    assert w.pool.equity(2 * WAD) == pool


def test_n06__poking_at_a_constant_price__gains_nothing() -> None:
    w = world(liquidity=10_000)
    long = w.trader("long", quote=100)
    short = w.trader("short", quote=100)
    w.trade(long, 70)
    w.trade(short, -20)
    with boa.env.anchor():
        w.pass_time(36_000)
        once = [w.venue.margin(each, WAD)[1] for each in (long, short)]
    for _ in range(36):
        w.pass_time(1_000)
        w.venue.accrue()
    often = [w.venue.margin(each, WAD)[1] for each in (long, short)]
    # payers up, receivers down: pokes can only cost, and less than a unit of quote
    assert 0 <= once[0] - often[0] <= 1
    assert 0 <= once[1] - often[1] <= 1
