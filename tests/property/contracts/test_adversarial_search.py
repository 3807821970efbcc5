# SPDX-License-Identifier: MIT
"""
Colluding accounts find no profit beyond dust: ideas, random programs, and climbing from the best.

`tests/adversary.py` says what a program is and what counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import settings

from tests.adversary import (
    ATTACKERS,
    IDEAS,
    SCENARIOS,
    Found,
    Program,
    Run,
    Scenario,
    Step,
    backed,
    beside_longs,
    beside_shorts,
    deep,
    honest,
    program_of,
    score,
    search,
    shortest,
)
from tests.model_market import TERMS, UNIT, Market, attempt, terms_of

DUST = 200  # quote units, 0.0002 of a quote token; roundings of fourteen steps
BUDGET = max(400, 8 * settings.default.max_examples)  # programs a scenario; 16,000 nightly
LIQUIDITY = ("provide", "execute_provide", "remove", "execute_remove")


def report(name: str, found: Found, program: Program) -> str:
    calls, no = sum(found.calls.values()), sum(found.refused.values())
    steps = ", ".join(f"{step.op} {step.who} {step.amount}" for step in program)
    return (
        f"{name}: {found.tried} programs, {calls} calls, {no} refused; "
        f"best {found.profit / 10**6:.6f} quote by [{steps}]"
    )


def no_profit(scenario: Scenario, terms: str, name: str) -> None:
    found = search(scenario, terms, IDEAS, seed=1, budget=BUDGET)
    program = shortest(scenario, terms, found, least=max(DUST, found.profit // 2))
    said = report(f"{terms}, {scenario.name}, {name}", found, program)
    print(said)
    assert found.profit <= DUST, said


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_search__without_liquidity__finds_no_profit(scenario: Scenario, terms: str) -> None:
    no_profit(replace(scenario, without=LIQUIDITY), terms, "no liquidity")


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_search__with_liquidity__finds_no_profit(scenario: Scenario, terms: str) -> None:
    no_profit(scenario, terms, "liquidity")


def gain(build: Callable[[str], Market], terms: str, program: Program, **changes: Any) -> int:
    return score(Scenario("backstop", build, **changes), terms, program, Found())


def front_run(build: Callable[[str], Market], terms: str, minutes: int) -> int:
    """Return the profit of a short of 100 before the backstop sells for minutes, covered after."""
    steps = [Step("unwind"), Step("minute")] * minutes
    return gain(build, terms, (Step("open", 0, -100), *steps, Step("close", 0)))


BACKED = [("tests", backed), ("deployed", backed), ("deployed", deep)]


@pytest.mark.parametrize(("terms", "build"), BACKED)
def test_unwind__front_run_for_long__takes_nothing_from_the_pool(
    terms: str, build: Callable[[str], Market]
) -> None:
    """
    While all of it was unwound on the curve, a short of x gained x * S * b / L, less its fees, from
    a backstop b that was sold out, if the price stayed. In quote at S = 2,000:

        terms      b      x      minutes   profit   of notional
        tests      55     100    150       8,543    427 bp
        deployed   60     100    15        -21      -1 bp
        deployed   300    300    30        969      16 bp
        deployed   1,000  1,000  150       10,858   54 bp
    """
    assert front_run(build, terms, 60) <= DUST


@pytest.mark.parametrize(("terms", "build"), BACKED)
def test_take_over__in_front_of_what_is_unwound_after__gains_nothing(
    terms: str, build: Callable[[str], Market]
) -> None:
    """One goes ahead, another takes what is too much to be unwound, all of the rest is unwound."""
    market, found = build(terms), Found()
    held = market.venue.account(market.pool.address).size // UNIT
    small = 2 * terms_of(terms).maker_fee_wad * terms_of(terms).skew_scale // 10**18 // UNIT
    unwound = (Step("minute"), Step("unwind")) * 6
    for ahead in (10, 60, 200, 450):
        for taken in (held + 1 - small, held - small // 2, held // 2, held + 1):
            both = (Step("open", 0, -ahead), Step("take_over", 1, taken))
            for first in (both, both[::-1]):
                program = (*first, *unwound, Step("close", 0), Step("close", 1))
                score(Scenario("backstop", build), terms, program, found)
    said = report(f"{terms}, {build.__name__}", found, found.program)
    print(said)
    assert found.refused["take_over"] == 0
    assert found.profit <= DUST, said


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("held_for", ["", "minute,", "day,", "day, day, day,"])
def test_take_over__skew_pushed_before__gains_nothing(terms: str, held_for: str) -> None:
    """
    Who sells the premium down, takes over at the index and buys it back could sell what he took
    with the premium. When only the premium and its mean counted, that brought, after a day, 914
    quote on 20 at the terms of the tests, and 221 on 150 beside 300 at those deployed.
    """
    for ahead in (20, 40, 100, 160):
        for taken in (5, 20, 60):
            for build, sign in ((beside_longs, -1), (beside_shorts, 1)):
                text = f"open 0 {sign * ahead}, {held_for} take_over 1 {taken}, close 0, close 1"
                assert gain(build, terms, program_of(text)) <= DUST


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("build", [backed, beside_longs, beside_shorts, deep])
def test_take_over__move_known_before__is_not_worth_the_fees(
    terms: str, build: Callable[[str], Market]
) -> None:
    """Without the taker's fee 5 bp brought 7 quote on 35, where the premium is positive."""
    for taken in (1, 10, 35, 60, 250):
        program = program_of(f"take_over 0 {taken}, move, close 0")
        move = -5 if build is beside_shorts else 5
        assert gain(build, terms, program, move_bps=move, known=True) <= DUST


