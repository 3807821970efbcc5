# SPDX-License-Identifier: MIT
"""PerpVenue.trade: fills on the curve, fees, caps, margin, minimum size, limits."""

from __future__ import annotations

import boa
import pytest

from tests.venue_pair import Pair
from tests.venue_world import WAD, World, world

MAX = 2**256 - 1
DECIMALS = [(a, q) for a in (6, 8, 18) for q in (6, 18)]


@pytest.mark.parametrize(("asset_decimals", "quote_decimals"), DECIMALS)
def test_trade__buy_from_flat__fills_at_mean_of_marks(
    asset_decimals: int, quote_decimals: int
) -> None:
    w = world(asset_decimals, quote_decimals, price=2, liquidity=10_000)
    trader = w.trader("trader", quote=1_000)
    # 100 * 2 * (1 + 50/1,000) = 210; taker 5 bp on 200 = 0.1
    assert w.trade(trader, 100) == w.quotes("210.1")
    account = w.venue.account(trader)
    assert account[1:4] == (w.quotes("999.9"), w.assets(100), w.quotes(210))
    margin = w.venue.margin(trader, 2 * WAD)
    assert margin[3] == w.quotes(-10)  # 100 * 2 - 210
    assert margin[4] == w.quotes("989.9")
    assert margin[5] == w.quotes(14)  # 200 * (5 % + 20 % * 100/1,000) = 14
    assert margin[6] == w.quotes(7)  # half of it; the floor 200 * 2.1 % = 4.2 is less


def test_trade__logs_before_after_and_inputs() -> None:
    w = world(price=2, liquidity=10_000)
    trader = w.trader("trader", quote=1_000)
    w.trade(trader, 10)
    w.venue.trade(0, -w.assets(4), 0, sender=trader)
    event = next(e for e in w.venue.get_logs() if type(e).__name__ == "Traded")
    assert event.account == trader
    assert (event.size, event.size_before, event.size_after) == (
        -w.assets(4),
        w.assets(10),
        w.assets(6),
    )
    # sells 4 from K = 10: 4 * 2 * (1 + 8/1,000) = 8.064; entry 20.1 * 4/10 = 8.04; maker 2 bp
    assert event.cost == -w.quotes("8.064")
    assert (event.entry_before, event.entry_after) == (w.quotes("20.1"), w.quotes("12.06"))
    assert event.fee == w.quotes("0.0016")
    assert event.fund_fee == w.quotes("0.00032")
    assert event.quote_after - event.quote_before == w.quotes("0.024") - event.fee
    assert event.price_wad == 2 * WAD
    assert event.oracle_round_id > 0


def test_trade__moves_no_tokens_and_books_the_rest_to_the_pool() -> None:
    w = world()
    trader = w.trader("trader", quote=100)
    w.trade(trader, 100)
    w.trade(trader, -100)
    # fees: taker 5 bp on 100 and maker 2 bp on 100 = 0.07, a fifth of it the fund's
    assert w.venue.account(trader)[1] == w.quotes("99.93")
    state = w.venue.state()
    assert (state[8], state[9]) == (w.quotes("0.056"), w.quotes("0.014"))
    assert w.quote.balanceOf(w.venue.address) == w.quotes(100)


def test_trade__through_zero_skew__maker_then_taker() -> None:
    w = world()
    short = w.trader("short", quote=100)
    long = w.trader("long", quote=100)
    w.trade(short, -40)
    # 40 reduce |K| at 2 bp, 60 increase it at 5 bp: 0.008 + 0.03
    cost, fee = w.venue.quote_trade(0, w.assets(100), WAD)
    assert fee == w.quotes("0.038")
    # from -40 to +60: mean premium 10/1,000: 101
    assert cost == w.quotes(101)
    assert w.trade(long, 100) == cost + fee


