# SPDX-License-Identifier: MIT
"""LiquidityPool: when a request is executed, at which value, and what escrow is."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import deployer
from tests.venue_world import (
    FREE,
    POOL_DELAY,
    POOL_WINDOW,
    PRICE_STAND,
    WAD,
    World,
    deploy_pool,
    world,
)

DECIMALS = [(a, q) for a in (6, 8, 18) for q in (6, 8, 18)]


def check_tokens(w: World) -> None:
    """Hold the pool's tokens against its ledgers."""
    quote, assets = w.pool.holdings()
    assert w.quote.balanceOf(w.pool.address) == quote + w.pool.quote_escrowed()
    assert w.asset.balanceOf(w.pool.address) == assets


def skewed(whole: float = 100) -> tuple[World, str]:
    """Return a pool of 1,000 against a long of 100: each unit of price costs it 105."""
    w = world(**FREE)
    trader = w.trader("trader", quote=100)
    w.trade(trader, whole)
    return w, trader


# Escrow


@pytest.mark.parametrize(("asset_decimals", "quote_decimals"), DECIMALS)
def test_request_provide__quote_is_in_escrow_and_no_equity(
    asset_decimals: int, quote_decimals: int
) -> None:
    w = world(asset_decimals, quote_decimals)
    provider = w.actor("provider")
    before = w.quote.balanceOf(provider)
    w.pool.request_provide(w.quotes(300), 7, sender=provider)
    event = w.pool.get_logs()[-1]
    check_tokens(w)
    assert (event.provider, event.quote, event.min_shares) == (provider, w.quotes(300), 7)
    assert (event.equity, event.total_shares) == (w.quotes(1_000), w.quotes(1_000))
    assert (event.quote_escrowed_before, event.quote_escrowed_after) == (0, w.quotes(300))
    assert before - w.quote.balanceOf(provider) == w.pool.quote_escrowed() == w.quotes(300)
    assert w.pool.holdings() == (w.quotes(1_000), 0)
    assert w.pool.equity(WAD) == w.pool.total_shares() == w.quotes(1_000)
    round_id, now = w.oracle.read()[2], boa.env.timestamp
    assert tuple(w.pool.provision_of(provider)) == (
        *(w.quotes(300), 7, w.quotes(1_000), w.quotes(1_000)),
        *(round_id, now),
    )
    w.become_due()
    assert w.pool.execute_provide(provider, sender=w.actor("anyone")) == w.quotes(300)
    check_tokens(w)
    assert w.pool.shares_of(provider) == w.quotes(300)
    assert (w.pool.quote_escrowed(), w.pool.provision_of(provider)[0]) == (0, 0)
    assert w.remove(w.quotes(300), provider) == (w.quotes(300), 0)
    check_tokens(w)
    assert w.quote.balanceOf(provider) == before


def test_request_remove__shares_are_in_escrow_and_bear_losses() -> None:
    w, _ = skewed()
    provider, receiver = w.actor("provider"), w.actor("receiver")
    w.provide(w.quotes(1_000), provider)
    w.pool.request_remove(w.quotes(400), 0, receiver, sender=provider)
    event = w.pool.get_logs()[-1]
    assert (event.shares, event.equity, event.receiver) == (
        w.quotes(400),
        w.quotes(2_000),
        receiver,
    )
    assert (event.shares_before, event.shares_after) == (w.quotes(1_000), w.quotes(600))
    assert w.pool.shares_of(provider) == w.quotes(600)
    assert w.pool.total_shares() == w.quotes(2_000)
    w.set_price("1.5")  # 105 * 0.5 less: 1,947.5 for 2,000 shares
    w.become_due()
    had = w.quote.balanceOf(receiver)
    paid = w.pool.execute_remove(provider, sender=w.actor("anyone"))
    event = w.pool.get_logs()[-1]
    assert paid == (w.quotes("389.5"), 0)
    check_tokens(w)
    assert (event.equity_requested, event.equity_before) == (w.quotes(2_000), w.quotes("1947.5"))
    assert w.quote.balanceOf(receiver) - had == w.quotes("389.5")
    assert w.pool.total_shares() == w.quotes(1_600)
    assert w.pool.removal_of(provider)[0] == 0