def thin(terms: str) -> Market:
    """Return a market in which a long of 500 fails when the price falls by a per cent."""
    market = Market(terms_of(terms), insurance=50, liquidity=10_000)
    initial_bps = market.venue.margins.initial_rate(500 * UNIT) // 10**14
    honest(market, "0xb1", 500, 9_000)
    honest(market, "0xb2", 500, initial_bps + 175)  # at a premium of 75 bp
    near = 500 * market.lot * 85 // 10_000
    while True:
        margin = market.venue.margin("0xb2", market.price_wad, at=market.at)
        if margin.equity < margin.maintenance + near:
            return market
        market.tick(60, -10)


def test_take_over__short_from_before_the_failure__gains_what_it_would_if_the_long_had_closed() -> (
    None
):
    """
    Shorts gain when longs leave, and who was short before knew no more than others. By taking over
    he gains no more than on the curve: 22,711 quote against 24,603, most of it the price.
    """
    taken = Run(Scenario("", thin, move_bps=-100), "deployed", -100, Found())
    taken.play(program_of("open 0 -1000, day, move, liquidate 2 0"))
    size = taken.market.venue.account(taken.market.pool.address).size
    assert size > 300 * UNIT
    taken.play(program_of("take_over 1 1000, close 0, close 1"))

    closed = Run(Scenario("", thin, move_bps=-100), "deployed", -100, Found())
    closed.play(program_of("open 0 -1000, day"))
    closed.market.deposit("0xb2", closed.market.lot * 100)
    closed.play(program_of("move"))
    closed.market.trade("0xb2", -size)
    closed.play(program_of("close 0"))
    assert taken.profit(at_index=False) <= closed.profit(at_index=False)
    assert sum(taken.found.refused.values()) == 0


@pytest.mark.parametrize("minutes", [1, 6, 15, 60])
def test_unwind__backstop_that_moves_the_premium_by_less_than_the_fees__gains_nothing(
    minutes: int,
) -> None:
    """At deployed terms 60 assets are 6 bp of premium, and in and out cost at least 7."""
    assert front_run(backed, "deployed", minutes) <= DUST


@pytest.mark.parametrize("terms", TERMS)
def test_unwind__one_step__is_not_worth_its_fees(terms: str) -> None:
    """What construction checks: whoever is in and out around a step pays more than it moves."""
    for build in (backed, deep):
        assert front_run(build, terms, 1) <= DUST


