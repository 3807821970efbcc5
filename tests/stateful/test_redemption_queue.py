# SPDX-License-Identifier: MIT
"""
The queue of a vault beside its reference model: random requests, runs, cancels, prices, flows.

Each answer and each refusal of the queue is the model's, to the unit. Held after every step: the
reserved assets are there and are the sum of the claims, the escrowed shares are there, and nobody
ends with more than he put in plus what his shares are worth.
"""

from __future__ import annotations

import boa
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from keeper.simulation.reference.flow_rules import Priced
from keeper.simulation.reference.redemption_queue import FeedRound, Market, RedemptionQueue
from keeper.simulation.reference.reverted import Reverted
from tests.market_world import MAX_UINT
from tests.vault_world import (
    BPS,
    HOUR,
    PREMIUM_TOLERANCE_WAD,
    QUEUE_CANCEL_DELAY,
    QUEUE_DELAY,
    Leg,
    vault_world,
)

HOLDERS = 3
DEPOSIT = 40  # whole assets of each at the start
# Of 120 at the start 12 are idle, and margin is free only over 30 times maintenance, 75 %.
ILLIQUID = {"gap_floor": 10**24, "allotment_bps": BPS, "margin_target_bps": 300_000}
calls = {"made": 0, "reverted": 0, "filled": 0, "parts": 0, "lapsed": 0, "cancelled": 0}
holders = st.integers(0, HOLDERS - 1)
percents = st.integers(1, 100)


def hedged(decimals):
    """Return a vault of three holders, hedged, with the queue approved."""
    world = vault_world(*decimals, **ILLIQUID)
    owners = [world.depositor(f"holder {n}") for n in range(HOLDERS)]
    for owner in owners:
        world.deposit(owner, DEPOSIT)
        world.vault.approve(world.queue.address, MAX_UINT, sender=owner)
    world.hedge(margin_share=0.9)
    return world, owners, world.base.trader("trader", quote=10**7)


