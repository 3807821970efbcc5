# SPDX-License-Identifier: MIT
"""
The contracts and the reference model do the same, whatever users, prices and time do.

After every call result, reason of a refusal and the whole state are compared to the unit, and
tokens and value are conserved on both sides. The share of refused calls stays under 20 %.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import boa
import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from keeper.simulation.reference import Round
from tests.recovery_rules import Recovery, reached
from tests.recovery_world import Watched
from tests.venue_world import FEED_UNIT

seen: Counter[str] = Counter()  # what was reached, of all examples
calls: Counter[str] = Counter()
refused: Counter[str] = Counter()

LOWER = (99, 97, 94, 90, 85, 80, 74, 66, 55, 40, 20)  # percent of the price
HIGHER = (101, 103, 106, 110, 116, 125, 135, 150, 180, 250, 500)

whos = st.integers(0, 3)
percents = st.integers(1, 100)


@lru_cache
def deployed(decimals: tuple[int, int]) -> Watched:
    """Return contracts with nothing in them, once; every example undoes what it did."""
    return Watched(*decimals)


class Markets(Recovery):
    """Four traders, a pool, a fund and a spot market, twice."""

    decimals = (18, 6)

    @initialize(
        price=st.integers(20, 5_000),
        liquidity=st.sampled_from([300, 1_000, 5_000]),
        insurance=st.sampled_from([0, 1, 1_000]),
        sizes=st.lists(st.integers(-90, 90), min_size=4, max_size=4),
        seed=st.integers(0, 2**32 - 1),
    )
    def open(self, price: int, liquidity: int, insurance: int, sizes: list[int], seed: int) -> None:
        """Start with a market that is already there; amounts in whole assets' worth."""
        twins = deployed(self.decimals)
        self.anchor = boa.env.anchor()
        self.anchor.__enter__()
        self.twins = twins
        twins.begin()
        twins.publish(price * FEED_UNIT)
        twins.say = note
        chain = twins.world
        self.lot = chain.quotes(price)  # quote worth one whole asset
        owner = chain.owner
        twins.provide(owner, liquidity * self.lot)
        if insurance:
            twins.donate(owner, insurance * self.lot // 10)
        twins.spot_seed(owner, chain.assets(200), 200 * self.lot)
        if insurance != 1:
            twins.stake(twins.traders[0], (insurance + 1) * self.lot // 7)
            twins.stake(twins.traders[1], self.lot + 1)
            twins.wait(86_400)
            twins.enter(twins.traders[1], by=twins.traders[0])  # the other may, later
            twins.request_unstake(twins.traders[1], twins.fund.shares_of(twins.traders[1]) // 2)
        for i, size in enumerate(sizes):
            margin = abs(size) // 4 + 3
            if i % 2:
                twins.deposit(twins.traders[i], chain.assets(margin), 0)
            else:
                twins.deposit(twins.traders[i], 0, margin * self.lot)
            if size:
                twins.trade(twins.traders[i], chain.assets(size))
        self.burst(seed, calls=5)

    def teardown(self) -> None:
        if hasattr(self, "anchor"):
            calls.update(self.twins.calls)
            refused.update(self.twins.refused)
            venue = self.twins.venue
            seen.update(
                examples=1,
                loans=venue.debt > 0,
                backstop=venue.account(self.twins.pool.address).size != 0,
                inventory=self.twins.pool.assets_held + venue.pool_assets > 0,
                pending=self.twins.fund.pending.quote > 0,
                consolidated=self.twins.fund.staked.generation > 0,
                waiting=any(venue.queue(True)) or any(venue.queue(False)),
            )
            self.anchor.__exit__(None, None, None)

    # Traders

    @rule(who=whos, units=st.integers(1, 10**9), in_assets=st.booleans())
    def deposit(self, who: int, units: int, in_assets: bool) -> None:
        """Add up to ten assets' worth, odd to the last unit."""
        twins = self.twins
        amount = units * (twins.world.assets(10) if in_assets else 10 * self.lot) // 10**9 + 1
        twins.deposit(twins.traders[who], *((amount, 0) if in_assets else (0, amount)))

    @rule(who=whos, share=st.integers(-(10**6), 10**6).filter(bool), leverage=st.integers(1, 6))
    def trade(self, who: int, share: int, leverage: int) -> None:
        """Trade a share of what equity carries at that leverage."""
        twins, account = self.twins, self.twins.traders[who]
        price = twins.price_wad
        margin = twins.venue.margin(account, price, at=twins.now)
        most = max(margin.equity, self.lot) * leverage * twins.divisor // price
        size = share * min(most, twins.world.assets(120)) // 10**6
        if twins.venue.account(account).size * size >= 0 and margin.equity < margin.initial:
            size = -size  # who is short of margin reduces
        least = twins.world.terms["min_size"]
        while abs(margin.delta + size) > abs(margin.delta) and not self.patient():
            needed = twins.venue.margins.initial(abs(margin.delta + size), price)
            if needed * 3 <= margin.equity * 2 or abs(size) < least:
                break
            size //= 2
        if abs(margin.delta + size) < least:
            size = least * (1 if size > 0 else -1) - margin.delta
        twins.trade(account, size or least)

    @rule(who=whos, turn=st.booleans())
    def close(self, who: int, turn: bool) -> None:
        """Close a position, or turn half of it around."""
        twins, account = self.twins, self.twins.traders[who]
        size = twins.venue.account(account).size
        if size:
            twins.trade(account, -size - size // 2 if turn else -size)

    @rule(who=whos, worse_bps=st.integers(-200, 2_000))
    def trade_with_limit(self, who: int, worse_bps: int) -> None:
        """Close a third at a limit around the mark, which may refuse it."""
        twins, account = self.twins, self.twins.traders[who]
        size = -twins.venue.account(account).size // 3
        if size and (worse_bps > 0 or self.patient()):
            sign = 1 if size > 0 else -1
            curve, skew = twins.venue.curve, twins.venue.skew
            scale = 2 * curve.skew_scale
            fill = twins.price_wad * (scale + 2 * skew + size) // scale
            twins.trade(account, size, fill * (10_000 + sign * worse_bps) // 10_000)

    @rule(who=whos, percent=st.integers(1, 101))
    def withdraw_assets(self, who: int, percent: int) -> None:
        """Take of what is free; over 100 % is one unit too much."""
        twins, account = self.twins, self.twins.traders[who]
        free = twins.venue.free_assets(account, twins.price_wad, 0, at=twins.now)
        if percent > 100:
            if self.patient():
                twins.withdraw(account, free + 1, 0)
        elif free * percent // 100:
            twins.withdraw(account, free * percent // 100, 0)

    @rule(who=whos, percent=st.integers(1, 101))
    def withdraw_quote(self, who: int, percent: int) -> None:
        """Take of what is there and initial margin leaves; over 100 % is one unit too much."""
        twins, account = self.twins, self.twins.traders[who]
        price = twins.price_wad
        held = twins.venue._account_now(account, twins.now)
        initial = twins.venue.margins.initial(abs(held.size), price)
        spare = min(held.quote, twins.venue._backing(held, price) - initial)
        if percent > 100 and not self.patient():
            return
        quote = spare + 1 if percent > 100 else spare * percent // 100
        if quote > 0:
            twins.withdraw(account, 0, quote)

    @rule(who=whos, by=whos)
    def liquidate(self, who: int, by: int) -> None:
        """Whoever fails, else one healthy account now and then; anyone may, also himself."""
        twins = self.twins
        failing = [
            account
            for account in twins.traders
            if twins.venue.liquidation(account, twins.price_wad, at=twins.now)[0]
        ]
        if failing:
            twins.liquidate(failing[who % len(failing)], twins.traders[by])
        elif who == by and self.patient():
            twins.liquidate(twins.traders[who], twins.traders[by])

    @rule(who=whos, by=whos, deeper=st.integers(0, 4))
    def crash(self, who: int, by: int, deeper: int) -> None:
        """Move the price until somebody fails, or further, and liquidate him."""
        twins = self.twins
        answer = twins.asset_feed.last_round.answer
        holding = [each for each in twins.traders if twins.venue.account(each).size]
        if not holding:
            return
        account = holding[who % len(holding)]
        steps = LOWER if twins.venue.account(account).size > 0 else HIGHER
        for i, step in enumerate(steps):
            twins.publish(max(FEED_UNIT, min(10**6 * FEED_UNIT, answer * step // 100)))
            if twins.venue.liquidation(account, twins.price_wad, at=twins.now)[0]:
                further = steps[min(i + deeper, len(steps) - 1)]
                twins.publish(max(FEED_UNIT, min(10**6 * FEED_UNIT, answer * further // 100)))
                twins.liquidate(account, twins.traders[by])
                return
        twins.publish(answer)

    # What anyone may do

    @rule(what=st.sampled_from(["accrue", "settle", "collect", "donate"]), percent=percents)
    def poke(self, what: str, percent: int) -> None:
        twins = self.twins
        if what == "accrue":
            twins.accrue()
        elif what == "settle":
            twins.settle()
        elif what == "donate":
            twins.donate(twins.traders[percent % 4], percent * self.lot // 50 + 1)
        elif twins.venue.fund_claim:
            twins.collect()

    @rule(who=whos, permille=st.integers(-300, 300).filter(bool))
    def spot(self, who: int, permille: int) -> None:
        twins, account = self.twins, self.twins.traders[who]
        reserve = twins.spot.assets_reserve
        size = abs(permille) * reserve // 1_000 + 7
        if permille > 0:
            twins.spot_buy(account, size, twins.spot.quote_buy(size))
        else:
            twins.spot_sell(account, size, twins.spot.quote_sell(size))

    @rule(
        who=whos,
        what=st.sampled_from(["stake", "request", "cancel", "unstake"]),
        percent=percents,
        allotment=st.integers(0, 5_000),
    )
    def insure(self, who: int, what: str, percent: int, allotment: int) -> None:
        """Stakers come and go; the owner changes the allotment now and then."""
        twins, me = self.twins, self.twins.traders[who]
        fund = twins.fund
        shares = fund.shares_of(me) * percent // 100
        open_at = fund.request_of(me).opens_at
        if percent < 10:
            twins.register(twins.world.owner, (allotment * self.lot) or 2**255)
        if open_at and what == "cancel":
            twins.cancel_request(me)
        elif open_at:
            if what == "unstake" and open_at > twins.now:
                twins.wait(open_at - twins.now + percent * 1_700)
            if open_at <= twins.now <= fund.request_of(me).expires_at:
                twins.unstake(me)
            elif twins.now > open_at or self.patient():
                twins.unstake(me)
                twins.cancel_request(me)
        elif what != "stake" and fund.staked.worth_of(shares):
            twins.request_unstake(me, shares)
        if what == "stake":
            self._stake(who, percent)

    def _stake(self, who: int, percent: int) -> None:
        """Stake, or let a stake enter when it may, or too early."""
        twins, me = self.twins, self.twins.traders[who]
        enters_at = twins.fund.entry_of(me).enters_at
        if not enters_at:
            twins.stake(me, percent * self.lot // 3 + 1)
        elif percent % 2 or self.patient():
            if percent > 20 and enters_at > twins.now:
                twins.wait(enters_at - twins.now + percent)
            if twins.now >= enters_at or self.patient():
                twins.enter(me, by=twins.traders[percent % 4])

    # The owner

    @rule(who=st.integers(0, 2), percent=st.integers(-100, 60).filter(bool))
    def liquidity(self, who: int, percent: int) -> None:
        """Request to provide a share of equity, or to remove some of one's own (negative)."""
        twins, owner = self.twins, self.provider(who)
        pool, equity = twins.pool, twins.pool.equity(twins.price_wad, at=twins.now)
        if equity <= 0 and not self.patient():
            return
        if percent > 0:
            if not pool.provision(owner).quote or self.patient():
                twins.request_provide(owner, max(equity, self.lot) * percent // 100 + 1)
            return
        held = pool.shares_of.get(owner, 0)
        shares = held * -percent // 100
        if 0 < held - shares < pool.min_holding:
            shares = held
        if shares and (not pool.removal(owner).shares or self.patient()):
            twins.request_remove(owner, shares)

    @rule(who=st.integers(0, 2), by=whos, how=st.integers(0, 9))
    def execute(self, who: int, by: int, how: int) -> None:
        """Execute what the owner requested, mostly when it is due, or cancel it."""
        twins, owner, anyone = self.twins, self.provider(who), self.twins.traders[by]
        asked = bool(twins.pool.provision(owner).quote), bool(twins.pool.removal(owner).shares)
        if not any(asked):
            return
        if how > 1:
            twins.become_due()
        elif how == 1:
            twins.note_price()
        if asked[0] and (how > 1 or self.patient()):
            self.others_keep(owner, lambda: twins.execute_provide(owner, anyone))
        if asked[1] and (how > 1 or self.patient()):
            self.others_keep(owner, lambda: twins.execute_remove(owner, anyone))
        if twins.pool.provision(owner).quote and how > 1:
            twins.cancel_provide(owner)
        if twins.pool.removal(owner).shares and how > 1:
            twins.cancel_remove(owner)

    def provider(self, who: int) -> str:
        """Return the owner or one of two traders."""
        return [self.twins.world.owner, *self.twins.traders][who]

    def others_keep(self, owner: str, call: Callable[[], bool]) -> None:
        """Hold that a share is worth no less after somebody came or went."""
        twins, pool = self.twins, self.twins.pool
        before = pool.equity(twins.price_wad, at=twins.now), pool.total_shares
        if call() and pool.total_shares and before[1]:
            after = pool.equity(twins.price_wad, at=twins.now)
            assert after * before[1] >= before[0] * pool.total_shares, owner

    @rule(percent=percents, out=st.booleans())
    def spot_liquidity(self, percent: int, out: bool) -> None:
        twins, owner = self.twins, self.twins.world.owner
        assets, quote = (reserve * percent // 300 + 1 for reserve in twins.spot.reserves())
        if out:
            twins.spot_withdraw(owner, assets, quote)
        else:
            twins.spot_seed(owner, assets, quote)

    # Prices and time

    @rule(change_bps=st.integers(-3_000, 4_000), peg_bps=st.integers(-200, 200))
    def price(self, change_bps: int, peg_bps: int) -> None:
        twins = self.twins
        answer = twins.asset_feed.last_round.answer * (10_000 + change_bps) // 10_000
        answer = max(FEED_UNIT, min(10**6 * FEED_UNIT, answer))
        twins.publish(answer, FEED_UNIT * (10_000 + peg_bps) // 10_000)

    @rule(seconds=st.one_of(st.integers(1, 3_600), st.integers(3_600, 400_000)))
    def wait(self, seconds: int) -> None:
        self.twins.wait(seconds)

    # What is refused, one call in ten at most

    def patient(self) -> bool:
        """Whether another refusal leaves most calls accepted."""
        twins = self.twins
        return 10 * sum(twins.refused.values()) < sum(twins.calls.values())

    @rule(who=whos, what=st.integers(0, 11))
    def refuse(self, who: int, what: int) -> None:
        """Nonsense and strangers; each with its own reason."""
        twins, me = self.twins, self.twins.traders[who]
        size = twins.world.terms["min_size"]
        attempts = (
            lambda: twins.deposit(me, 0, 0),
            lambda: twins.withdraw(me, 0, 0),
            lambda: twins.withdraw(me, 2**100, 0),
            lambda: twins.withdraw(me, 0, 2**126),
            lambda: twins.trade(me, 0),
            lambda: twins.trade(me, 5 * twins.world.terms["max_side"]),
            lambda: twins.trade(me, size, instrument=1),
            lambda: twins.trade(me, 2 * twins.world.terms["max_side"]),
            lambda: twins.pay_fund(me),
            lambda: twins.execute_remove(twins.traders[3]),
            lambda: twins.spot_buy(me, 2**119),
            lambda: twins.liquidate(twins.pool.address, me),
        )
        if self.patient():
            attempts[what]()

    @rule(who=whos, fault=st.integers(0, 5))
    def refuse_bad_price(self, who: int, fault: int) -> None:
        """One call while the feed is broken; then it answers again."""
        twins, me, now = self.twins, self.twins.traders[who], self.twins.now
        if not self.patient():
            return
        last = twins.asset_feed.last_round
        number, answer = last.round_id + 1, last.answer
        broken = (
            Round(number, 0, now, now, number),
            Round(number, -1, now, now, number),
            Round(number, answer, now, now + 1, number),
            Round(number, answer, now, 0, number),
            Round(number, answer, now, now, number - 1),
            Round(number, answer, now, now - 3_601, number),
        )
        twins.publish_round(broken[fault])
        if who % 2:
            twins.accrue()
        else:
            held = twins.venue.account(me)  # who owes nothing needs no price
            twins.withdraw(me, held.assets, max(held.quote, 0) or 1)
        twins.publish(answer)

    @rule(seed=st.integers(0, 2**32 - 1))
    def more(self, seed: int) -> None:
        self.burst(seed, calls=3)

    def burst(self, seed: int, calls: int) -> None:
        """Make calls at random: hypothesis prefers few steps, and losses need many."""
        chance = random.Random(seed)
        for _ in range(calls):
            self.once(chance, chance.randrange(18))

    def once(self, chance: random.Random, what: int) -> None:
        who, by, percent = chance.randrange(4), chance.randrange(4), chance.randint(1, 100)
        match what:
            case 0:
                self.deposit(who, chance.randint(1, 10**9), chance.random() < 0.5)
            case 1 | 2:
                share = chance.choice((-1, 1)) * chance.randint(1, 10**6)
                self.trade(who, share, chance.randint(1, 6))
            case 3:
                self.close(who, chance.random() < 0.5)
            case 4 | 5:
                (self.withdraw_assets if what == 4 else self.withdraw_quote)(who, percent)
            case 6 | 7:
                self.crash(who, by, chance.randrange(5))
            case 8:
                self.poke(chance.choice(("accrue", "settle", "collect")), percent)
            case 10:
                self.liquidity(who % 3, chance.choice((-100, -20, -5, 10, 40)))
                self.execute(who % 3, by, chance.randrange(10))
            case 11 | 12:
                what = chance.choice(("stake", "request", "cancel", "unstake"))
                self.insure(who, what, percent, chance.randint(0, 500))
            case 13:
                size = chance.randint(-(10**6), 10**6)
                self.views(who, size, chance.randint(2_000, 30_000), 48_000)
            case _:
                self.once_failing(chance, what)

    # What always holds

    @invariant()
    def value_is_conserved(self) -> None:
        if hasattr(self, "twins"):
            self.twins.check_value(self.twins.price_wad)

    @invariant()
    def positions_are_bounded(self) -> None:
        if hasattr(self, "twins"):
            venue = self.twins.venue
            assert max(venue.longs, venue.shorts) <= venue.terms.max_side

    @rule(
        who=st.integers(0, 4),
        size=st.integers(-(10**6), 10**6),
        price_bps=st.integers(1_000, 40_000),
        ratio_bps=st.sampled_from([0, 10_000, 48_000, 67_000]),
    )
    def views(self, who: int, size: int, price_bps: int, ratio_bps: int) -> None:
        """Every view agrees, at the price of now and at others."""
        twins = self.twins
        account = twins.pool.address if who == 4 else twins.traders[who]
        size = size * twins.world.assets(200) // 10**6
        price = twins.price_wad * price_bps // 10_000
        twins.compare_views(account, size, price, ratio_bps)


class SmallAsset(Markets):
    """An asset of 8 and a quote of 18 decimals."""

    decimals = (8, 18)


class SmallBoth(Markets):
    """Six decimals each."""

    decimals = (6, 6)


# With `test_venue_end.py` 500 sequences, 20,000 in the nightly profile, which are longer as well.
QUICK = settings(
    max_examples=settings.default.max_examples * 30 // 7,
    stateful_step_count=settings.default.stateful_step_count // 4,
)
TestMarkets = Markets.TestCase
TestMarkets.settings = QUICK
TestSmallAsset = SmallAsset.TestCase
TestSmallAsset.settings = QUICK
TestSmallBoth = SmallBoth.TestCase
TestSmallBoth.settings = QUICK


@pytest.fixture(scope="module", autouse=True)
def _deployed_before_and_reported_after() -> Any:
    """Deploy outside of tests: titanoboa undoes what an example of hypothesis did."""
    deployed.cache_clear()  # what an earlier module deployed is undone
    for machine in (Markets, SmallAsset, SmallBoth):
        deployed(machine.decimals)
    yield
    total, no = sum(calls.values()), sum(refused.values())
    print(f"\n{total} calls, {no} refused ({no / max(total, 1):.1%}); {dict(calls)}")
    print("ended with:", dict(seen))
    print("reached:", dict(reached.most_common()))
    print("refused:", dict(refused.most_common()))
    assert no <= total // 5
