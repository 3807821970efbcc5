# SPDX-License-Identifier: MIT
"""Two venues of one asset, deep and thin, with one insurance fund behind them."""

from __future__ import annotations

from dataclasses import replace

import boa

from tests.market_world import MAX_UINT
from tests.venue_world import BP, NO_REWARD, WAD, World, deploy_pool, deploy_venue, world


def two_venues(allotments: tuple[int, int], insurance: int) -> tuple[World, World]:
    """Return a deep venue and a thin, dearer one on the same tokens, feeds and fund."""
    deep = world(
        liquidity=10_000,
        insurance=insurance,
        skew_scale=10_000 * 10**18,
        unwind_step=0,
        **NO_REWARD,
    )
    thin_terms = deep.terms | {
        "skew_scale": 1_000 * 10**18,
        "taker_fee_wad": 20 * BP,
        "maker_fee_wad": 10 * BP,
    }
    pool = deploy_pool(deep.asset, deep.quote, deep.oracle)
    venue = deploy_venue((deep.asset, deep.quote, deep.oracle, pool, deep.fund), thin_terms)
    pool.set_venue(venue.address)
    deep.quote.approve(pool.address, MAX_UINT)
    pool.request_provide(deep.quotes(1_000), 0)
    pool.execute_provide(deep.owner)
    thin = replace(deep, venue=venue, pool=pool, terms=thin_terms, actors=[])
    for each, allotment in zip((deep, thin), allotments, strict=True):
        deep.fund.register(each.venue.address, deep.quotes(allotment))
    return deep, thin


def test_several_venues__own_depth_fee_and_premium() -> None:
    deep, thin = two_venues((100, 100), insurance=0)
    paid = []
    for w in (deep, thin):
        w.trade(w.trader("first", quote=50), 50)
        paid.append(w.trade(w.trader("second", quote=50), 20))
    premiums = [w.venue.market(WAD).premium_wad for w in (deep, thin)]
    assert premiums == [70 * WAD // 10_000, 70 * WAD // 1_000]
    # 20 * (1 + 60 / L) and fees of 5 and 20 bp
    assert paid == [deep.quotes("20.13"), deep.quotes("21.24")]
    # split over both, a hedge of 20 is cheaper than at the thin one alone
    cost = sum(sum(w.venue.quote_trade(0, w.assets(10), WAD)) for w in (deep, thin))
    assert cost < sum(thin.venue.quote_trade(0, thin.assets(20), WAD))


def fail(w: World, name: str) -> int:
    """Let a long of 100 with a margin of 30 fail at 0.6; return what the fund paid."""
    failing, rescuer = w.trader(name, quote=30), w.actor(f"{name}'s rescuer")
    w.trade(failing, 100)
    w.set_price("0.6")
    w.venue.liquidate(failing, sender=rescuer)
    event = next(e for e in w.venue.get_logs() if type(e).__name__ == "AccountLiquidated")
    assert event.outcome.loss == event.covered + event.deficit
    w.set_price(1)
    return int(event.covered)


def test_several_venues__each_draws_on_its_allotment_only() -> None:
    deep, thin = two_venues((1_000, 5), insurance=100)
    own = thin.quotes("0.04")  # its share of the fees of the trade, paid first
    assert fail(thin, "thin") == thin.quotes(5) + own
    assert deep.fund.available(thin.venue.address) == 0
    assert deep.fund.available(deep.venue.address) == deep.quotes(95)
    before = deep.fund.held()
    drawn = fail(deep, "deep")
    assert drawn > deep.quotes(5)
    assert before - deep.fund.held() <= drawn
    assert thin.venue.stage() == 1  # its loss waits
    assert deep.venue.stage() == 0  # and is no business of the other's


def test_several_venues__deleveraging_and_the_end_of_one__leave_the_other() -> None:
    deep, thin = two_venues((1_000, 0), insurance=100)
    winner = thin.trader("winner", quote=100)
    thin.trade(winner, -50)
    fail(thin, "thin")
    with boa.reverts("venue: withdrawals wait"):
        thin.venue.withdraw(0, 1, winner, sender=winner)
    trader = deep.trader("trader", quote=100)
    deep.trade(trader, -50)
    deep.venue.withdraw(0, deep.quotes(10), trader, sender=trader)
    assert thin.venue.deleverage(1, [winner])
    thin.venue.withdraw(0, thin.quotes(10), winner, sender=winner)
    boa.env.time_travel(seconds=8 * 86_400)  # no price any more
    thin.venue.wind_up()
    boa.env.time_travel(seconds=8 * 86_400)
    assert thin.venue.wind_up()
    deep.set_price(1)
    deep.trade(trader, 10)
    with boa.reverts("venue: wound up"):
        thin.trade(winner, 10)
