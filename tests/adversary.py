# SPDX-License-Identifier: MIT
"""
A search for profit by colluding accounts, on the reference model.

A program is a short list of steps of three attackers. Each step is a call, or lets time pass. The
rule for prices, so that what is found is the mechanism's fault and not a good guess:

- the price moves once in a program, at a time of the program's choice, by the scenario's move:
  either unknown, then the program runs once up and once down and the mean counts, and the move is
  smaller than what separates initial from maintenance margin; or known, then it is no larger
  than what a round trip pays in fees: 7 bp of the notional at the index, while the move is earned
  on that at the fill, up to 1.25 times it where the premium may reach 50 % (6 bp brought 18.65
  quote on 445 assets, among 16,000 programs);
- whenever time passes, honest keepers touch the price and liquidate whoever fails;
- what is earned honestly is taken off: funding that others paid while time passed, rewards for
  liquidating others, and the discount on what the backstop took from others, which is whoever's
  comes first and less than the penalty that they paid.

What the attackers have is counted after they have closed all positions on the curve, at the index
then, and where nobody had a position before also without closing. A debt beyond what an account
has is nobody's.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from keeper.simulation.reference import Reverted
from keeper.simulation.reference.deleverager import FAILED_LONGS
from keeper.simulation.reference.venue_backstop import price_rate
from keeper.units import UINT256_MAX
from tests.model_market import UNIT, Market, attempt, terms_of

ATTACKERS = ("0xa1", "0xa2", "0xa3")
HOUR, DAY = 3_600, 86_400  # seconds
GRID = (1, 5, 10, 20, 35, 60, 100, 160, 250, 1_000, 2_500, 9_000)  # whole assets
BUT_UNWOUND = 2_500  # of GRID, read as all of the backstop but what may be unwound
CLOSED = 3
WORST = -(2**200)


class Step(NamedTuple):
    """What, by which attacker, how much (an index of GRID, sign, or nothing)."""

    op: str
    who: int = 0
    amount: int = 0


Program = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """
    What the attackers find.

    Parameters
    ----------
    build : callable
        Returns the market, with honest accounts in it.
    move_bps : int
        The one move of the price; its direction is unknown unless `known`.
    flat : bool
        Nobody has a position, so that totals at the index count as well.
    without : tuple of str
        Steps that are not tried.
    """

    name: str
    build: Callable[[str], Market]
    move_bps: int = 100
    known: bool = False
    flat: bool = False
    without: tuple[str, ...] = ()


@dataclass(slots=True)
class Found:
    """The best program of a search and how much was tried."""

    program: Program = ()
    profit: int = WORST
    tried: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


class Run:
    """One program in one market."""

    def __init__(self, scenario: Scenario, terms: str, move_bps: int, found: Found) -> None:
        self.market = scenario.build(terms)
        self.market.venue.accrue(at=self.market.at)
        self.move_bps, self.found = move_bps, found
        self.honest = 0  # quote units earned honestly
        self.failed = 0  # size that attackers' accounts left to the backstop
        self.at_start = sum(map(self.market.total, ATTACKERS))

    def play(self, program: Sequence[Step]) -> None:
        for step in program:
            call = getattr(self, f"_{step.op}")
            self.found.calls[step.op] += 1
            try:
                call(ATTACKERS[step.who], step.amount)
            except Reverted:
                self.found.refused[step.op] += 1

    def profit(self, *, at_index: bool) -> int:
        """Return what all attackers have more than at the start, quote."""
        earned = [sum(map(self.market.total, ATTACKERS))] if at_index else []
        self.market.flatten(ATTACKERS)
        earned.append(sum(map(self.market.total, ATTACKERS)))
        return max(earned) - self.at_start - self.honest

    @staticmethod
    def closed_total(market: Market) -> int:
        """Return what the attackers would have if they closed now, at the last price."""
        trial = copy.deepcopy(market)
        trial.tick(0)
        trial.flatten(ATTACKERS)
        return sum(map(trial.total, ATTACKERS))

    # Calls; `amount` is in whole assets' worth, signed

    def _deposit(self, who: str, amount: int) -> None:
        self.market.deposit(who, abs(amount) * self.market.lot)

    def _deposit_assets(self, who: str, amount: int) -> None:
        self.market.deposit(who, 0, abs(amount) * UNIT)

    def _open(self, who: str, amount: int) -> None:
        """Deposit just the initial margin and trade."""
        self.market.deposit(who, self._margin_for(who, amount * UNIT))
        self.market.trade(who, amount * UNIT)

    def _margin_for(self, who: str, change: int) -> int:
        """Return initial margin and what closing at once may cost."""
        venue = self.market.venue
        size = abs(venue.account(who).size + change)
        slip = abs(change) * (abs(change) + abs(venue.skew)) // venue.terms.skew_scale
        margin = venue.margins.initial(size, self.market.price_wad) * 23 // 20
        return margin + slip * self.market.lot // UNIT

    def _trade(self, who: str, amount: int) -> None:
        self.market.trade(who, amount * UNIT)

    def _close(self, who: str, amount: int) -> None:
        size = self.market.venue.account(who).size
        if size:
            self.market.trade(who, -size)

    def _withdraw(self, who: str, amount: int) -> None:
        """Take quote: all that is allowed, or a part of it."""
        market, venue = self.market, self.market.venue
        held = venue._account_now(who, market.at)
        price = market.price_wad
        initial = venue.margins.initial(abs(held.size), price)
        spare = min(held.quote, venue._backing(held, price) - initial)
        if spare > 0:
            market.withdraw(who, spare if amount > 0 else spare // 2)

    def _withdraw_assets(self, who: str, amount: int) -> None:
        market = self.market
        free = market.venue.free_assets(who, market.price_wad, 0, at=market.at)
        if free:
            market.withdraw(who, 0, free)

    def _liquidate(self, who: str, amount: int) -> None:
        """Liquidate the first that fails, oneself included; rewards by others are honest."""
        market = self.market
        failing = [
            each
            for each in market.traders
            if market.venue.liquidation(each, market.price_wad, at=market.at)[0]
        ]
        if failing:
            self._liquidated(failing[abs(amount) % len(failing)], who)

    def _liquidated(self, target: str, by: str) -> None:
        venue = self.market.venue
        before = venue.account(by).quote
        size = venue.liquidate(by, target, at=self.market.at)
        if target in ATTACKERS:
            self.failed += abs(size)
        if by in ATTACKERS and target not in ATTACKERS:
            self.honest += max(0, venue.account(by).quote - before)

    def _settle_debt(self, who: str, amount: int) -> None:
        market = self.market
        for each in market.traders:
            if market.venue.account(each).quote < 0:
                attempt(lambda each=each: market.venue.settle_debt(who, each, at=market.at))

    def _realise(self, who: str, amount: int) -> None:
        self.market.venue.realise(who, at=self.market.at)

    def _unwind(self, who: str, amount: int) -> None:
        self.market.venue.unwind(at=self.market.at)

    def _take_over(self, who: str, amount: int) -> None:
        """Take over some of what the backstop holds, all of it, or all but what is unwound."""
        market, venue = self.market, self.market.venue
        held, terms = venue.account(market.pool.address).size, venue.terms
        taken = min(abs(amount) * UNIT, abs(held))
        if abs(amount) == BUT_UNWOUND:
            taken = abs(held) - 2 * terms.maker_fee_wad * terms.skew_scale // 10**18
        taken *= 1 if held > 0 else -1
        if amount > 0:
            market.deposit(who, self._margin_for(who, taken))
        offer = venue.offer(at=market.at)
        venue.take_over(who, taken, UINT256_MAX if taken > 0 else 0, at=market.at)
        # Whoever comes first gets the discount, but what attackers failed with was theirs.
        others = max(0, abs(taken) - self.failed)
        self.failed -= abs(taken) - others
        saved_wad = abs(price_rate(held, offer.premium_wad, 0) - offer.rate_wad)
        self.honest += venue.margins.share_up(others, market.price_wad, saved_wad)

    def _deleverage(self, who: str, amount: int) -> None:
        self.market.deleverage(abs(amount) % 3)

    def _provide(self, who: str, amount: int) -> None:
        self.market.request_provide(who, abs(amount) * self.market.lot)

    def _execute_provide(self, who: str, amount: int) -> None:
        self.market.pool.execute_provide(who, at=self.market.at)

    def _cancel_provide(self, who: str, amount: int) -> None:
        self.market.cancel_provide(who)

    def _remove(self, who: str, amount: int) -> None:
        pool = self.market.pool
        shares = pool.shares_of.get(who, 0)
        if shares:
            pool.request_remove(who, shares if amount > 0 else shares // 2, at=self.market.at)

    def _execute_remove(self, who: str, amount: int) -> None:
        self.market.execute_remove(who)

    def _stake(self, who: str, amount: int) -> None:
        self.market.stake(who, abs(amount) * self.market.lot)

    def _enter(self, who: str, amount: int) -> None:
        self.market.fund.enter(who, at=self.market.at)

    def _request_unstake(self, who: str, amount: int) -> None:
        fund = self.market.fund
        if fund.shares_of(who):
            fund.request_unstake(who, fund.shares_of(who), at=self.market.at)

    def _cancel_unstake(self, who: str, amount: int) -> None:
        self.market.fund.cancel_request(who)

    def _spot(self, who: str, amount: int) -> None:
        self.market.spot_trade(who, amount * UNIT)

    def _poke(self, who: str, amount: int) -> None:
        market = self.market
        calls = (
            lambda: market.venue.accrue(at=market.at),
            lambda: market.venue.settle(at=market.at),
            lambda: market.fund.collect(market.venue),
        )
        calls[abs(amount) % 3]()

    # Time

    def _minute(self, who: str, amount: int) -> None:
        self._pass(61)

    def _day(self, who: str, amount: int) -> None:
        self._pass(DAY)

    def _stand(self, who: str, amount: int) -> None:
        """Let requests to the pool become due."""
        self._pass(HOUR)
        self.market.pool.note_price(at=self.market.at)
        self._age(61)

    def _move(self, who: str, amount: int) -> None:
        """The price moves, once."""
        move, self.move_bps = self.move_bps, 0
        self._pass(61, move)

    def _end(self, who: str, amount: int) -> None:
        """The price fails for a week; whatever it was touched at last stands."""
        market = self.market
        if market.venue.stage == CLOSED:
            return
        before = self._totals()
        market.lose_price()
        self.honest += max(0, self._totals() - before)
        # That all are closed at the index and not on the curve is luck.
        market.at_index = True
        at_index = self._totals()
        market.at_index = False
        self.honest += max(0, at_index - self.closed_total(self.market))
        market.wind_up()

    def _leave(self, who: str, amount: int) -> None:
        self.market.leave(who)

    def _pass(self, seconds: int, change_bps: int = 0) -> None:
        """Let time pass, take off funding that others paid, and let keepers come."""
        market = self.market
        self._age(seconds)
        market.tick(0, change_bps)
        attempt(lambda: market.venue.accrue(at=market.at))
        for each in market.traders:
            if market.venue.liquidation(each, market.price_wad, at=market.at)[0]:
                attempt(lambda each=each: self._liquidated(each, "0xee"))

    def _age(self, seconds: int) -> None:
        """Let time pass at the same price; what it brings was paid by others, and is honest."""
        before = self._totals()
        self.market.at += seconds
        self.honest += max(0, self._totals() - before)

    def _totals(self) -> int:
        price_wad = self.market.price_wad
        return sum(self.market.total(who, price_wad=price_wad) for who in ATTACKERS)


OPS = tuple(name[1:] for name in vars(Run) if name[0] == "_" and name[1] != "_")
NOT_OPS = ("liquidated", "margin_for", "pass", "age", "totals")
CHOICES = tuple(op for op in OPS if op not in NOT_OPS) + ("open", "trade", "close", "open") * 2


def score(scenario: Scenario, terms: str, program: Program, found: Found) -> int:
    """Return the mean profit over the moves that the price may make."""
    program = allowed(scenario, program)
    move = scenario.move_bps
    moves = (move,) if scenario.known else (move, -move) if "move" in ops_of(program) else (0,)
    profits = []
    for each in moves:
        run = Run(scenario, terms, each, found)
        run.play(program)
        profits.append(run.profit(at_index=scenario.flat))
    found.tried += 1
    profit = sum(profits) // len(profits)
    if profit > found.profit:
        found.profit, found.program = profit, program
    return profit


def rank(scenario: Scenario, terms: str, program: Program, found: Found) -> int:
    """Return the score to climb by; what changes nothing leads nowhere."""
    return score(scenario, terms, program, found) or WORST


def ops_of(program: Program) -> set[str]:
    return {step.op for step in program}


def random_step(chance: random.Random) -> Step:
    amount = chance.choice(GRID) * chance.choice((-1, 1))
    return Step(chance.choice(CHOICES), chance.randrange(3), amount)


def allowed(scenario: Scenario, program: Program) -> Program:
    return tuple(step for step in program if step.op not in scenario.without)


def mutated(chance: random.Random, program: Program) -> Program:
    """Return the program with one step added, removed, replaced, moved or changed a little."""
    steps, i = list(program), chance.randrange(max(1, len(program)))
    kind = chance.randrange(5)
    if kind == 0 or not steps:
        steps.insert(i, random_step(chance))
    elif kind == 1:
        del steps[i]
    elif kind == 2:
        steps[i] = random_step(chance)
    elif kind == 3:
        steps.insert(chance.randrange(len(steps)), steps.pop(i))
    else:
        amount = chance.choice(GRID) * (1 if steps[i].amount >= 0 else -1)
        steps[i] = steps[i]._replace(amount=amount)
    return tuple(steps[:14])


def search(
    scenario: Scenario, terms: str, ideas: Sequence[Program], *, seed: int, budget: int
) -> Found:
    """Try ideas and random programs, then climb from the best of them, `budget` in all."""
    chance, found = random.Random(seed), Found()
    ranked = [(rank(scenario, terms, each, found), each) for each in ideas]
    while found.tried < budget * 2 // 5:
        program = tuple(random_step(chance) for _ in range(chance.randint(2, 9)))
        ranked.append((rank(scenario, terms, program, found), program))
    ranked = sorted(ranked, reverse=True)[:12]
    while found.tried < budget:
        place = chance.randrange(len(ranked))
        value, program = ranked[place]
        for _ in range(chance.randint(1, 3)):
            program = mutated(chance, program)
        climbed = rank(scenario, terms, program, found)
        if climbed >= value:
            ranked[place] = climbed, program
    return found


def shortest(scenario: Scenario, terms: str, found: Found, *, least: int) -> Program:
    """Return the best program without the steps that its profit does not need."""
    program = found.program
    for i in reversed(range(len(program))):
        shorter = program[:i] + program[i + 1 :]
        if score(scenario, terms, shorter, Found()) > least:
            program = shorter
    return program


# What the attackers find


def honest(market: Market, who: str, size: int, margin_bps: int) -> None:
    """Open an honest position, margin as a share of notional."""
    market.deposit(who, abs(size) * market.lot * margin_bps // 10_000)
    market.trade(who, size * UNIT)


def flat(terms: str) -> Market:
    return Market(terms_of(terms), insurance=50)


def skewed(terms: str) -> Market:
    market = Market(terms_of(terms), insurance=50)
    honest(market, "0xb1", 60, 9_000)
    honest(market, "0xb2", -20, 9_000)
    return market


def failing(terms: str) -> Market:
    """Leave a long that fails, with something left, to whoever comes first."""
    market = Market(terms_of(terms), insurance=50)
    thin = market.venue.margins.initial_rate(60 * UNIT) // 10**14 + 100
    honest(market, "0xb1", -60, 9_000)
    honest(market, "0xb2", 60, thin)
    while not market.venue.liquidation("0xb2", market.price_wad, at=market.at)[0]:
        market.tick(60, -20)
    return market


def backed(terms: str) -> Market:
    """Return a market whose backstop took over most of a long."""
    market = failing(terms)
    for _ in range(30):
        market.tick(601, -50)
        attempt(lambda: market.venue.liquidate("0xee", "0xb2", at=market.at))
    return market


def beside(terms: str, side: int) -> Market:
    """
    Return a market whose backstop took over a position of a side where others stand, too.

    The premium stays under the initial margin: else whoever closes first gains what his partner's
    margin does not cover, with or without a backstop. The deployed cap sees to that.
    """
    market = Market(terms_of(terms), insurance=50)
    scale = market.venue.terms.skew_scale // UNIT
    others, size = (20, 20) if terms == "tests" else (100, 60)
    thin = market.venue.margins.initial_rate(size * UNIT) // 10**14 + 100
    honest(market, "0xb1", others * side, 9_000)
    honest(market, "0xb2", size * side, thin + 10_000 * (others + size // 2) // scale)
    for _ in range(100):
        market.tick(601, -20 * side)
        attempt(lambda: market.venue.liquidate("0xee", "0xb2", at=market.at))
    return market


def beside_longs(terms: str) -> Market:
    return beside(terms, 1)


def beside_shorts(terms: str) -> Market:
    return beside(terms, -1)


def deep(terms: str) -> Market:
    """Return a market whose backstop took over all of a large long."""
    market = Market(terms_of(terms), insurance=50)
    thin = market.venue.margins.initial_rate(450 * UNIT) // 10**14 + 100
    honest(market, "0xb1", -450, 9_000)
    market.deposit("0xb2", 450 * market.lot * thin // 10_000)
    market.trade("0xb2", 450 * UNIT)
    market.tick(60, -thin + 100)
    for _ in range(30):
        market.tick(601, -20)
        attempt(lambda: market.venue.liquidate("0xee", "0xb2", at=market.at))
    return market


def lost(terms: str) -> Market:
    """Return a market where a loss waits for deleveraging."""
    market = Market(terms_of(terms))
    honest(market, "0xb1", -40, 9_000)
    honest(market, "0xb3", -20, 3_000)
    thin = market.venue.margins.initial_rate(60 * UNIT) // 10**14 + 100
    honest(market, "0xb2", 60, thin)
    while market.venue.margin("0xb2", market.price_wad, at=market.at).equity > 0:
        market.tick(60, -100)
    market.tick(60, -300)
    market.venue.liquidate("0xee", "0xb2", at=market.at)
    assert market.venue.queue(FAILED_LONGS == 1).quote > 0
    return market


def borrowed(terms: str) -> Market:
    """Return a market where somebody owes more than his margin may back."""
    market = Market(terms_of(terms), insurance=50)
    market.deposit("0xb1", 0, 30 * UNIT)
    market.trade("0xb1", 40 * UNIT)
    market.tick(60, -2_500)
    attempt(lambda: market.trade("0xb1", -40 * UNIT))
    return market


def low(terms: str) -> Market:
    """Return a market whose pool runs low: longs gained."""
    market = Market(terms_of(terms), insurance=50, liquidity=200)
    honest(market, "0xb1", 60, 9_000)
    honest(market, "0xb2", 20, 9_000)
    for _ in range(60):
        equity = market.pool.equity(market.price_wad, at=market.at)
        share = market.venue.terms.low_share_wad
        if equity * 10**18 * market.divisor < share * market.venue.skew * market.price_wad:
            break
        market.tick(60, 300)
    return market


SCENARIOS = (
    Scenario("flat", flat, flat=True),
    Scenario("flat, known move", flat, move_bps=5, known=True),
    Scenario("skewed", skewed),
    Scenario("failing", failing),
    Scenario("backstop", backed),
    Scenario("deep backstop", deep),
    Scenario("backstop beside longs", beside_longs),
    Scenario("backstop beside shorts", beside_shorts),
    Scenario("backstop, known move", beside_longs, move_bps=5, known=True),
    Scenario("loss waits", lost),
    Scenario("loan", borrowed),
    Scenario("pool low", low),
)


def program_of(text: str) -> Program:
    """Read "open 0 60, move, close 0": what, who, how much."""
    words = (each.split() for each in text.split(","))
    return tuple(Step(op, *map(int, numbers)) for op, *numbers in words)


IDEAS = tuple(
    program_of(line)
    for line in """
    open 0 60, open 1 -60, withdraw 0 1, withdraw 1 1, move, close 0, close 1
    open 0 100, liquidate 1, close 0
    open 0 -100, liquidate 1, close 0
    provide 2 250, stand, execute_provide 2, liquidate 1, remove 2 1, stand, execute_remove 2
    provide 2 250, move, stand, execute_provide 2, remove 2 1, stand, execute_remove 2
    provide 2 250, stand, execute_provide 2, open 0 100, remove 2 1, stand, execute_remove 2
    provide 2 250, stand, execute_provide 2, open 0 -100, remove 2 1, stand, execute_remove 2
    open 0 100, provide 2 250, close 0, stand, open 0 100, execute_provide 2, close 0
    open 0 -100, provide 2 250, close 0, stand, open 0 -100, execute_provide 2, close 0
    provide 2 9000, stand, execute_provide 2, open 0 2500, remove 2 1, stand, execute_remove 2
    stake 2 100, request_unstake 2, liquidate 1, cancel_unstake 2
    stake 2 9000, minute, poke 0 5
    stake 2 9000, day, enter 2, liquidate 1, poke 0 5
    open 0 -100, unwind, close 0
    open 0 100, unwind, close 0
    open 0 -100, take_over 1 60, day, close 0, close 1
    open 1 -100, take_over 0 2500, minute, unwind, close 0, close 1
    open 0 -100, take_over 1 20, unwind, minute, unwind, close 0, close 1
    open 0 -160, day, take_over 1 160, close 0, close 1
    open 0 160, day, take_over 1 160, close 0, close 1
    open 0 100, take_over 1 60, unwind, close 0, close 1
    open 0 -60, day, take_over 0 -60, close 0
    open 0 100, liquidate 1, take_over 1 60, close 1
    open 0 60, deleverage 0 1, close 0
    open 0 35, open 1 160, deposit 2 -2500, trade 2 250, move 0 -1
    open 0 60, deleverage 0 2, close 0
    open 0 -1, deleverage 0 2, close 0
    provide 2 250, stand, execute_provide 2, deleverage 0 1, remove 2 1, stand, execute_remove 2
    open 0 60, open 1 20, realise 0, withdraw 0 1, close 1, close 0
    deposit_assets 0 60, open 0 60, open 1 -60, withdraw 1 1, settle_debt 2, close 0
    provide 2 250, stand, execute_provide 2, settle_debt 0, remove 2 1, stand, execute_remove 2
    open 0 60, open 1 -60, move, end, leave 2
    provide 2 250, stand, execute_provide 2, open 0 100, move, end, leave 2
    open 0 100, spot 1 -60, poke 0 1, spot 1 60, close 0
    """.strip().splitlines()
)
