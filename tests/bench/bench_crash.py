# SPDX-License-Identifier: MIT
"""
A price that halves in one step, 200 accounts: time, gas and blocks to clear, losses by layer.

Runs on the contracts in titanoboa; gas is that of the calls and 21,000 for each transaction.
Asserts that nothing is lost, never a time.
"""

from __future__ import annotations

import random
import time
from typing import Any

import boa

from keeper.deleveraging import Batch, Position, deleverage
from keeper.snapshot import Address
from keeper.units import Assets, Quote, Wad
from tests.venue_world import World, world

BASE_GAS = 21_000  # of a transaction
BLOCK_GAS = 30_000_000
ACCOUNTS = 200
CHUNK = 100  # accounts that one call of deleveraging takes


class Meter:
    """Counts transactions and their gas."""

    def __init__(self, w: World) -> None:
        self.w, self.calls, self.gas, self.largest = w, 0, 0, 0

    def __call__(self, call: Any, *arguments: Any, **options: Any) -> Any:
        """Make a call of the venue and count it."""
        result = call(*arguments, **options)
        used = self.w.venue.called._computation.get_gas_used() + BASE_GAS
        self.calls, self.gas, self.largest = (
            self.calls + 1,
            self.gas + used,
            max(self.largest, used),
        )
        return result


def crowd(insurance: int) -> tuple[World, list[str]]:
    """Return a market of 200 accounts, half long and half short, of 2 to 12 times leverage."""
    unit = 10**18
    w = world(
        price=2_500,
        liquidity=20_000_000,
        insurance=insurance,
        skew_scale=100_000 * unit,
        max_side=20_000 * unit,
        initial_base_wad=8 * 10**16,
        reward_floor=2 * 10**6,
        reward_cap=150 * 10**6,
        reward_share_wad=5 * 10**15,
        unwind_step=0,
    )
    chance = random.Random(11)
    accounts = []
    for i in range(ACCOUNTS):
        size = chance.randint(5, 30)
        margin = size * 2_500 // chance.randint(2, 11) + 100
        account = w.trader(f"trader {i}", quote=margin)
        w.trade(account, size if i % 2 else -size)
        accounts.append(account)
    return w, accounts


def listed(w: World, accounts: list[str], cause: int, price: int) -> list[str]:
    """Return the order of the rule, from the state in front of us."""
    side = -1 if cause == 1 else 1
    quote, size = w.venue.queue(cause == 1)
    margins = {each: w.venue.margin(each, price) for each in accounts}
    positions = [
        Position(owner=Address(each), size=Assets(m.delta), equity=Quote(m.equity))
        for each, m in margins.items()
        if m.delta * side > 0
    ]
    state = w.venue.state()
    batch = Batch(
        deficit=Quote(quote),
        failed_size=Assets(-side * size),
        price_wad=Wad(price),
        divisor=w.divisor(),
        skew=Assets(state.long_size - state.short_size),
    )
    return [str(cut.owner) for cut in deleverage(batch, positions, lambda _: Quote(0)).cuts]


def test_crash__half_the_price__everything_is_accounted_for() -> None:
    for insurance in (0, 250_000):
        _crash(insurance)


def _crash(insurance: int) -> None:
    w, accounts = crowd(insurance)
    rescuer = w.actor("rescuer")
    held = w.quote.balanceOf(w.venue.address) + w.quote.balanceOf(w.pool.address)
    held += w.quote.balanceOf(w.fund.address)
    price = w.set_price(1_250)
    failing = [each for each in accounts if w.venue.liquidation(each, price)[0]]
    meter, began = Meter(w), time.process_time()
    losses = penalties = covered = queued = 0
    for account in failing:
        meter(w.venue.liquidate, account, sender=rescuer)
        event = next(e for e in w.venue.get_logs() if type(e).__name__ == "AccountLiquidated")
        losses += event.outcome.loss
        penalties += event.outcome.penalty
        covered += event.covered
        queued += event.deficit
    liquidated = meter.calls, meter.gas, meter.largest
    winners = listed(w, accounts, 1, price) if queued else []
    borne, cuts, meter.largest = 0, 0, 0
    if winners:
        assert len(winners) <= CHUNK
        assert meter(w.venue.deleverage, 1, winners)
        events = [e for e in w.venue.get_logs() if type(e).__name__ == "AccountDeleveraged"]
        cuts, borne = len(events), sum(e.loss for e in events)
        assert w.venue.queue(True) == (0, 0)
    seconds = time.process_time() - began
    after = w.quote.balanceOf(w.venue.address) + w.quote.balanceOf(w.pool.address)
    assert after + w.quote.balanceOf(w.fund.address) == held  # nothing lost
    assert not any(w.venue.liquidation(each, price)[0] for each in accounts)
    unit = 10**w.quote_decimals
    print(
        f"\n{ACCOUNTS} accounts, 2,500 to 1,250, fund {insurance:,}: "
        f"{len(failing)} liquidated in {liquidated[0]} transactions, {liquidated[1]:,} gas "
        f"(largest {liquidated[2]:,}), {-(-meter.gas // BLOCK_GAS)} blocks of 30 M\n"
        f"losses beyond margin {losses / unit:,.0f}, penalties paid {penalties / unit:,.0f}, "
        f"fund {covered / unit:,.0f}, queued {queued / unit:,.0f}, "
        f"winners {borne / unit:,.0f}, pool {(queued - borne) / unit:,.0f}\n"
        f"deleveraging: {len(winners)} listed, {cuts} cut, {meter.largest:,} gas in one call"
        + (f" = {(meter.largest - 60_000) // len(winners):,} an account" if winners else "")
        + f"; {seconds:.1f} s of process time in titanoboa"
    )
    boa.env.time_travel(seconds=1)