def test_cancel__any_time__gives_escrow_back() -> None:
    """Also without a price, and long after the window."""
    w = world()
    provider = w.actor("provider")
    w.provide(w.quotes(10), provider)
    before = w.quote.balanceOf(provider)
    w.pool.request_provide(w.quotes(5), 0, sender=provider)
    w.pool.request_remove(w.quotes(10), 0, provider, sender=provider)
    boa.env.time_travel(seconds=10 * POOL_WINDOW)
    assert not w.oracle.try_read()[0]
    paid_back = w.pool.cancel_provide(sender=provider)
    event = w.pool.get_logs()[-1]
    assert paid_back == w.quotes(5)
    check_tokens(w)
    assert (event.quote_escrowed_before, event.quote_escrowed_after) == (w.quotes(5), 0)
    assert w.pool.cancel_remove(sender=provider) == w.quotes(10)
    event = w.pool.get_logs()[-1]
    assert (event.shares_before, event.shares_after) == (0, w.quotes(10))
    assert w.quote.balanceOf(provider) == before
    assert w.pool.shares_of(provider) == w.quotes(10)
    for call in (w.pool.cancel_provide, w.pool.cancel_remove):
        with boa.reverts("pool: nothing requested"):
            call(sender=provider)


def test_request__one_of_a_kind_pending() -> None:
    w = world()
    w.pool.request_provide(w.quotes(5), 0)
    with boa.reverts("pool: already requested"):
        w.pool.request_provide(w.quotes(5), 0)
    w.pool.request_remove(w.quotes(5), 0, w.owner)
    with boa.reverts("pool: already requested"):
        w.pool.request_remove(w.quotes(5), 0, w.owner)


# When it is due


@pytest.fixture(params=["provide", "remove"])
def pending(request):
    """A pool with one request, made now; and what executes it."""
    w, _ = skewed()
    if request.param == "provide":
        w.pool.request_provide(w.quotes(5), 0)
        return w, w.pool.execute_provide
    w.pool.request_remove(w.quotes(5), 0, w.owner)
    return w, w.pool.execute_remove


def test_execute__before_the_delay__refused(pending) -> None:
    w, execute = pending
    w.become_due(POOL_DELAY - PRICE_STAND - 1)
    with boa.reverts("pool: too early"):
        execute(w.owner)
    boa.env.time_travel(seconds=1)
    execute(w.owner)


def test_execute__no_later_round__refused(pending) -> None:
    """The feed is an hour old; time alone does not make a request due."""
    w, execute = pending
    boa.env.time_travel(seconds=POOL_DELAY)
    w.quote_feed.set_answer(10**8)
    with boa.reverts("pool: same oracle round"):
        execute(w.owner)
    w.set_price(1)
    w.stand()
    execute(w.owner)


def test_execute__after_the_window__refused(pending) -> None:
    w, execute = pending
    w.become_due(POOL_WINDOW - PRICE_STAND)
    with boa.env.anchor():
        execute(w.owner)
    boa.env.time_travel(seconds=1)
    with boa.reverts("pool: request expired"):
        execute(w.owner)


def test_execute__price_that_nobody_noted__refused(pending) -> None:
    w, execute = pending
    w.pass_time(POOL_DELAY)
    boa.env.time_travel(seconds=PRICE_STAND)
    with boa.reverts("pool: price has not stood"):
        execute(w.owner)
    w.pool.note_price(sender=w.actor("anyone"))
    boa.env.time_travel(seconds=PRICE_STAND - 1)
    with boa.reverts("pool: price has not stood"):
        execute(w.owner)
    w.pool.note_price()  # again: changes nothing
    boa.env.time_travel(seconds=1)
    execute(w.owner)


@pytest.mark.parametrize("whole", [1, 2])
def test_execute__price_of_a_new_round__must_stand_again(pending, whole: int) -> None:
    """A new round at the old price, too: accounts may have failed in between."""
    w, execute = pending
    w.become_due()
    w.set_price(whole)
    with boa.reverts("pool: price has not stood"):
        execute(w.owner)


