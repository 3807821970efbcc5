# SPDX-License-Identifier: MIT
"""
What must not matter: how many accounts somebody uses, their addresses, washing, poking.

On the reference model, with the terms of the tests and those of a new system. Totals are what
everybody has at the end less what he put in, at the index; DUST is in quote units (1e-6 of a
quote token) for each account and step, and bounds roundings only.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.simulation.reference.deleverager import FAILED_LONGS
from tests.model_market import TERMS, UNIT, Market, attempt, terms_of

DUST = 2  # quote units for each account and step
VICTIM = "0xff"  # long; fails, where somebody must


class Person(NamedTuple):
    """Somebody with one position from the start."""

    who: str
    size: int  # asset units, long positive
    margin: int  # quote units


class Step(NamedTuple):
    """Time passes and the price changes."""

    seconds: int
    change_bps: int


signs = st.sampled_from([-1, 1])
worlds = st.fixed_dictionaries(
    {
        "sizes": st.lists(
            st.builds(lambda size, sign: sign * size, st.integers(UNIT, 60 * UNIT), signs),
            min_size=2,
            max_size=5,
        ),
        "margins_bps": st.lists(st.integers(3_000, 15_000), min_size=5, max_size=5),
        "steps": st.lists(
            st.builds(Step, st.integers(1, 40_000), st.integers(-300, 300)), max_size=5
        ),
    }
)
endings = st.sampled_from(["open", "flat", "wind up"])
pieces = st.lists(st.integers(1, 100), min_size=2, max_size=4)


def people_of(market: Market, sizes: list[int], margins_bps: list[int]) -> list[Person]:
    """Return people with addresses from 1, margin as a share of notional."""
    return [
        Person(hex(i), size, abs(size) * market.lot * bps // (UNIT * 10_000))
        for i, (size, bps) in enumerate(zip(sizes, margins_bps, strict=False), 1)
    ]


def split(person: Person, weights: list[int]) -> list[Person]:
    """Return the same position in several accounts, in proportion to the unit."""
    parts, sizes, margins = [], person.size, person.margin
    for i, weight in enumerate(weights):
        rest = sum(weights[i:])
        size, margin = sizes * weight // rest, margins * weight // rest
        parts.append(Person(f"{person.who}0{i:x}", size, margin))
        sizes, margins = sizes - size, margins - margin
    return parts


def enter(market: Market, people: list[Person]) -> None:
    for person in people:
        market.deposit(person.who, person.margin)
        market.trade(person.who, person.size)


def finish(market: Market, ending: str) -> None:
    if ending == "flat":
        market.flatten(market.traders)
    elif ending == "wind up":
        market.lose_price()
        market.wind_up()


def totals(market: Market) -> Counter[str]:
    """Return everybody's total; parts of one person share the head of their address."""
    price_wad = market.price_wad
    found: Counter[str] = Counter(
        {
            "pool": market.total("honest", price_wad=price_wad),
            "fund": market.fund.held + market.venue.fund_claim,
        }
    )
    for who in market.traders:
        found[who[:3]] += market.total(who, price_wad=price_wad)
    return found


def compare(left: Counter[str], right: Counter[str], bound: int) -> None:
    for who in left.keys() | right.keys():
        assert abs(left[who] - right[who]) <= bound, (who, left[who], right[who], bound)


def story(
    terms: str, world: dict[str, list], ending: str, *, weights: list[int] | None = None
) -> Counter[str]:
    """Return totals after everybody entered and steps passed, the first person split or not."""
    market = Market(terms_of(terms))
    people = people_of(market, world["sizes"], world["margins_bps"])
    if weights is not None:
        people[:1] = split(people[0], weights)
    enter(market, people)
    for step in world["steps"]:
        market.tick(*step)
        market.venue.accrue(at=market.at)
    finish(market, ending)
    return totals(market)