class QueueBesideModel(RuleBasedStateMachine):
    built = None  # what `hedged` gave; each example begins there

    def __init__(self):
        super().__init__()
        self._anchor = boa.env.anchor()
        self._anchor.__enter__()
        self.world, self.holders, self.trader = self.built
        self.price = 1_000.0
        self.model = RedemptionQueue(
            delay=QUEUE_DELAY,
            cancel_delay=QUEUE_CANCEL_DELAY,
            min_shares=self.world.queue.MIN_SHARES(),
            premium_tolerance_wad=PREMIUM_TOLERANCE_WAD,
        )

    def teardown(self):
        self._anchor.__exit__(None, None, None)

    def both(self, chain, model):
        """Run on both sides; the refusal, if any, must be the same. Return what they answer."""
        calls["made"] += 1
        try:
            expected = model()
        except Reverted as refused:
            calls["reverted"] += 1
            with boa.reverts(refused.reason):
                chain()
            return None
        answer = chain()
        return expected, answer

    def market(self):
        world, price = self.world, self.world.price()
        flow = world.book.flow()
        state = world.venue.market(price)
        priced = Priced(
            price_wad=price,
            price_divisor=world.base.divisor(),
            held=world.vault.idle_assets() + flow.assets,
            quote_value=flow.quote_value,
            delta=flow.delta,
            supply=world.vault.totalSupply(),
            min_supply=world.vault.MIN_SUPPLY(),
            hedge_ratio_bps=flow.hedge_ratio_bps,
            base_charge_bps=world.vault.base_charge_bps(),
            hedge_cost=lambda size, at: world.venue.hedge_costs(0, (size, 0), at)[0],
        )
        free = world.book.free_assets(price)
        premia = state.premium_wad, state.mean_premium_wad
        return Market(priced, world.vault.idle_assets(), free, *premia)

    def feed_round(self):
        feed = self.world.base.asset_feed
        number, _, _, updated_at, _ = feed.latestRoundData()
        before = feed.getRoundData(number - 1)[3] if number > 1 else 0
        return FeedRound(updated_at, before)

    @rule(
        who=holders,
        percent=st.integers(1, 10).map(lambda n: n * n),
        least=st.sampled_from([0, 0, 995, 1_000, 1_000, 1_001]),
    )
    def request(self, who, percent, least):
        holder, vault = self.holders[who], self.world.vault
        held = vault.balanceOf(holder)
        if held < 2 * self.model.min_shares:
            return
        shares = max(held * percent // 100, self.model.min_shares - (percent == 1))
        worth = vault.convertToAssets(shares)
        minimum = worth * least // 1_000
        self.both(
            lambda: self.world.queue.request(shares, minimum, sender=holder),
            lambda: self.model.request(holder, shares, minimum, worth=worth, at=boa.env.timestamp),
        )

    @precondition(lambda self: self.model.pending_shares)
    @rule(which=st.integers(0, 9), long=st.integers(0, 3).map(lambda n: n == 0))
    def cancel(self, which, long):
        """Any that waits, mostly by its owner and when it may be."""
        waiting = [n for n, each in enumerate(self.model.requests) if each.shares]
        number = waiting[which % len(waiting)]
        sender = self.holders[0] if which == 9 else self.model.requests[number].owner
        if long:
            self.move_price(0, QUEUE_CANCEL_DELAY)
        before = self.world.vault.balanceOf(sender)
        done = self.both(
            lambda: self.world.queue.cancel(number, sender=sender),
            lambda: self.model.cancel(sender, number, at=boa.env.timestamp),
        )
        if done is not None:
            calls["cancelled"] += 1
            assert self.world.vault.balanceOf(sender) == before + done[0]

    @precondition(lambda self: self.model.pending_shares)
    @rule(
        most=st.integers(1, 6),
        step_bps=st.integers(-200, 200),
        wait=st.sampled_from([60, QUEUE_DELAY + 1, QUEUE_DELAY + 1, 2 * HOUR]),
        rounds=st.sampled_from([0, 1, 1, 1, 2]),
    )
    def serve(self, most, step_bps, wait, rounds):
        """Run the queue, mostly in the first or second round after the delay."""
        for _ in range(rounds):
            self.move_price(step_bps, wait)
        self.process(most)

    @precondition(lambda self: self.model.pending_shares)
    @rule(most=st.integers(1, 6), step_bps=st.integers(-100, 100))
    def serve_in_the_first_round(self, most, step_bps):
        self.move_price(step_bps, QUEUE_DELAY + 1)
        self.process(most)

    def process(self, most):
        current, market = self.feed_round(), self.market()
        rate = self.rate()
        done = self.both(
            lambda: self.world.queue.process(most),
            lambda: self.model.process(most, current, market),
        )
        if done is None:
            return
        fills = [fill for _, fill in done[0] if not fill.lapsed]
        assert done[1] == len(fills)
        calls["filled"] += len(fills)
        calls["lapsed"] += len(done[0]) - len(fills)
        calls["parts"] += sum(bool(self.model.requests[n].shares) for n, _ in done[0])
        if self.world.vault.totalSupply():
            after = self.rate()
            assert after[0] * rate[1] >= rate[0] * after[1]

    @rule(who=holders)
    def claim(self, who):
        holder = self.holders[who]
        if not self.model.claims.get(holder):
            return
        before = self.world.asset.balanceOf(holder)
        expected, paid = self.both(
            lambda: self.world.queue.claim(holder), lambda: self.model.claim(holder)
        )
        assert paid == expected == self.world.asset.balanceOf(holder) - before

    @rule(who=holders, percent=percents)
    def leave_at_once(self, who, percent):
        """Whatever `maxWithdraw` says works, and leaves what the queue needs now."""
        vault, holder = self.world.vault, self.holders[who]
        assets = vault.maxWithdraw(holder) * percent // 100
        rest = vault.totalSupply() - vault.previewWithdraw(assets)
        if assets < self.world.assets("0.01") or 0 < rest < vault.MIN_SUPPLY():
            return
        calls["made"] += 1
        vault.withdraw(assets, holder, holder, sender=holder)
        if self.model.pending_shares:
            needed = vault.convertToAssets(self.model.pending_shares)
            liquid = vault.idle_assets() + self.world.book.free_assets(self.world.price())
            assert liquid >= needed

    @rule(who=holders, whole=st.integers(1, 20))
    def enter(self, who, whole):
        holder, vault = self.holders[who], self.world.vault
        if vault.maxDeposit(holder) >= self.world.assets(whole):
            calls["made"] += 1
            self.world.deposit(holder, whole)

    @rule(share=st.integers(10, 90))
    def post_margin(self, share):
        """The keeper moves idle assets to the venue, out of the queue's reach for a while."""
        amount = self.world.vault.idle_assets() * share // 100
        if amount:
            calls["made"] += 1
            self.world.rebalance(Leg(margin_assets=amount))

    @rule(step_bps=st.integers(-200, 200))
    def move_price_a_little_later(self, step_bps):
        self.move_price(step_bps, 60)

    def move_price(self, step_bps, wait):
        self.price = min(max(self.price * (BPS + step_bps) / BPS, 900), 1_100)
        boa.env.time_travel(seconds=wait)
        self.world.set_price(round(self.price, 2))

    @rule(size=st.integers(-250, 250).filter(bool))
    def trade(self, size):
        """Somebody else moves the skew: 250 are 25 bp, over the tolerance."""
        calls["made"] += 1
        self.world.base.trade(self.trader, size)

    def rate(self):
        return self.world.vault.totalAssets() + 1, self.world.vault.totalSupply() + 1_000

    @invariant()
    def state_is_the_models(self):
        queue, model = self.world.queue, self.model
        assert (queue.first(), queue.count()) == (model.first, len(model.requests))
        assert queue.pending_shares() == model.pending_shares
        assert queue.reserved_assets() == model.reserved_assets
        for holder in self.holders:
            assert queue.claim_of(holder) == model.claims.get(holder, 0)
        for number, waiting in enumerate(model.requests[model.first :], start=model.first):
            if waiting.shares:
                assert tuple(queue.request_of(number)) == tuple(waiting)
            else:
                assert queue.request_of(number).shares == 0

    @invariant()
    def claims_and_escrow_are_there(self):
        world = self.world
        assert world.asset.balanceOf(world.queue.address) == self.model.reserved_assets
        assert world.vault.balanceOf(world.queue.address) == self.model.pending_shares
        assert world.asset.balanceOf(world.vault.address) == world.vault.idle_assets()

    @invariant()
    def supply_is_who_holds_it(self):
        vault = self.world.vault
        held = sum(vault.balanceOf(holder) for holder in self.holders)
        assert vault.totalSupply() == held + self.model.pending_shares


@pytest.mark.parametrize("decimals", [(18, 6), (8, 18)], ids=str)
def test_queue_beside_model__random_requests_runs_and_flows(decimals):
    calls.update(dict.fromkeys(calls, 0))
    with boa.env.anchor():
        machine = type("Machine", (QueueBesideModel,), {"built": hedged(decimals)})
        run_state_machine_as_test(
            machine, settings=settings(max_examples=20, stateful_step_count=30)
        )
    print(calls)
    assert calls["reverted"] * 5 < calls["made"]
    assert min(calls[what] for what in ("filled", "parts", "lapsed", "cancelled")) > 0