def test_execute__quote_feed_moved_within_the_round__must_stand_again(pending) -> None:
    w, execute = pending
    w.become_due()
    w.quote_feed.set_answer(10**8 - 10**5)
    with boa.reverts("pool: price has not stood"):
        execute(w.owner)


def test_execute__bad_price__refused(pending) -> None:
    w, execute = pending
    w.become_due()
    boa.env.time_travel(seconds=100_000)
    with boa.reverts("oracle: asset feed stale"):
        execute(w.owner)


def test_note_price__new_and_known__one_event() -> None:
    w = world()
    w.set_price(2)
    w.pool.note_price()
    event = w.pool.get_logs()[-1]
    assert (event.price_before_wad, event.price_after_wad) == (WAD, 2 * WAD)
    assert event.oracle_round_after_id == event.oracle_round_before_id + 1
    assert tuple(w.pool.noted_price()) == (2 * WAD, w.oracle.read()[2], boa.env.timestamp)
    w.pool.note_price()
    assert w.pool.get_logs() == []


# At which value


@pytest.mark.parametrize(
    ("whole", "shares"),
    [
        # 1,000 - 105 * 0.5 = 947.5 a thousand shares, which would give 1,055.4
        ("1.5", 1_000),
        # 1,000 + 105 * 0.5 = 1,052.5
        ("0.5", "950.118764"),
    ],
)
def test_execute_provide__worse_of_request_and_now(whole: str, shares: float | str) -> None:
    w, _ = skewed()
    provider = w.actor("provider")
    w.pool.request_provide(w.quotes(1_000), 0, sender=provider)
    w.set_price(whole)
    w.become_due()
    assert w.pool.execute_provide(provider) == w.quotes(shares)
    event = w.pool.get_logs()[-1]
    assert (event.equity_requested, event.total_shares_requested) == (w.quotes(1_000),) * 2
    assert (event.executor, event.provider) == (w.owner, provider)


@pytest.mark.parametrize(("whole", "quote"), [("1.5", "473.75"), ("0.5", 500)])
def test_execute_remove__worse_of_request_and_now(whole: str, quote: float | str) -> None:
    w, _ = skewed()
    w.pool.request_remove(w.quotes(500), 0, w.owner)
    w.set_price(whole)
    w.become_due()
    assert w.pool.execute_remove(w.owner) == (w.quotes(quote), 0)


def test_execute__under_the_minimum__request_stays() -> None:
    w, _ = skewed()
    provider = w.actor("provider")
    w.pool.request_provide(w.quotes(100), w.quotes(100), sender=provider)
    w.pool.request_remove(w.quotes(500), w.quotes(500), w.owner)
    w.set_price("0.5")
    w.become_due()
    with boa.reverts("pool: under minimum shares"):
        w.pool.execute_provide(provider)
    w.set_price("1.5")
    w.stand()
    with boa.reverts("pool: under minimum quote"):
        w.pool.execute_remove(w.owner)
    w.set_price(1)
    w.stand()
    assert w.pool.execute_provide(provider) == w.quotes(100)
    assert w.pool.execute_remove(w.owner) == (w.quotes(500), 0)


def test_execute__insolvent_since__request_stays() -> None:
    w, _ = skewed(50)
    provider = w.actor("provider")
    w.pool.request_provide(w.quotes(100), 0, sender=provider)
    w.pool.request_remove(w.quotes(500), 0, w.owner)
    w.set_price(30)
    w.become_due()
    assert w.pool.equity(w.price()) < 0
    for call, owner in ((w.pool.execute_provide, provider), (w.pool.execute_remove, w.owner)):
        with boa.reverts("pool: insolvent"):
            call(owner)
    w.set_price(1)
    w.stand()
    w.pool.execute_provide(provider)
    w.pool.execute_remove(w.owner)


# The first and the last


def test_first_provision__executes_at_once() -> None:
    w = world(liquidity=0)
    first, second = w.actor("first"), w.actor("second")
    w.pool.request_provide(w.quotes(100), 0, sender=first)
    w.pool.request_provide(w.quotes(100), 0, sender=second)
    assert w.pool.execute_provide(first) == w.quotes(100)
    # whoever comes second, though he asked when nobody was there, waits like anybody
    with boa.reverts("pool: same oracle round"):
        w.pool.execute_provide(second)
    w.become_due()
    assert w.pool.execute_provide(second) == w.quotes(100)