@pytest.mark.parametrize("terms", TERMS)
@given(world=worlds, ending=endings, weights=pieces)
def test_split__in_proportion__changes_nobodys_total(terms, world, ending, weights) -> None:
    whole = story(terms, world, ending)
    parts = story(terms, world, ending, weights=weights)
    accounts = len(world["sizes"]) + len(weights)
    compare(whole, parts, DUST * accounts * (2 + len(world["steps"])))


@pytest.mark.parametrize("terms", TERMS)
@given(world=worlds, ending=endings, order=st.permutations(range(5)))
def test_permute__other_addresses__change_nobodys_total(terms, world, ending, order) -> None:
    market = Market(terms_of(terms))
    people = people_of(market, world["sizes"], world["margins_bps"])
    results = []
    for numbers in (range(5), order):
        market = Market(terms_of(terms))
        enter(market, [each._replace(who=hex(numbers[i] + 1)) for i, each in enumerate(people)])
        for step in world["steps"]:
            market.tick(*step)
            market.venue.accrue(at=market.at)
        finish(market, ending)
        found = totals(market)
        back = {hex(numbers[i] + 1): i for i in range(len(people))}
        results.append(Counter({str(back.get(who, who)): n for who, n in found.items()}))
    # Only who is closed last differs with the order of addresses, and none is by it here.
    compare(results[0], results[1], 0)