@pytest.mark.parametrize("terms", TERMS)
def test_stake__before_a_known_liquidation__takes_nothing_from_other_stakers(terms: str) -> None:
    """
    Found with 1,500 programs, +481 quote at deployed terms, when a stake shared at once in the
    penalty of who fails already. It earns after a day now.
    """
    scenario = next(each for each in SCENARIOS if each.name == "failing")
    stake, liquidation = Step("stake", 0, 9_000), (Step("minute"), Step("poke", 0, 5))
    for program in (
        (stake, *liquidation),
        (stake, Step("enter", 0), *liquidation),
        (stake, *liquidation, Step("day"), Step("enter", 0)),
    ):
        assert score(scenario, terms, program, Found()) <= DUST


@pytest.mark.parametrize("terms", TERMS)
def test_liquidate_oneself__premium_under_the_penalty__is_no_profit(terms: str) -> None:
    best, tried = best_of_grid(terms, [-10, -9, -5, 0, 5, 9, 10])
    print(f"{terms}: liquidating oneself, {tried} cases, best {best / 10**6:.6f} quote")
    assert tried > 100
    assert best <= DUST


def test_deployed_terms__premium_cap__is_not_over_the_penalty() -> None:
    """Who buys at a discount over the penalty gains by failing: he leaves at nearly the index."""
    assert terms_of("deployed").premium_cap_wad <= terms_of("deployed").penalty_wad
    best, tried = best_of_grid("tests", [-19, 19])  # a cap of 50 % and a penalty of 1.5 %
    print(f"premium over the penalty, {tried} cases, best {best / 10**6:.6f} quote")
    assert best > DUST


def best_of_grid(terms: str, skews: list[int]) -> tuple[float, int]:
    """Return the best over sizes, sides, order and skews in tenths of penalty * L, and how many."""
    best, tried = -inf, 0
    full = terms_of(terms).penalty_wad * terms_of(terms).skew_scale // 10**18 // UNIT
    for skew in skews:
        for size in (1, 3, 10, 30, 60, 100, 200, 400):
            for side in (-1, 1):
                for reverse in (False, True):
                    profit = liquidated(terms, size * side, skew * full // 10, reverse=reverse)
                    best, tried = max(best, profit), tried + (profit > -inf)
    return best, tried


def liquidated(terms: str, size: int, skew: int, *, reverse: bool) -> float:
    """
    Return the profit of somebody on both sides whose one account fails by a move, or -inf.

    He is hedged; if the price moves the other way, he closes both for their fees.
    """
    market = Market(terms_of(terms), liquidity=10_000, insurance=50)
    if skew:
        market.deposit("0xb1", 2 * abs(skew) * market.lot)
        market.trade("0xb1", skew * UNIT)
    run = Run(Scenario("", lambda _: market), terms, 0, Found())
    order = ((1, -size), (0, size)) if reverse else ((0, size), (1, -size))
    run.play([Step("deposit", 1, abs(size))])
    for who, amount in order:
        run.play([Step("open", who, amount)])
    run.play([Step("withdraw", 0, 1)])
    held = [market.venue.account(f"0xa{i + 1}").size for i in range(2)]
    if held != [size * UNIT, -size * UNIT]:
        return -inf
    for _ in range(100):  # his thin account fails; the other has what the price gives
        market.tick(0, -20 if size > 0 else 20)
        if market.venue.liquidation("0xa1", market.price_wad, at=market.at)[0]:
            break
    attempt(lambda: market.venue.liquidate("0xa3", "0xa1", at=market.at))
    market.flatten(ATTACKERS)
    return sum(map(market.total, ATTACKERS)) - run.at_start


def test_search__is_the_same_each_time() -> None:
    scenario = SCENARIOS[2]
    runs = [search(scenario, "tests", IDEAS, seed=5, budget=60) for _ in range(2)]
    assert runs[0].calls == runs[1].calls
    assert runs[0].program == runs[1].program
