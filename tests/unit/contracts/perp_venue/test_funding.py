# SPDX-License-Identifier: MIT
"""PerpVenue funding and mean premium: rates, indices, who pays whom, reads and pokes."""

from __future__ import annotations

import boa
import pytest

from keeper.simulation.reference.exponential import wad_exp
from tests.venue_pair import Pair
from tests.venue_world import BP, WAD, world

DAY = 86_400
FREE = {"taker_fee_wad": 0, "maker_fee_wad": 0, "unwind_step": 0}


@pytest.mark.parametrize(
    ("skew", "rate_bps"),
    [
        (0, 1),  # clamp(1 - 0) = 1: interest
        (0.1, 1),  # premium 1 bp: 1 + 0
        (1, 5),  # premium 10 bp: 10 + clamp(-9) = 10 - 5
        (-0.2, 1),  # -2 + clamp(3) = 1
        (-1, -5),  # -10 + clamp(11) = -5
        (50, 75),  # premium 500 bp: capped
        (-50, -75),
    ],
)
def test_market__funding_rate__follows_the_premium(skew: float, rate_bps: int) -> None:
    w = world()
    trader = w.trader("trader", quote=100)
    if skew:
        w.trade(trader, skew)
    assert w.venue.market(WAD)[8] == rate_bps * BP


def test_accrue__equal_sides__payer_pays_receiver() -> None:
    pair = Pair(**FREE)
    w = pair.world
    long = pair.trader("long", quote=100)
    short = pair.trader("short", quote=100)
    pair.trade(long, w.assets(100))
    pair.trade(short, -w.assets(50))  # K = 50: premium 5 %, capped at 75 bp per 8 h
    w.pass_time(DAY)
    # longs pay 100 * 3 * 75 bp = 2.25, all shorts together get 50 * 3 * 75 bp = 1.125 at most
    assert w.venue.margin(long, WAD)[1] == w.quotes("97.75")
    assert w.venue.margin(short, WAD)[1] == w.quotes("101.125")
    pair.accrue()
    pair.deposit(long, 0, 1)
    pair.deposit(short, 0, 1)
    assert w.venue.state()[8] == w.quotes("1.125")  # what is left over is the pool's


def test_accrue__receivers_outnumber_payers__share_what_was_paid() -> None:
    pair = Pair(**FREE)
    w = pair.world
    long = pair.trader("long", quote=100)
    short = pair.trader("short", quote=100)
    pair.trade(long, w.assets("9.8"))
    pair.trade(short, -w.assets(10))  # premium -2 bp: f = 1 bp, longs pay though they are fewer
    w.pass_time(DAY)
    # 9.8 * 3 bp = 0.00294 paid, shared by 10
    assert w.venue.margin(long, WAD)[1] == w.quotes("99.99706")
    assert w.venue.margin(short, WAD)[1] == w.quotes("100.00294")


def test_accrue__pool_alone_on_the_other_side__pays_nothing() -> None:
    pair = Pair(**FREE)
    w = pair.world
    short = pair.trader("short", quote=100)
    pair.trade(short, -w.assets("0.4"))  # premium -4 bp: f = +1 bp, longs would pay
    w.pass_time(DAY)
    assert w.venue.margin(short, WAD)[1] == w.quotes(100)


def test_accrue__price_is_that_of_the_interval_start() -> None:
    w = world(**FREE)
    long = w.trader("long", quote=100)
    w.trade(long, 100)
    boa.env.time_travel(seconds=DAY)
    w.set_price(3)
    # 100 * 1 * 225 bp and not 100 * 3 * 225 bp
    assert w.venue.margin(long, 3 * WAD)[1] == w.quotes("97.75")
    w.venue.accrue()
    boa.env.time_travel(seconds=DAY)
    assert w.venue.margin(long, 3 * WAD)[1] == w.quotes("91")  # 97.75 - 6.75


def test_accrue__logs_the_interval() -> None:
    w = world(**FREE)
    long = w.trader("long", quote=100)
    w.trade(long, 100)
    w.pass_time(28_800)
    w.set_price(2)
    w.venue.accrue()
    event = w.venue.get_logs()[0]
    assert (event.rate_wad, event.price_before_wad, event.price_after_wad) == (
        75 * BP,
        WAD,
        2 * WAD,
    )
    assert (event.long_index_after_wad, event.short_index_after_wad) == (75 * BP, 0)
    assert event.accrued_at == boa.env.timestamp
    w.venue.accrue()
    assert not w.venue.get_logs()  # nothing changed


def test_trade__settles_funding_before_it_changes_size() -> None:
    pair = Pair(**FREE)
    w = pair.world
    long = pair.trader("long", quote=100)
    pair.trade(long, w.assets(100))
    w.pass_time(DAY)
    pair.trade(long, -w.assets(100))
    w.pass_time(DAY)
    assert w.venue.margin(long, WAD)[1] == w.quotes("97.75")  # no position, no funding


def test_market__mean_premium__closes_on_the_premium_with_half_an_hour() -> None:
    w = world()
    trader = w.trader("trader", quote=100)
    w.trade(trader, 100)
    assert w.venue.market(WAD)[6] == 0
    w.pass_time(1_800)
    # 10 % * (1 - 1/e)
    premium = 10**17
    assert w.venue.market(WAD)[6] == premium - (-(-premium * wad_exp(-WAD) // WAD))
    assert abs(w.venue.market(WAD)[6] - 63_212_055_882_855_767) <= 1


def test_market__mean_premium__does_not_depend_on_pokes() -> None:
    w = world()
    trader = w.trader("trader", quote=100)
    w.trade(trader, 100)
    with boa.env.anchor():
        w.pass_time(3_000)
        once = w.venue.market(WAD)[6]
    for _ in range(10):
        w.pass_time(300)
        w.venue.accrue()
    assert abs(w.venue.market(WAD)[6] - once) <= 20  # of 10^17


def test_hedge_costs__worse_of_premium_and_mean() -> None:
    w = world()
    trader = w.trader("trader", quote=100)
    w.trade(trader, 100)
    # sell 10 at K = 100: a gain of 10 * 9.5 % now; at the mean of zero it costs 10 * 0.5 % + 5 bp
    # buy 10: 10 * 10.5 % + 5 bp now
    sizes = (-w.assets(10), w.assets(10))
    assert list(w.venue.hedge_costs(0, sizes, WAD)) == [w.quotes("0.055"), w.quotes("1.055")]
    w.pass_time(40 * 1_800)
    assert list(w.venue.hedge_costs(0, (-w.assets(10), 0), WAD)) == [0, 0]
    with boa.reverts("venue: unknown instrument"):
        w.venue.hedge_costs(1, (1, 1), WAD)
    with boa.reverts("venue: unknown instrument"):
        w.venue.quote_trade(1, 1, WAD)
