# SPDX-License-Identifier: MIT
"""
The end of a venue: whoever calls what in which order, payouts never exceed what is held.

Each example runs a market at random, ends it by one of its two causes, and calls `close`,
`fix_claims`, `release`, `withdraw` and the pool's `leave` in any order; contracts and reference
model are compared after each. At the end all is paid out but dust.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from keeper.simulation.reference import Round
from keeper.units import mul_div_down
from tests.recovery_rules import LIMITS
from tests.recovery_world import Watched, squeeze
from tests.stateful.test_reference_venue import QUICK, Markets, deployed

seen: Counter[str] = Counter()
calls: Counter[str] = Counter()
refused: Counter[str] = Counter()

HOUR, WEEK = 3_600, 7 * 86_400  # seconds
whos = st.integers(0, 3)
seeds = st.integers(0, 2**32 - 1)


def insolvent(twins: Watched) -> bool:
    """Return whether the pool owes more at the index than it has."""
    return twins.venue._index_equity(twins.price_wad, twins.now) < 0


class Ends(RuleBasedStateMachine):
    """A market that was wound up."""

    decimals = (18, 6)

    @initialize(
        price=st.integers(20, 5_000),
        insurance=st.sampled_from([0, 1, 1_000]),
        seed=seeds,
        steps=st.integers(0, 6),
    )
    def open(self, price: int, insurance: int, seed: int, steps: int) -> None:
        """Run a market for some steps, mostly with more longs than shorts, and end it."""
        chance = random.Random(seed)
        by_insolvency = chance.random() < 0.8
        sizes = [chance.randint(-40 if by_insolvency else -90, 90) for _ in range(4)]
        self.market = Markets()
        self.market.decimals = self.decimals
        self.market.open(price, 300, insurance, sizes, seed)
        self.twins = self.market.twins
        for _ in range(steps):
            self.market.once(chance, chance.randrange(17))
        self._end(chance, by_insolvency=by_insolvency)
        self.market_calls = Counter(self.twins.calls), Counter(self.twins.refused)

    def _end(self, chance: random.Random, *, by_insolvency: bool) -> None:
        twins = self.twins
        if (
            twins.venue.exposure > 0
            and by_insolvency
            and squeeze(twins, lambda: insolvent(twins), LIMITS)
        ):
            seconds, fresh, cause = HOUR, True, 1
        else:
            number, now = twins.asset_feed.last_round.round_id + 1, twins.now
            twins.publish_round(Round(number, chance.choice((0, -1)), now, now, number))
            seconds, fresh, cause = WEEK, False, 2
        assert twins.wind_up()
        assert twins.result is False
        assert twins.venue.flagged.level == cause
        if chance.random() < 0.3:  # too early, and the clock goes on
            twins.wait(seconds // 2, fresh=fresh)
            assert twins.wind_up()
            assert twins.result is False
        twins.wait(seconds, fresh=fresh)
        assert twins.wind_up()
        if not twins.result:  # funding that accrued since ended its cause
            assert twins.venue.flagged.level != cause
            number, now = twins.asset_feed.last_round.round_id + 1, twins.now
            twins.publish_round(Round(number, 0, now, now, number))
            twins.wind_up()
            twins.wait(WEEK, fresh=False)
            assert twins.wind_up()
            cause = 2
        assert twins.result is True
        seen[("", "insolvent", "no price")[cause]] += 1

    # In any order

    @rule(who=whos, twice=st.booleans())
    def close(self, who: int, twice: bool) -> None:
        """Close one account, twice or with others that are closed already."""
        twins = self.twins
        if not twins.venue.claims_fixed:
            chosen = [twins.traders[who], *([twins.traders[who], twins.pool.address] * twice)]
            assert twins.close(chosen)
        elif self.patient():
            assert not twins.close([twins.traders[who]])

    @rule()
    def fix_claims(self) -> None:
        twins, venue = self.twins, self.twins.venue
        others = [venue.account(who) for who in twins.traders]
        ready = not venue.claims_fixed and all(
            each.size == 0 and each.quote >= 0 for each in others
        )
        if ready or self.patient():
            assert twins.fix_claims() == ready

    @rule(who=whos)
    def release(self, who: int) -> None:
        twins, account = self.twins, self.twins.traders[who]
        ready = twins.venue.claims_fixed and account not in twins.venue.released
        if ready or self.patient():
            assert twins.release(account) == ready

    @rule(who=whos, percent=st.integers(1, 100))
    def withdraw(self, who: int, percent: int) -> None:
        """Take some of what is there; a claim that is released is paid."""
        twins, account = self.twins, self.twins.traders[who]
        held, ready = twins.venue.account(account), account in twins.venue.released
        amounts = held.assets * percent // 100, max(held.quote, 0) * percent // 100
        if any(amounts) and (ready or self.patient()):
            assert twins.withdraw(account, *amounts) == ready

    @rule(who=whos)
    def leave(self, who: int) -> None:
        twins = self.twins
        owner = [twins.world.owner, *twins.traders][who]
        has = twins.pool.shares_of.get(owner, 0) + twins.pool.removal(owner).shares
        ready = has > 0 and twins.venue.claims_fixed
        if ready or self.patient():
            assert twins.leave(owner) == ready

    @rule(what=st.integers(0, 6), who=whos)
    def poke(self, what: int, who: int) -> None:
        """What still works for others, and what is over."""
        twins, me = self.twins, self.twins.traders[who]
        if what == 0:
            twins.wait(HOUR)
        if what == 1 and twins.venue.claims_fixed:
            assert twins.settle()
        if what == 2 and twins.venue.claims_fixed and twins.venue.fund_claim:
            assert twins.collect()
        over = (
            lambda: twins.deposit(me, 0, 1),
            lambda: twins.trade(me, twins.venue.terms.min_size),
            lambda: twins.liquidate(me, me),
            lambda: twins.deleverage(who, twins.traders),
        )
        if what > 2 and self.patient():
            assert not over[what - 3]()

    def patient(self) -> bool:
        """Whether another refusal leaves most calls accepted."""
        return self.market.patient()

    # What always holds

    @invariant()
    def payouts_are_held(self) -> None:
        """Tokens here cover what is released, what is not yet, and the fund's claim."""
        if not hasattr(self, "market_calls") or not self.twins.venue.claims_fixed:
            return
        venue, quote, assets = self.twins.venue, self.twins.venue.fund_claim, 0
        for who in self.twins.traders:
            held = venue.account(who)
            if who in venue.released:
                quote += held.quote
                continue
            claims = held.quote, venue.profits.get(who, 0)
            quote += sum(mul_div_down(c, p.quote, p.claims) for c, p in venue._ranked(claims))
            assets += sum(mul_div_down(c, p.assets, p.claims) for c, p in venue._ranked(claims))
        assert quote <= venue.quote_held
        assert assets <= venue.pool_assets

    def teardown(self) -> None:
        if hasattr(self, "market_calls"):
            self._pay_all()
            calls.update(self.twins.calls)
            refused.update(self.twins.refused)
        if hasattr(self, "market"):
            self.market.teardown()

    def _pay_all(self) -> None:
        """Finish what the rules left: everybody is paid, and only dust stays."""
        twins, venue, pool = self.twins, self.twins.venue, self.twins.pool
        if not venue.claims_fixed:
            assert twins.close(twins.traders)
            assert twins.fix_claims()
        balances, profits = venue.payouts
        seen.update(
            examples=1,
            balances_short=balances.quote < balances.claims,
            profits=profits.claims > 0,
            profits_short=profits.quote < profits.claims,
            in_assets=balances.assets + profits.assets > 0,
            pool_left=pool.quote_held > 0,
        )
        assert profits.quote == 0 or balances.quote == balances.claims  # ranks
        for who in twins.traders:
            if who not in venue.released:
                assert twins.release(who)
            held = venue.account(who)
            if held.quote or held.assets:
                assert twins.withdraw(who, held.assets, held.quote)
        for owner in (twins.world.owner, *twins.traders):
            if pool.shares_of.get(owner, 0) + pool.removal(owner).shares:
                assert twins.leave(owner)
        if venue.fund_claim:
            assert twins.collect()
        assert max(venue.quote_held, venue.pool_assets) <= 2 * len(twins.traders)
        assert pool.holdings() == (0, 0)


class SmallAssetEnds(Ends):
    """An asset of 8 and a quote of 18 decimals."""

    decimals = (8, 18)


TestEnds = Ends.TestCase
TestSmallAssetEnds = SmallAssetEnds.TestCase
TestEnds.settings = TestSmallAssetEnds.settings = settings(
    max_examples=QUICK.max_examples // 6, stateful_step_count=QUICK.stateful_step_count
)


@pytest.fixture(scope="module", autouse=True)
def _deployed_before_and_reported_after() -> Any:
    """Deploy outside of tests: titanoboa undoes what an example of hypothesis did."""
    deployed.cache_clear()  # what an earlier module deployed is undone
    for machine in (Ends, SmallAssetEnds):
        deployed(machine.decimals)
    yield
    total, no = sum(calls.values()), sum(refused.values())
    print(f"\n{total} calls, {no} refused ({no / max(total, 1):.1%}); {dict(calls)}")
    print("ended with:", dict(seen))
    print("refused:", dict(refused.most_common()))
    assert no <= total // 5
