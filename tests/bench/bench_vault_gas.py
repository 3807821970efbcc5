# SPDX-License-Identifier: MIT
"""
Gas of a vault by how many venues it has, and of a queue of a thousand requests; asserts none.

In titanoboa with every account and slot cold, as a transaction finds them, and with what a
transaction costs before it runs: beside the receipts of `tests/gas_snapshot.json` for one venue.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boa
import pytest

from tests.market_world import MAX_UINT
from tests.vault_world import HOUR, Leg, VaultWorld, vault_world
from tests.venue_world import deploy_pool, deploy_venue

pytestmark = pytest.mark.ignore_isolation  # what makes slots cold ends boa's own snapshots

SNAPSHOT = Path(__file__).parents[1] / "gas_snapshot.json"
TARGETS = {"deposit": 150_000, "withdraw from idle": 150_000, "rebalance": 230_000}  # design 7
A_VENUE = {"deposit": 40_000, "withdraw from idle": 40_000, "rebalance": 50_000}
BASE, BYTE, ZERO_BYTE = 21_000, 16, 4  # of a transaction and its data
REQUESTS, OWNERS, A_CALL = 1_000, 50, 50


def gas_of(contract: Any, call: Any) -> int:
    """Return what a receipt would say."""
    boa.env._reset_access_counters()
    call()
    done = contract._computation
    data = bytes(done.msg.data)
    intrinsic = BASE + sum(BYTE if byte else ZERO_BYTE for byte in data)
    used = int(done.get_gas_used()) + intrinsic
    return used - min(int(done.get_gas_refund()), used // 5)


def add_venue(w: VaultWorld) -> str:
    """Register another venue with the terms of the first, and a pool of its own."""
    base = w.base
    pool = deploy_pool(base.asset, base.quote, base.oracle)
    venue = deploy_venue((base.asset, base.quote, base.oracle, pool, base.fund), base.terms)
    pool.set_venue(venue.address)
    base.quote.mint(base.owner, base.quotes(10_000_000))
    base.quote.approve(pool.address, MAX_UINT)
    pool.request_provide(base.quotes(10_000_000), 0)
    w.pass_time(HOUR)
    pool.execute_provide(base.owner)
    w.book.add_venue(venue.address, 8_000)
    return str(venue.address)


def measured(count: int) -> dict[str, int]:
    """Return gas of a vault hedged at so many venues."""
    w = vault_world()
    venues = [w.venue.address, *(add_venue(w) for _ in range(count - 1))]
    first, second = w.depositor("first"), w.depositor("second")
    w.deposit(first, 60)
    part = w.assets(60) // count
    legs = [Leg(margin_assets=part // 2, size=-part, venue=venue) for venue in venues]
    w.rebalance(*legs)
    found = {"deposit": gas_of(w.vault, lambda: w.deposit(second, 12))}
    leave = (w.assets(1), first, first)
    found["withdraw from idle"] = gas_of(w.vault, lambda: w.vault.withdraw(*leave, sender=first))
    w.pass_time(HOUR)
    plan = w.plan(Leg(size=-w.assets(10)))
    found["rebalance"] = gas_of(w.book, lambda: w.book.rebalance(plan, sender=w.keeper))
    return found


def test_venues__one_to_three() -> None:
    receipts = json.loads(SNAPSHOT.read_text())
    figures = {count: measured(count) for count in (1, 2, 3)}
    print(
        f"\n{'':20}{'receipt':>10}" + "".join(f"{f'{n} venues':>12}{'target':>10}" for n in figures)
    )
    for name, base in TARGETS.items():
        line = f"{name:20}{receipts[name]:>10,}"
        for count, found in figures.items():
            line += f"{found[name]:>12,}{base + count * A_VENUE[name]:>10,}"
        print(line)


def test_queue__a_thousand_requests_drained() -> None:
    w = vault_world()
    owners = [w.depositor(f"owner {n}", 100) for n in range(OWNERS)]
    for owner in owners:
        w.deposit(owner, 1)
    shares = w.vault.balanceOf(owners[0]) // (REQUESTS // OWNERS) // 2
    asked = [
        gas_of(w.queue, lambda owner=owner: w.request(owner, shares))
        for _ in range(REQUESTS // OWNERS)
        for owner in owners
    ]
    w.become_due()
    filled = []
    while w.queue.pending_shares():
        filled.append(gas_of(w.queue, lambda: w.queue.process(A_CALL)))
    print(
        f"\n{REQUESTS:,} requests: {sum(asked) // REQUESTS:,} gas to ask; {len(filled)} calls "
        f"of {A_CALL}, {max(filled):,} gas at most, {sum(filled) // REQUESTS:,} a request"
    )
