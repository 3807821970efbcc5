# SPDX-License-Identifier: MIT
"""VenueBackstop: what a taker pays for the backstop's position, and what he may not do."""

from __future__ import annotations

import boa
import pytest

from tests.unit.contracts.venue_backstop.test_unwind import fallen
from tests.venue_world import BP, NO_FUNDING, NO_REWARD, WAD, World, world

ANY = 2**256 - 1
MAX_DISCOUNT_WAD = 60 * BP  # half of the 80 % of 150 bp that are the pool's


def backed(side: int = 1, others: int = 0) -> World:
    """Return a market whose backstop holds 10 of a side, and somebody else `others`."""
    w = world(liquidity=10_000, insurance=100, **NO_FUNDING, **NO_REWARD)
    if others:
        w.trade(w.trader("other", quote=500), others)
    failing = w.trader("failing", quote="1.4")
    w.trade(failing, 10 * side)
    w.set_price("0.8" if side > 0 else "1.2")
    w.venue.liquidate(failing, sender=w.owner)
    assert abs(w.venue.account(w.pool.address).size) == w.assets(10)
    return w


def test_take_over__at_the_premium__skew_stays_and_the_pool_gains() -> None:
    w = backed()
    taker, before = w.trader("taker", quote=5), w.venue.market(w.price())
    held, stop = w.venue.state().pool_claim, w.venue.account(w.pool.address)
    paid = w.venue.take_over(w.assets(4), ANY, sender=taker)
    # 4 * 0.8 * (1 + 10 / 1,000), and 5 bp of the index
    assert paid == 3_232_000 + 1_600
    account = w.venue.account(taker)
    assert (account.size, account.entry) == (w.assets(4), 3_232_000)
    assert account.quote == w.quotes(5) - 1_600
    assert w.venue.account(w.pool.address).size == w.assets(6)
    assert w.venue.account(w.pool.address).entry == stop.entry * 6 // 10
    after = w.venue.market(w.price())
    assert (after.skew, after.long_size) == (before.skew, before.long_size)
    assert w.venue.state().pool_claim - held == 1_600 * 8 // 10