def test_second_provision__asked_when_nobody_was_there__never_more_than_one_for_one() -> None:
    w = world(liquidity=0, **FREE)
    first, second = w.actor("first"), w.actor("second")
    for provider in (first, second):
        w.pool.request_provide(w.quotes(1_000), 0, sender=provider)
    w.pool.execute_provide(first)
    w.trade(w.trader("trader", quote=100), 100)
    w.set_price("1.5")  # 947.5 of equity: 1,055 shares at the value of now
    w.become_due()
    assert w.pool.execute_provide(second) == w.quotes(1_000)


def test_everybody_left__what_the_worse_value_kept__is_the_next_firsts() -> None:
    w, trader = skewed()
    w.set_price("1.5")
    w.pool.request_remove(w.quotes(1_000), 0, w.owner)  # at 947.5
    w.set_price(1)
    w.trade(trader, -100)
    w.become_due()
    assert w.pool.execute_remove(w.owner) == (w.quotes("947.5"), 0)
    assert (w.pool.total_shares(), w.pool.equity(WAD)) == (0, w.quotes("52.5"))
    heir = w.actor("heir")
    assert w.provide(w.quotes(10), heir) == w.quotes(10)
    assert w.remove(w.quotes(10), heir) == (w.quotes("62.5"), 0)


def test_holding__zero_or_the_minimum() -> None:
    """Hence supply, too; and a stranger's dust cannot keep the last provider in."""
    w = world(liquidity=0)
    one = w.pool.MIN_HOLDING()
    assert one == w.quotes(1)
    first, second = w.actor("first"), w.actor("second")
    w.pool.request_provide(one - 1, 0, sender=first)
    with boa.reverts("pool: under minimum holding"):
        w.pool.execute_provide(first)
    w.pool.cancel_provide(sender=first)
    w.provide(one, first)
    with boa.reverts("pool: under minimum holding"):
        w.provide(one - 1, second)
    w.pool.cancel_provide(sender=second)
    w.provide(5 * one, second)
    for shares in (4 * one + 1, 5 * one - 1):
        with boa.reverts("pool: under minimum holding"):
            w.pool.request_remove(shares, 0, second, sender=second)
    w.remove(4 * one, second)
    w.remove(one, second)
    w.remove(one, first)
    assert w.pool.total_shares() == 0


def test_constructor__delay_and_window__checked() -> None:
    w = world(liquidity=0)
    parts = [part.address for part in (w.asset, w.quote, w.oracle)]
    deploy, month = deployer("LiquidityPool.vy").deploy, 30 * 86_400
    for delay, window, reason in (
        (PRICE_STAND - 1, 3_600, "pool: min delay"),
        (month + 1, month, "pool: min delay"),
        (3_600, 7_199, "pool: window"),
        (3_600, month + 1, "pool: window"),
    ):
        with boa.reverts(reason):
            deploy(*parts, delay, window)
    pool = deploy(*parts, PRICE_STAND, 2 * PRICE_STAND)
    assert (pool.MIN_DELAY(), pool.WINDOW(), pool.PRICE_STAND()) == (60, 120, PRICE_STAND)
    deploy(*parts, month // 2, month)


def test_first_provision__before_there_is_a_venue__taken_and_not_yet_paid_out() -> None:
    w = world(liquidity=0)
    pool = deploy_pool(w.asset, w.quote, w.oracle)
    w.quote.approve(pool.address, 2**256 - 1)
    pool.request_provide(w.quotes(10), 0)
    assert pool.execute_provide(w.owner) == w.quotes(10)
    pool.request_remove(w.quotes(10), 0, w.owner)
    w.pass_time(POOL_DELAY)
    pool.note_price()
    boa.env.time_travel(seconds=PRICE_STAND)
    with boa.reverts():  # there is nobody to settle with
        pool.execute_remove(w.owner)
    assert pool.cancel_remove() == w.quotes(10)