@pytest.mark.parametrize("terms", TERMS)
@given(world=worlds, size=st.integers(-80 * UNIT, 80 * UNIT), parts=st.integers(1, 4))
def test_wash__round_trip__costs_its_fees_and_changes_nobody_else(
    terms, world, size, parts
) -> None:
    size = size // (20 * parts) * 20 * parts or 20 * parts * UNIT
    market = Market(terms_of(terms))
    enter(market, people_of(market, world["sizes"], world["margins_bps"]))
    for step in world["steps"]:
        market.tick(*step)
    market.venue.accrue(at=market.at)
    before = totals(market)
    market.deposit("0xaaa", 100 * market.lot)
    for _ in range(parts):
        attempt(lambda: market.trade("0xaaa", size // parts))
    held = market.venue.account("0xaaa").size
    if held:
        market.trade("0xaaa", -held)
    after = totals(market)
    paid = -after.pop("0xa")
    assert paid >= 0
    # All that was paid is the pool's and the fund's; the others have the same to the unit.
    gained = sum((after - before).values()) - sum((before - after).values())
    assert abs(gained - paid) <= 4
    for who in before.keys() - {"pool", "fund"}:
        assert after[who] == before[who]
    assert after["pool"] >= before["pool"] - 4


@pytest.mark.parametrize("terms", TERMS)
@given(
    world=worlds,
    pokes=st.lists(
        st.tuples(st.sampled_from(["accrue", "settle", "collect", "wash"]), st.integers(0, 20_000)),
        min_size=1,
        max_size=12,
    ),
)
def test_poke__at_random__changes_nobodys_total(terms, world, pokes) -> None:
    """At a steady price; funding depends on when it is poked through the price only."""
    results = []
    for poked in (False, True):
        market = Market(terms_of(terms))
        enter(market, people_of(market, world["sizes"], world["margins_bps"]))
        market.venue.accrue(at=market.at)
        for what, seconds in pokes:
            market.tick(seconds)
            if poked:
                poke(market, what, world["sizes"][0])
        market.venue.accrue(at=market.at)
        results.append(totals(market))
    compare(*results, DUST * (len(pokes) + 2))


def poke(market: Market, what: str, size: int) -> None:
    """Call what anyone may; a wash is a touch of an account with a position."""
    venue = market.venue
    match what:
        case "accrue":
            venue.accrue(at=market.at)
        case "settle":
            venue.settle(at=market.at)
        case "collect":
            attempt(lambda: market.fund.collect(venue))
        case "wash":
            market.deposit(hex(1), 1 + abs(size) % 7)


class Failure(NamedTuple):
    """Longs that fail at once, and shorts that win."""

    sizes: list[int]  # of shorts, unsigned, asset units
    margins_bps: list[int]
    lost_bps: int  # by how much the victim's loss is over what he has


failures = st.builds(
    Failure,
    st.lists(st.integers(2 * UNIT, 60 * UNIT), min_size=1, max_size=4),
    st.lists(st.integers(2_500, 12_000), min_size=4, max_size=4),
    st.integers(1, 800),
)


def deleveraged(terms: str, failure: Failure, parts: list[list[int]] | None) -> tuple[int, int]:
    """Return what the first short gives up, and his total after; `parts` split him as he likes."""
    market = Market(terms_of(terms), liquidity=2_000)
    people = people_of(market, [-size for size in failure.sizes], failure.margins_bps)
    size = sum(failure.sizes)
    notional = size * market.lot // UNIT
    rate = market.venue.margins.initial_rate(size) + 10**16
    market.deposit(VICTIM, notional * rate // 10**18)
    own = [people[0]]
    if parts is not None:
        sizes, margins = (shares_of(total, weights) for total, weights in zip(
            (people[0].size, people[0].margin), parts, strict=True
        ))  # fmt: skip
        own = [
            Person(f"{people[0].who}0{i:x}", a, b)
            for i, (a, b) in enumerate(zip(sizes, margins, strict=True))
        ]
    enter(market, own)
    enter(market, people[1:])
    market.trade(VICTIM, size)
    while market.total(VICTIM) > market.wallets[VICTIM][0]:
        market.tick(60, -100)
    market.tick(60, -failure.lost_bps)
    market.venue.liquidate("keeper", VICTIM, at=market.at)
    owners, cuts = market.deleverage(FAILED_LONGS)
    mine = [person.who for person in own]
    assert set(mine) <= set(owners)
    return sum(cuts[who] for who in mine), sum(market.total(who) for who in mine)


def shares_of(total: int, weights: list[int]) -> list[int]:
    """Return the total in parts of these weights, exact in sum."""
    parts = [total * weight // sum(weights) for weight in weights]
    return [*parts[:-1], total - sum(parts[:-1])]


@pytest.mark.parametrize("terms", TERMS)
@given(failure=failures, weights=st.lists(st.integers(1, 100), min_size=4, max_size=4))
def test_split__however__lowers_ones_own_cut_by_no_more_than_its_accounts(
    terms, failure, weights
) -> None:
    """Sizes in one proportion, margins in another, as far as each part has its initial margin."""
    alone = deleveraged(terms, failure, None)
    for parts in ([weights[:2], weights[:2]], [weights[:2], weights[2:]]):
        try:
            split_up = deleveraged(terms, failure, parts)
        except Exception as refused:
            if "initial margin" not in str(refused):
                raise
            continue
        assert split_up[0] >= alone[0] - len(parts[0])


@pytest.mark.parametrize("terms", TERMS)
def test_wash__around_a_batch__lowers_nobodys_cut(terms: str) -> None:
    """Buy the failed side in another account, deleverage, sell: all in one block, for the fees."""
    cuts = []
    for push in (0, 60 * UNIT):
        market = Market(terms_of(terms), liquidity=2_000)
        rate = market.venue.margins.initial_rate(60 * UNIT) + 10**16
        short = Person("0x1", -60 * UNIT, 20 * market.lot)
        enter(market, [short, Person(VICTIM, 60 * UNIT, 60 * market.lot * rate // 10**18)])
        while market.total(VICTIM) > market.wallets[VICTIM][0]:
            market.tick(60, -100)
        market.tick(60, -400)
        market.venue.liquidate("0xee", VICTIM, at=market.at)
        market.deposit("0x2", 30 * market.lot)
        if push:
            market.trade("0x2", push)
        cuts.append(market.deleverage(FAILED_LONGS)[1]["0x1"])
        if push:
            market.trade("0x2", -push)
    assert cuts[1] >= cuts[0] - 1