@pytest.mark.parametrize(
    ("side", "rate"), [(1, WAD - MAX_DISCOUNT_WAD), (-1, WAD + MAX_DISCOUNT_WAD)]
)
def test_offer__after_an_hour__at_its_most(side: int, rate: int) -> None:
    w = backed(side, others=-10 * side)  # K was zero after the failing one came
    assert w.venue.offer()[:3] == (w.assets(10) * side, 0, 0)
    w.pass_time(1_800)
    assert w.venue.offer().discount_wad == MAX_DISCOUNT_WAD // 2
    w.pass_time(1_800)
    assert w.venue.offer().rate_wad == rate
    w.pass_time(1)
    assert w.venue.offer().rate_wad == rate
    taker = w.trader("taker", quote=5)
    size = w.assets(1) * side
    paid = w.venue.take_over(size, ANY if side > 0 else 0, sender=taker)
    fee = -(-w.assets(1) * w.price() * 5 // 10_000 // 10**30)
    assert abs(paid - (size * w.price() * rate // 10**48) - fee) <= 1


def test_offer__a_part_goes_or_comes__the_wait_shrinks_in_proportion() -> None:
    w = backed(others=-10)
    w.pass_time(1_800)
    taker = w.trader("taker", quote=50)
    w.venue.take_over(w.assets("2.5"), ANY, sender=taker)
    assert w.venue.offer().discount_wad == MAX_DISCOUNT_WAD * 1_350 // 3_600
    again = w.trader("again", quote="1.5")
    w.trade(again, "7.5")
    w.set_price("0.5")
    w.venue.liquidate(again, sender=w.owner)
    assert w.venue.offer().size == w.assets(15)
    assert w.venue.offer().discount_wad == MAX_DISCOUNT_WAD * 675 // 3_600


def test_offer__shorts_that_come_later__do_not_lower_the_premium() -> None:
    w = backed(others=20)  # K was 30
    assert w.venue.offer().premium_wad == 300 * BP
    w.trade(w.trader("short", quote=50), -30)
    w.pass_time(86_400)
    assert w.venue.market(w.price()).mean_premium_wad == 0
    assert w.venue.offer().premium_wad == 300 * BP


def test_offer__longs_that_leave__lower_the_premium_to_their_side() -> None:
    w = backed(others=20)
    other = next(who for who in w.actors if w.venue.account(who).size == w.assets(20))
    w.trade(other, -20)  # only the backstop's 10 are left
    w.pass_time(86_400)
    assert w.venue.offer().premium_wad == 100 * BP


def test_offer__premium_pushed_for_a_moment__the_mean_counts() -> None:
    w = backed()
    w.pass_time(86_400)
    w.trade(w.trader("long", quote=200), 40)
    assert w.venue.offer().premium_wad == 500 * BP
    w.pass_time(86_400)
    w.trade(w.trader("short", quote=200), -50)
    assert w.venue.market(w.price()).premium_wad == 0
    assert w.venue.offer().premium_wad == w.venue.market(w.price()).mean_premium_wad > 490 * BP


def test_take_over__what_came_with_premium_and_without__at_the_mean() -> None:
    w = backed(others=-10)
    again = w.trader("again", quote=2)
    w.trade(again, 10)
    w.set_price("0.5")
    w.pass_time(86_400)
    w.venue.liquidate(again, sender=w.owner)
    assert w.venue.offer().size == w.assets(20)
    w.trade(w.trader("short", quote=200), -10)
    w.pass_time(86_400)
    assert w.venue.offer().premium_wad == 50 * BP  # ten at none, ten at 100 bp


@pytest.mark.parametrize("size", [0, -1, 10 * 10**18 + 1])
def test_take_over__not_what_it_holds__refused(size: int) -> None:
    w = backed()
    with boa.reverts("venue: not the backstop's"):
        w.venue.take_over(size, ANY, sender=w.trader("taker", quote=50))


def test_take_over__limit__to_the_unit() -> None:
    w = backed()
    taker = w.trader("taker", quote=50)
    fill_wad = w.price() * w.venue.offer().rate_wad // WAD
    with boa.reverts("venue: fill over the limit"):
        w.venue.take_over(w.assets(1), fill_wad - 1, sender=taker)
    w.venue.take_over(w.assets(1), fill_wad, sender=taker)


def test_take_over__short__limit_is_the_least() -> None:
    w = backed(-1)
    taker = w.trader("taker", quote=50)
    fill_wad = w.price() * w.venue.offer().rate_wad // WAD
    with boa.reverts("venue: fill over the limit"):
        w.venue.take_over(-w.assets(1), fill_wad + 1, sender=taker)
    w.venue.take_over(-w.assets(1), fill_wad, sender=taker)


def test_take_over__without_margin__refused_at_the_worse_of_index_and_closing() -> None:
    w = backed()  # premium 1 %, so 10 cost 0.08 over the index; initial 5.2 % of 8
    with boa.reverts("venue: under initial margin"):
        w.venue.take_over(w.assets(10), ANY, sender=w.trader("poor", quote="0.49"))
    w.venue.take_over(w.assets(10), ANY, sender=w.trader("taker", quote="0.51"))
    other = backed(others=-60)  # K = -50: closing brings less than the index
    with boa.reverts("venue: under initial margin"):
        other.venue.take_over(other.assets(10), ANY, sender=other.trader("poor", quote="0.84"))
    other.venue.take_over(other.assets(10), ANY, sender=other.trader("taker", quote="0.87"))


def test_take_over__dust_remains__refused() -> None:
    w = backed()
    with boa.reverts("venue: under minimum size"):
        w.venue.take_over(w.assets("0.009"), ANY, sender=w.trader("taker", quote=1))


def test_take_over__against_a_short__closes_it() -> None:
    w = backed(others=-10)
    other = next(who for who in w.actors if w.venue.account(who).size == -w.assets(10))
    before = w.venue.account(other)
    w.venue.take_over(w.assets(4), ANY, sender=other)
    after = w.venue.account(other)
    assert (after.size, after.entry) == (-w.assets(6), before.entry * 6 // 10)
    # sold at 0.995 on average, taken over at 0.8
    assert after.quote - before.quote == w.quotes("0.78") - 1_600
    market = w.venue.market(w.price())
    assert (market.long_size, market.short_size) == (w.assets(6), w.assets(6))
    w.venue.take_over(w.assets(6), ANY, sender=other)
    assert w.venue.account(other).size == w.venue.account(w.pool.address).size == 0


def test_take_over__a_loss_waits__deleveraging_first() -> None:
    w = world(**NO_REWARD)
    failing = w.trader("failing", quote="1.5")
    w.trade(failing, 10)
    w.set_price("0.8")
    w.venue.liquidate(failing, sender=w.owner)
    taker = w.trader("taker", quote=50)
    with boa.reverts("venue: deleveraging first"):
        w.venue.take_over(w.assets(1), ANY, sender=taker)
    w.pass_time(3_600)
    w.venue.take_over(w.assets(1), ANY, sender=taker)


def test_take_over__last_of_it__leaves_nothing_for_sale() -> None:
    w = fallen()
    w.venue.take_over(w.assets("0.4"), ANY, sender=w.trader("taker", quote=5))
    assert w.venue.offer().size == 0
    with boa.reverts("venue: not the backstop's"):
        w.venue.take_over(1, ANY, sender=w.trader("late", quote=5))
