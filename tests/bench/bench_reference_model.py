# SPDX-License-Identifier: MIT
"""Operations of the reference model in a second on one core; prints figures, asserts no time."""

from __future__ import annotations

import random
import time
from collections import Counter

from keeper.simulation.reference import Feed, PriceOracle, Reverted, Source, Terms, Venue, build
from tests.venue_world import FEED_UNIT, default_terms

OPERATIONS = 40_000
PRICE = 2_000
START = 1_700_000_000
NAMES = ("trade", "trade", "deposit", "withdraw", "accrue", "margin", "market", "quote_trade")


def market() -> tuple[Venue, Feed, Feed]:
    """Return a venue of 18 and 6 decimals with a pool of 10 M and eight traders."""
    asset_feed, quote_feed = (Feed(8, each * FEED_UNIT, at=START) for each in (PRICE, 1))
    oracle = PriceOracle(Source(asset_feed, 86_400, 50), Source(quote_feed, 86_400, 25), 100)
    terms = Terms(**default_terms(18, 6))
    venue = build(terms, oracle, asset_decimals=18, quote_decimals=6, at=START)
    venue.pool.request_provide("owner", 10**13, at=START)
    venue.pool.execute_provide("owner", at=START)
    for i in range(8):
        venue.deposit(f"trader {i}", 100 * 10**18, 10**11, at=START)
    return venue, asset_feed, quote_feed


def operate(venue: Venue, chance: random.Random, price_wad: int, at: int) -> str:
    """Make one call at random and return its name."""
    who = f"trader {chance.randrange(8)}"
    size = chance.randint(-(10**19), 10**19) or 1
    name = chance.choice(NAMES)
    try:
        match name:
            case "trade":
                venue.trade(who, 0, size, 2**256 - 1 if size > 0 else 0, at=at)
            case "deposit":
                venue.deposit(who, 10**15, 10**6, at=at)
            case "withdraw":
                venue.withdraw(who, 10**14, 10**5, at=at)
            case "accrue":
                venue.accrue(at=at)
            case "margin":
                venue.margin(who, price_wad, at=at)
            case "market":
                venue.market(price_wad, at=at)
            case _:
                venue.quote_trade(0, size, price_wad)
    except Reverted:
        name += " (refused)"
    return name


def test_reference_model__operations_a_second() -> None:
    """Time of this process only: other work on the machine does not count."""
    venue, asset_feed, quote_feed = market()
    chance = random.Random(7)
    spent: Counter[str] = Counter()
    count: Counter[str] = Counter()
    at, price = START, PRICE * FEED_UNIT
    for _ in range(OPERATIONS):
        at += 12
        price = max(price * chance.randint(9_990, 10_010) // 10_000, FEED_UNIT)
        asset_feed.set_answer(price, at=at)
        quote_feed.set_answer(FEED_UNIT, at=at)
        began = time.process_time_ns()
        name = operate(venue, chance, price * 10**10, at)
        spent[name] += time.process_time_ns() - began
        count[name] += 1
    print()
    for name, nanoseconds in sorted(spent.items()):
        print(f"{name:>20}: {count[name] * 10**9 / nanoseconds:>9,.0f}/s of {count[name]:,}")
    print(f"{'all':>20}: {OPERATIONS * 10**9 / sum(spent.values()):>9,.0f} operations/s")