def test_trade__turns_around__realises_the_old_and_opens_the_new() -> None:
    pair = Pair()
    w = pair.world
    trader = pair.trader("trader", quote=100)
    pair.trade(trader, w.assets(20))  # entry 20 * 1.01 = 20.2
    w.set_price("1.5")
    pair.trade(trader, -w.assets(50))
    account = w.venue.account(trader)
    # closes 20 from K = 20 at 1.5 * 1.01 = 30.3, opens -30 from K = 0 at 1.5 * 0.985 = 44.325
    assert account[2:4] == (-w.assets(30), w.quotes("-44.325"))
    # 100 - 0.01 + (30.3 - 20.2) - maker 2 bp * 30 - taker 5 bp * 45
    assert account[1] == w.quotes("110.0615")


def test_trade__limit__buy_at_or_under_sell_at_or_over() -> None:
    w = world()
    trader = w.trader("trader", quote=100)
    fill = WAD + WAD // 200  # 10 from flat: 1.005
    with boa.reverts("venue: fill over the limit"):
        w.venue.trade(0, w.assets(10), fill - 1, sender=trader)
    w.venue.trade(0, w.assets(10), fill, sender=trader)
    with boa.reverts("venue: fill over the limit"):
        w.venue.trade(0, -w.assets(10), fill + 1, sender=trader)
    w.venue.trade(0, -w.assets(10), fill, sender=trader)
    assert w.venue.account(trader)[2] == 0


def test_trade__bad_arguments__each_its_own_reason() -> None:
    w = world()
    trader = w.trader("trader", quote=100)
    with boa.reverts("venue: unknown instrument"):
        w.venue.trade(1, w.assets(1), MAX, sender=trader)
    with boa.reverts("venue: zero size"):
        w.venue.trade(0, 0, MAX, sender=trader)
    with boa.reverts("venue: size out of range"):
        w.venue.trade(0, w.assets(1_000) + 1, MAX, sender=trader)
    with boa.reverts("venue: under minimum size"):
        w.venue.trade(0, w.assets("0.01") - 1, MAX, sender=trader)


def test_trade__reduction_leaving_dust__refused_but_closing_is_not() -> None:
    w = world()
    trader = w.trader("trader", quote=100)
    w.trade(trader, 10)
    with boa.reverts("venue: under minimum size"):
        w.trade_raw(trader, -w.assets("9.995"))
    w.trade(trader, -10)
    assert w.venue.account(trader)[2:4] == (0, 0)


def test_trade__under_initial_margin__refused_to_the_unit() -> None:
    w = world(18, 6, taker_fee_wad=0, maker_fee_wad=0, unwind_step=0)
    # 100 from flat fills at 105, worth 100 at the index and 105 at closing: the index is worse.
    # IM = 100 * 7 % = 7, so 12 are needed.
    short_of_it = w.trader("short of it", quote="11.999999")
    with boa.reverts("venue: under initial margin"):
        w.trade(short_of_it, 100)
    enough = w.trader("enough", quote=12)
    w.trade(enough, 100)


def test_trade__side_cap__binds_its_side() -> None:
    w = world(liquidity=10_000, max_side=50 * 10**18)
    first = w.trader("first", quote=1_000)
    second = w.trader("second", quote=1_000)
    w.trade(first, 50)
    with boa.reverts("venue: side is full"):
        w.trade_raw(second, w.assets("0.01"))
    w.trade(second, -50)
    w.trade(first, -1)
    w.trade(first, 1)
    w.trade(second, 50)  # whoever balanced the side may leave: |K| grows to the cap, no further
    assert w.venue.market(WAD).skew == w.assets(50)


def test_trade__side_against_pool_equity__binds_only_growth() -> None:
    w = world(liquidity=100)  # skew share 50 %: a side * S <= 50, a little more with fees
    first = w.trader("first", quote=1_000)
    second = w.trader("second", quote=1_000)
    with boa.reverts("venue: pool too small"):
        w.trade(first, 51)
    w.trade(first, 50)
    w.set_price("1.5")  # K * S = 75, and the pool lost 25
    with boa.reverts("venue: pool too small"):
        w.trade_raw(second, w.assets("0.01"))
    w.trade(second, -10)
    w.trade(first, -20)


