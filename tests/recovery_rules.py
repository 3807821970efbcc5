# SPDX-License-Identifier: MIT
"""Rules of the stateful test for failures: debts, the backstop, deleveraging, profit."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from keeper.simulation.reference.deleverager import FAILED_LONGS, FAILED_SHORTS, LOW_POOL
from tests.recovery_world import (
    Watched,
    abandon,
    check_liquidations,
    deleverage_at_once,
    deleverage_in_chunks,
    listed_by_keeper,
    low,
    squeeze,
)
from tests.venue_world import FEED_UNIT, WAD

LIMITS = FEED_UNIT, 10**6 * FEED_UNIT  # prices stay between
whos = st.integers(0, 3)
hows = st.integers(0, 9)

reached: Counter[str] = Counter()  # of all examples


class Recovery(RuleBasedStateMachine):
    """What is called when accounts fail; `patient` and `lot` are the machine's."""

    twins: Watched
    lot: int

    def patient(self) -> bool:
        """Whether another refusal leaves most calls accepted."""
        raise NotImplementedError

    @rule(who=whos, by=whos)
    def settle_debt(self, who: int, by: int) -> None:
        """Whoever owes something sells margin, or is made to."""
        twins = self.twins
        owing = [
            each
            for each in twins.traders
            if twins.venue.account(each).quote < 0 and twins.venue.account(each).assets
        ]
        if not owing:
            if self.patient():
                twins.settle_debt(twins.traders[who], twins.traders[by])
            return
        debtor, caller = owing[who % len(owing)], twins.traders[by]
        price, held = twins.price_wad, twins.venue._account_now(owing[who % len(owing)], twins.now)
        backed = twins.venue.margins.share_down(
            held.assets, price, twins.venue.terms.loan_share_wad
        )
        if -held.quote <= backed and not self.patient():
            caller = debtor
        forced = caller != debtor and twins.settle_debt(debtor, caller)
        reached["debt settled by force"] += forced
        if not forced:
            reached["debt settled"] += twins.settle_debt(debtor, debtor)

    @rule(who=whos)
    def realise(self, who: int) -> None:
        """Whoever has a profit turns it into quote."""
        twins, price = self.twins, self.twins.price_wad
        winning = [
            each
            for each in twins.traders
            if twins.venue.margin(each, price, at=twins.now).profit > 0
        ]
        if winning or self.patient():
            caller = winning[who % len(winning)] if winning else twins.traders[who]
            reached["realised"] += twins.realise(caller)

    @rule(seconds=st.integers(0, 90))
    def unwind(self, seconds: int) -> None:
        twins, venue = self.twins, self.twins.venue
        stop, fees = abs(venue.account(twins.pool.address).size), 2 * venue.terms.maker_fee_wad
        small = 0 < stop * WAD <= fees * venue.terms.skew_scale
        ready = twins.now + seconds >= venue.unwound_at + 60
        if (small and ready and venue.stage_now(at=twins.now) == 0) or self.patient():
            twins.wait(seconds)
            reached["unwound"] += twins.unwind()

    @rule(who=whos, tenths=st.integers(1, 11), seconds=st.integers(0, 4_000), worse=hows)
    def take_over(self, who: int, tenths: int, seconds: int, worse: int) -> None:
        """Somebody takes some of what the backstop holds, with margin for it, or tries too much."""
        twins, venue = self.twins, self.twins.venue
        held = venue.account(twins.pool.address).size
        possible = abs(held) > venue.terms.min_size and venue.stage_now(at=twins.now) == 0
        if not (possible and tenths <= 10) and not self.patient():
            return
        twins.wait(seconds)
        taker, size = twins.traders[who], held * tenths // 10
        if tenths == 9:  # all but what may be unwound
            left = venue.terms.maker_fee_wad * venue.terms.skew_scale // WAD
            size = held - min(abs(held) // 2, left) * (1 if held > 0 else -1)
        self._fund_for(taker, size)
        limit = twins.price_wad * venue.offer(at=twins.now).rate_wad
        limit = limit // WAD + (size > 0) if worse > 5 else None
        against = venue.account(taker).size * size < 0
        taken = twins.take_over(taker, size, limit)
        reached["taken over"] += taken
        reached["taken over against a position"] += taken and against

    def _fund_for(self, taker: str, size: int) -> None:
        """Deposit what makes the position safe."""
        twins, venue, price = self.twins, self.twins.venue, self.twins.price_wad
        margin = venue.margin(taker, price, at=twins.now)
        after = abs(margin.delta) + abs(size)
        closing = after * (after + abs(venue.skew)) // venue.terms.skew_scale
        needed = venue.margins.initial(after, price) + venue.margins.value_up(closing, price)
        if margin.equity < 2 * needed:
            twins.deposit(taker, 0, 2 * needed - margin.equity)

    @rule(who=whos, by=whos, deeper=hows, how=hows)
    def bankrupt(self, who: int, by: int, deeper: int, how: int) -> None:
        """Let the price jump so far that somebody owes more than he has, and liquidate all."""
        twins, venue = self.twins, self.twins.venue
        holding = [each for each in twins.traders if venue.account(each).size]
        if not holding:
            return
        loser = holding[who % len(holding)]
        falls = venue.account(loser).size > 0
        answer = twins.asset_feed.last_round.answer
        for _ in range(30):
            if venue.margin(loser, twins.price_wad, at=twins.now).equity < 0:
                break
            answer = answer * 8 // 10 if falls else answer * 10 // 8
            if not LIMITS[0] <= answer <= LIMITS[1]:
                return
            twins.publish(answer + deeper * answer // 100)
        for each in holding:
            if venue.liquidation(each, twins.price_wad, at=twins.now)[0]:
                twins.liquidate(each, twins.traders[by])
        self.deleverage(how)

    @rule(how=hows)
    def deleverage(self, how: int) -> None:
        """Work off what waits, in one call or several, or try what is refused."""
        twins = self.twins
        for cause in (FAILED_SHORTS, FAILED_LONGS):
            if any(twins.venue.queue(cause == FAILED_LONGS)):
                reached["loss waits"] += 1
                self._batch(cause, how)
                return
        if self.patient():
            twins.deleverage(how, twins.traders[:2])

    @rule(how=hows)
    def squeeze(self, how: int) -> None:
        """Let the heavy side gain until the pool runs low, and deleverage it."""
        twins = self.twins
        if twins.venue.exposure and squeeze(twins, lambda: low(twins), LIMITS):
            reached["pool low"] += 1
            self._batch(LOW_POOL, how)

    def _batch(self, cause: int, how: int) -> None:
        twins, venue = self.twins, self.twins.venue
        _, done = listed_by_keeper(twins, cause)
        owners = [cut.owner for cut in done.cuts]
        resumable = twins.now >= venue.batch_after and (
            cause == LOW_POOL or venue.stage_now(at=twins.now) == 1
        )
        name = ("failed shorts", "failed longs", "low pool")[cause]
        if not owners:
            if self.patient():
                twins.deleverage(cause, twins.traders[:1])
            reached["nobody to deleverage"] += 1
            return
        if how >= 7 and self.patient():
            self._refused_lists(cause, owners, resumable=resumable)
        if resumable and len(owners) > 1 and how in (1, 2):
            abandon(twins, cause, after_cuts=how == 1)
            reached[f"{name}: abandoned"] += 1
        elif resumable and len(owners) > 1 and how < 7:
            self._frozen(cause, how)
            reached[f"{name}: chunks"] += 1
        else:
            deleverage_at_once(twins, cause)
            reached[f"{name}: at once"] += 1
        reached["cut"] += any(cut.size for cut in done.cuts)
        reached["loss borne"] += any(cut.loss for cut in done.cuts)

    def _frozen(self, cause: int, how: int) -> None:
        deleverage_in_chunks(self.twins, cause, 2 + how % 3, wait=how * 20)

    def _refused_lists(self, cause: int, owners: list[str], *, resumable: bool) -> None:
        """Try wrong order, a double and a stranger; a missing one does not finish."""
        twins, pool = self.twins, self.twins.pool.address
        wrong = [[*owners, owners[-1]], [*owners, pool], [*owners[:-1]] if not resumable else []]
        if len(owners) > 1:
            wrong.append([owners[1], owners[0], *owners[2:]])
        for each in filter(None, wrong):
            assert not twins.deleverage(cause, each)
            reached["wrong list refused"] += 1

    def once_failing(self, chance: random.Random, what: int) -> None:
        """Make one of these calls at random."""
        who, by, how = chance.randrange(4), chance.randrange(4), chance.randrange(10)
        match what:
            case 14:
                self.settle_debt(who, by)
            case 15:
                self.realise(who)
            case 16:
                self.bankrupt(who, by, chance.randrange(10), how)
            case 17 if how < 2:
                self.unwind(9 * how)
            case 17 if how < 7:
                self.take_over(who, 1 + chance.randrange(11), 600 * by, how + by)
            case 17:
                self.squeeze(how)
            case _:
                self.twins.wait(chance.randint(1, 100_000))

    @invariant()
    def who_fails_can_be_liquidated(self) -> None:
        if hasattr(self, "twins"):
            reached["failing"] += check_liquidations(self.twins) > 0


def summary(seen: Any) -> str:
    """Return what was reached, for the report of a run."""
    return ", ".join(f"{name} {count}" for name, count in sorted(seen.items()))
