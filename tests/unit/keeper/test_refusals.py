# SPDX-License-Identifier: MIT
"""Venues at which the chain refuses to trade: the order goes elsewhere, for a while."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.errors import CallRefused, Unsendable
from keeper.explain import recompute
from keeper.plan import Leg, Plan
from keeper.policy import Memory, Policy, decode_memory
from keeper.refusals import IN_A_ROW, SHUT_SECS, Refusals, parts
from keeper.snapshot import Block
from keeper.strategy import Rebalance, decide
from keeper.units import Assets, Quote, Wad
from tests.keeper_world import ETHER, VAULT, address, snapshot, venue
from tests.unit.keeper.test_runner import Bench, MemoryChain

FIRST, SECOND = "0x" + "a1" * 20, "0x" + "a2" * 20
NO_HORIZON = Policy(funding_horizon_secs=0)


def two(*, short=0, assets=35, idle=100):
    """Return a vault that is 100 long or so over two venues, short at the first."""
    held = {"assets": assets * ETHER, "delta": -short * ETHER}
    return snapshot(venue(address=FIRST, **held), venue(address=SECOND), idle_assets=idle * ETHER)


def plan_at(*venues, size=-ETHER):
    legs = tuple(Leg(venue=each, size=Assets(size)) for each in venues)
    return Plan(
        nonce=0, deadline=0, decision_id=b"\0" * 32, legs=legs, spot_after=0,
        spot_assets=Assets(0), spot_limit_price_wad=Wad(0),
    )  # fmt: skip


def refused(times, *venues, at=0):
    refusals = Refusals()
    for _ in range(times):
        refusals.refused(VAULT, venues, at)
    return refusals


def test_mask__fewer_refusals_than_in_a_row__nothing_is_left_out():
    assert refused(IN_A_ROW - 1, FIRST).mask(two().vault, 0) == 0
    assert refused(IN_A_ROW, FIRST).mask(two().vault, 0) == 1
    assert refused(IN_A_ROW, SECOND).mask(two().vault, 0) == 2


def test_mask__one_that_passed_between__counting_starts_again():
    refusals = refused(IN_A_ROW - 1, FIRST)
    refusals.passed(VAULT, plan_at(FIRST))
    refusals.refused(VAULT, [FIRST], 0)
    assert refusals.mask(two().vault, 0) == 0


def test_mask__time_over__tried_again_and_as_many_refusals_needed():
    refusals = refused(IN_A_ROW, FIRST, at=100)
    assert refusals.mask(two().vault, 100 + SHUT_SECS - 1) == 1
    assert refusals.mask(two().vault, 100 + SHUT_SECS) == 0
    refusals.refused(VAULT, [FIRST], 100 + SHUT_SECS)
    assert refusals.mask(two().vault, 100 + SHUT_SECS) == 0


def test_mask__every_venue_that_answers__all_are_tried_again():
    """Then it was not the venue: the plan breaks a limit, or the vault's rights are gone."""
    refusals = refused(IN_A_ROW, FIRST, SECOND)
    state = two().vault
    assert refusals.mask(state, 0) == 0
    silent = replace(state.venues[1], answers=False)
    only_first = refused(IN_A_ROW, FIRST)
    assert only_first.mask(replace(state, venues=(state.venues[0], silent)), 0) == 0


def test_mask__refusals_far_apart__are_not_in_a_row():
    refusals = refused(IN_A_ROW - 1, FIRST)
    refusals.refused(VAULT, [FIRST], SHUT_SECS + 1)
    assert refusals.mask(two().vault, SHUT_SECS + 1) == 0


def test_refused__at_another_vault__says_nothing_of_this_one():
    refusals = Refusals()
    for _ in range(IN_A_ROW):
        refusals.refused(address(99), [FIRST], 0)
    assert refusals.mask(two().vault, 0) == 0


def test_parts__plan_with_margin_trades_and_spot__the_trades_alone():
    plan = plan_at(FIRST, SECOND)
    margin = Leg(venue=FIRST, margin_assets=Assets(5))
    mixed = replace(plan, legs=(margin, *plan.legs), spot_after=1, spot_assets=Assets(-3))
    assert parts(mixed) == [plan_at(FIRST), plan_at(SECOND)]


def test_decide__refusing_venue__order_goes_to_the_other_and_the_sum_says_so():
    decision = decide(two(), NO_HORIZON, Memory(refusing=1))
    assert {leg.venue for leg in decision.plan.legs} == {SECOND}
    assert recompute(decision.lines) is None
    assert ("refusing", 1) in {(line.name, line.value) for line in decision.lines}
    assert decision.memory.refusing == 0  # who decides next looks again