def test_trade__reduction_without_margin__allowed() -> None:
    w = world(fund_share_wad=0)
    trader = w.trader("trader", quote=20)
    w.trade(trader, 100)
    w.set_price("0.90")  # E = 4.95 < IM 6.3
    with boa.reverts("venue: under initial margin"):
        w.trade_raw(trader, w.assets("0.01"))
    w.trade(trader, -50)
    assert w.venue.account(trader)[2] == w.assets(50)


@pytest.mark.parametrize(("sign", "price"), [(1, "0.90"), (-1, "1.10")])
def test_trade__reduction_under_maintenance_of_the_rest__refused(sign: int, price: str) -> None:
    """A failing account may not sell low to its owner's other one and leave the loss behind."""
    w = world()
    failing = w.trader("failing", quote=20)
    other = w.trader("other", quote=200)
    w.trade(failing, sign * 100)
    w.trade(other, -sign * 100)  # K = 0
    w.set_price(price)  # E = 20 - 5 - 10 - 0.05 = 4.95
    w.trade(other, -sign * 50)  # |K| = 50 against it: closing x costs x * S * (50 + x/2)/1,000
    with boa.reverts("venue: rest under maintenance"):
        w.trade(failing, -sign * 100)  # costs 9.0 or 11.0: E < 0
    with boa.reverts("venue: rest under maintenance"):
        w.trade(failing, -sign * 54)  # costs 3.7 or 4.6: E > 0, but MM of 46 is 1.2 or 1.5
    assert w.venue.margin(failing, w.price()).equity == w.quotes("4.95")
    with boa.reverts("venue: rest has less equity"):
        w.trade(failing, -sign * 30)  # costs 1.8 or 2.1, MM of 70 is 2.0 or 2.5: E / q falls
    w.trade(other, sign * 50)  # nothing against it any more
    w.trade(failing, -sign * 30)  # costs 0.4 to 0.5 of the 1.5 that 30 of 100 may take
    margin = w.venue.margin(failing, w.price())
    assert margin.equity >= margin.maintenance > 0


@pytest.mark.parametrize("part", ["0.01", "1", "50", "99.99", "100"])
@pytest.mark.parametrize(("sign", "price"), [(1, "0.8814"), (-1, "1.1106")])
def test_trade__healthy_by_a_hair__reduces_in_part_and_closes(
    sign: int, price: str, part: str
) -> None:
    w = world()
    trader = w.trader("trader", quote=20)
    w.trade(trader, sign * 100)  # nobody else: K closes with it
    w.set_price(price)
    margin = w.venue.margin(trader, w.price())
    assert 0 <= margin.equity - margin.maintenance < w.quotes("0.01")
    w.trade_raw(trader, -sign * w.assets(part))
    margin = w.venue.margin(trader, w.price())
    assert margin.equity >= margin.maintenance
    if margin.delta:
        w.trade_raw(trader, -margin.delta)
    assert w.venue.account(trader)[1] > 0


def test_trade__price_out_of_range__refused() -> None:
    w = world(18, 6, skew_scale=2**96, max_side=2**95, min_size=10**16)
    trader = w.trader("trader", quote=100)
    # 2^251 / 2^192 = 2^59 = 0.576 in WAD is the highest price for so large a scale
    with boa.reverts("venue: price out of range"):
        w.trade(trader, 1)
    w.set_price("0.5")
    w.trade(trader, 1)


def test_trade__bad_price__reverts_with_the_oracle_reason() -> None:
    w: World = world()
    trader = w.trader("trader", quote=100)
    boa.env.time_travel(seconds=7_200)
    with boa.reverts("oracle: asset feed stale"):
        w.trade(trader, 1)
