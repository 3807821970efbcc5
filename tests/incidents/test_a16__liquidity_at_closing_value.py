# SPDX-License-Identifier: MIT
"""
A-16: liquidity priced at the index and at once: K = 100 inflates a pool of 500 by 5, so a provider
of 500 loses 2.5 for 0.1 of fees; and leaving before a known bad account. Shares are priced at
closing value, which a trade moves only by its fee, and requests are executed in a later round at
the worse of two values, once the price has stood long enough for anybody to liquidate.

A-26, of requests: one that stands for ever is a free option on the moment.
"""

from __future__ import annotations

import boa
import pytest

from tests.venue_world import FREE, POOL_DELAY, POOL_WINDOW, WAD, World, world


def wealth(w: World, account: str, price: int) -> int:
    """Return what an account without a position and without shares has of quote."""
    assert w.venue.account(account)[2] == w.pool.shares_of(account) == 0
    return int(w.quote.balanceOf(account) + w.venue.margin(account, price)[4])


def test_a16__pushed_skew__does_not_move_the_price_of_shares() -> None:
    w = world(liquidity=500, **FREE)
    attacker = w.trader("attacker", quote=100)
    w.trade(attacker, 100)
    # at the index the position is worth 100 and cost 105: a pool of 505
    index_value = w.quotes(500) - w.venue.margin(attacker, WAD)[3]
    assert index_value == w.quotes(505)
    assert w.pool.equity(WAD) == w.quotes(500)
    assert w.provide(w.quotes(500)) == w.quotes(500)
    w.trade(attacker, -100)
    assert w.pool.equity(WAD) == w.quotes(1_000)


@pytest.mark.parametrize("whole", [100, -100])
@pytest.mark.parametrize("pushed_at", ["request", "execution", "both"])
@pytest.mark.parametrize("fees", [True, False])
def test_a16__skew_pushed_around_requests__earns_nothing(
    whole: int, pushed_at: str, fees: bool
) -> None:
    """Of one who provides and removes while he holds a skew at either of the two moments."""
    w = world(liquidity=500, **({} if fees else FREE))
    attacker = w.trader("attacker", quote=1_000)

    def while_pushed(moment: str, call) -> None:
        if pushed_at in (moment, "both"):
            w.trade(attacker, whole)
        call()
        if pushed_at in (moment, "both"):
            w.trade(attacker, -whole)

    pool, start = w.pool, wealth(w, attacker, WAD)
    while_pushed("request", lambda: pool.request_provide(w.quotes(500), 0, sender=attacker))
    w.become_due()
    while_pushed("execution", lambda: pool.execute_provide(attacker))
    shares = pool.shares_of(attacker)
    while_pushed("request", lambda: pool.request_remove(shares, 0, attacker, sender=attacker))
    w.become_due()
    while_pushed("execution", lambda: pool.execute_remove(attacker))
    assert wealth(w, attacker, WAD) <= start
    assert w.pool.equity(WAD) >= w.quotes(500)  # of the passive provider, who has all shares


# K = 100 long: the pool loses 105 for each unit that the price rises, and wins them when it falls


def just_in_time(first: float | str, then: float | str) -> tuple[World, str]:
    """Return a pool of 1,000 with a request to provide 1,000 at the first price, due at `then`."""
    w = world(price=first, **FREE)
    w.trade(w.trader("trader", quote=1_000), 100)
    attacker = w.actor("attacker")
    w.pool.request_provide(w.quotes(1_000), 0, sender=attacker)
    w.pass_time(POOL_DELAY)
    w.set_price(then)
    w.stand()
    return w, attacker


@pytest.mark.parametrize("then", ["0.8", "1.2"])
def test_a16__in_before_a_price_and_out_after__earns_nothing(then: str) -> None:
    w, attacker = just_in_time(1, then)
    before = w.quote.balanceOf(attacker)
    others = w.pool.equity(w.price())
    w.pool.execute_provide(attacker)
    paid, _ = w.remove(w.pool.shares_of(attacker), attacker)
    assert paid <= w.quotes(1_000)
    assert w.quote.balanceOf(attacker) - before == paid
    assert w.pool.equity(w.price()) >= others


def test_a16__out_before_a_price_that_hurts__bears_it() -> None:
    """Who asked at 1,000 and is due when the feed reports a loss of 52.5 pays his half."""
    w = world(liquidity=500, **FREE)
    leaver = w.actor("leaver")
    w.provide(w.quotes(500), leaver)
    w.trade(w.trader("trader", quote=100), 100)
    w.pool.request_remove(w.quotes(500), 0, leaver, sender=leaver)
    w.pass_time(POOL_DELAY)
    w.set_price("1.5")
    w.stand()
    assert w.pool.execute_remove(leaver) == (w.quotes("473.75"), 0)


# A long of 100 with 16 of margin at 1: bankrupt at 0.85, when his loss is not yet the pool's


def with_debtor() -> tuple[World, str, str]:
    w = world(liquidity=500, **FREE)
    leaver = w.actor("leaver")
    w.provide(w.quotes(500), leaver)
    debtor = w.trader("debtor", quote=16)
    w.trade(debtor, 100)
    w.pool.request_remove(w.quotes(500), 0, leaver, sender=leaver)
    w.pass_time(POOL_DELAY)
    w.stand()
    w.set_price("0.7")
    assert w.venue.liquidation(debtor, w.price())[0]
    return w, leaver, debtor


def test_a16__out_before_a_known_bad_account__too_late() -> None:
    """
    His request is due and he is first in the block of the price that makes an account bad: he
    cannot leave before others had the time to liquidate it, and then he bears his half.
    """
    w, leaver, debtor = with_debtor()
    w.pool.note_price(sender=leaver)
    with boa.reverts("pool: price has not stood"):
        w.pool.execute_remove(leaver, sender=leaver)
    counted = w.pool.equity(w.price())
    w.venue.liquidate(debtor, sender=w.actor("liquidator"))
    net = w.pool.equity(w.price())
    assert net < counted  # the debt was counted as good
    boa.env.time_travel(seconds=60)
    paid, _ = w.pool.execute_remove(leaver, sender=leaver)
    assert paid <= net // 2
    assert w.pool.equity(w.price()) >= net - net // 2


def test_a16__bad_account_liquidated_later__costs_the_one_who_stayed_nothing_more() -> None:
    """What the exit takes is his part of what is left, not of what was counted."""
    w, leaver, debtor = with_debtor()
    w.venue.liquidate(debtor, sender=w.actor("liquidator"))
    w.stand()
    before = w.pool.equity(w.price()) * WAD // w.pool.total_shares()
    w.pool.execute_remove(leaver)
    assert w.pool.equity(w.price()) * WAD // w.pool.total_shares() >= before


def test_a26__request_at_any_time__is_no_option() -> None:
    """Whoever waits is executed by anybody, and after the window by nobody."""
    w = world(liquidity=500, **FREE)
    leaver, anyone = w.actor("leaver"), w.actor("anyone")
    w.provide(w.quotes(500), leaver)
    w.pool.request_remove(w.quotes(500), 0, leaver, sender=leaver)
    w.become_due()
    with boa.env.anchor():
        w.pool.execute_remove(leaver, sender=anyone)
    w.become_due(POOL_WINDOW)
    with boa.reverts("pool: request expired"):
        w.pool.execute_remove(leaver, sender=leaver)