@pytest.mark.parametrize("policy", [NO_HORIZON, replace(NO_HORIZON, shut_venues=2)])
def test_decide__no_other_takes_the_order__the_refusing_venue_is_tried_all_the_same(policy):
    state = two()
    first, second = state.vault.venues
    full = replace(second, market=replace(second.market, max_side=Assets(0)))
    state = replace(state, vault=replace(state.vault, venues=(first, full)))
    decision = decide(state, policy, Memory(refusing=1))
    assert {leg.venue for leg in decision.plan.legs if leg.size} == {FIRST}
    assert recompute(decision.lines) is None


def test_decide__unwinding_and_the_venue_of_the_position_refuses__closes_and_buys_nothing_first():
    state = two(short=100, idle=0)
    book = replace(state.vault.state, unwinds=True, hedge_ratio_bps=0, idle_quote=Quote(4 * 10**10))
    state = replace(state, vault=replace(state.vault, state=book))
    decision = decide(state, NO_HORIZON, Memory(refusing=1))
    assert decision.plan.spot_assets == 0
    assert {leg.venue for leg in decision.plan.legs if leg.size > 0} == {FIRST}


def test_decide__refusing_venue_low_on_margin__is_topped_up_all_the_same():
    decision = decide(two(short=100, assets=10, idle=90), NO_HORIZON, Memory(refusing=1))
    assert isinstance(decision, Rebalance)
    (leg,) = decision.plan.legs
    assert (leg.venue, leg.size) == (FIRST, 0)
    assert leg.margin_assets > 0


def test_memory__nothing_refuses__the_text_is_as_it_always_was():
    assert b"refusing" not in Memory().encode()
    assert decode_memory(Memory(refusing=2).encode()) == Memory(refusing=2)


class RefusingChain(MemoryChain):
    """A chain on which no plan may trade at some venues."""

    def __init__(self, state, error, *refusing):
        super().__init__(state)
        self.error_of = error
        self.refusing = [bytes.fromhex(each[2:]) for each in refusing]

    def simulate(self, sender, to, calldata, gas):
        if any(each in calldata for each in self.refusing):
            raise self.error_of
        return super().simulate(sender, to, calldata, gas)

    def wait(self, seconds):
        block = self.block
        self.block = Block(
            number=block.number + 1, hash=hex(block.number + 1), parent_hash=block.hash,
            at=block.at + seconds, base_fee=block.base_fee,
        )  # fmt: skip


def started(folder, error, *refusing):
    chain = RefusingChain(two(), error, *refusing)
    return Bench(chain, folder), chain


def test_tick__venue_refuses_every_trade__hedged_at_the_other_after_a_few_ticks(tmp_path):
    bench, chain = started(tmp_path, CallRefused("Pausable: paused"), FIRST)
    for _ in range(IN_A_ROW):
        assert "the chain refuses: Pausable: paused" in bench.tick().verdicts[0].note
    assert chain.sends == []
    report = bench.tick()
    assert chain.executed == 1, report.verdicts[0].note
    assert {leg.venue for leg in report.verdicts[0].decision.plan.legs} == {SECOND}
    assert bench.log.lines[-1]["refusing"] == [FIRST]
    (*_, last) = bench.journal.decisions()
    assert last.memory_before.refusing == 1  # so that a replay decides the same
    bench.journal.close()


def test_tick__both_venues_refuse__goes_on_trying(tmp_path):
    bench, chain = started(tmp_path, CallRefused("book: cost over its bound"), FIRST, SECOND)
    for _ in range(3 * IN_A_ROW):
        bench.tick()
        assert "refusing" not in bench.log.lines[-1]
    assert chain.sends == []
    chain.refusing.clear()
    bench.tick()
    assert chain.executed == 1
    bench.journal.close()


@pytest.mark.parametrize("reason", ["book: cost over its bound", "spot: cost over max"])
def test_tick__a_reason_of_our_own__no_venue_is_blamed(tmp_path, reason):
    bench, chain = started(tmp_path, CallRefused(reason), FIRST)
    for _ in range(2 * IN_A_ROW):
        bench.tick()
        assert "refusing" not in bench.log.lines[-1]
    assert chain.sends == []
    bench.journal.close()


def test_tick__the_node_cannot_simulate__no_venue_is_blamed(tmp_path):
    bench, chain = started(tmp_path, Unsendable("the node cannot simulate"), FIRST)
    first, second = chain.vault.venues
    full = replace(second, market=replace(second.market, max_side=0))
    chain.vault = replace(chain.vault, venues=(first, full))  # the plan trades at the first alone
    for _ in range(2 * IN_A_ROW):
        bench.tick()
    assert "refusing" not in bench.log.lines[-1]
    bench.journal.close()


def test_tick__time_over__the_venue_is_tried_again(tmp_path):
    bench, chain = started(tmp_path, CallRefused("Pausable: paused"), FIRST)
    for _ in range(IN_A_ROW):
        bench.tick()
    chain.wait(SHUT_SECS)
    chain.refusing.clear()
    report = bench.tick()
    assert {leg.venue for leg in report.verdicts[0].decision.plan.legs} == {FIRST, SECOND}
    bench.journal.close()
