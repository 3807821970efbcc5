# SPDX-License-Identifier: MIT
"""Every reason that venue, pool, fund and spot market can give, the model gives, too."""

from __future__ import annotations

import re

import boa
import pytest

from keeper.units import UINT256_MAX
from tests.compiled import CONTRACTS
from tests.market_world import NOBODY
from tests.reference_world import Twins
from tests.venue_world import FEED_UNIT

PRICE = 2_000
ONE = 10**18  # asset
LOT = PRICE * 10**6  # quote worth one asset
CALLED = ("PerpVenue", "LiquidityPool", "InsuranceFund", "SpotMarket")
# Said at construction and wiring, or by tokens that fail, which the model has not.
NOT_MODELLED = re.compile(
    r"transfer failed|zero address|unstake (delay|window)|too little gas|too many venues|"
    r"decimals|of (an)?other|oracle differs"
    r"|fee over|is zero$|asset is quote|min delay|pool: window"
)


# After a loss and at the end: tests/unit/contracts/{deleverager,venue_wind_up}, test_trade.py and
# the stateful machines, which compare the same two sides.
REACHED_ELSEWHERE = {
    "pool: venue goes on",
    "venue: not released yet",
    "venue: rest has less equity",
    "venue: withdrawals wait",
    "venue: wound up",
}


@pytest.fixture(scope="module")
def deployed():
    return Twins(18, 6, price=PRICE)


@pytest.fixture
def twins(deployed):
    with boa.env.anchor():
        deployed.begin()
        yield deployed


def all_reasons():
    found = {"venue: account is healthy"}  # the one of LiquidationRules that is no term's
    for name in CALLED:
        source = (CONTRACTS / f"{name}.vy").read_text(encoding="utf-8")
        found |= set(re.findall(r'"((?:venue|pool|fund|spot): [^"]+)"', source))
    found -= REACHED_ELSEWHERE
    modelled = {reason for reason in found if not NOT_MODELLED.search(reason)}
    return modelled | {"spot: receiver is zero", "ownable: caller is not the owner", ""}


def test_refusals__each_reason__is_reached_on_both_sides(twins):
    """Comparison is in `Twins.call`; here every reason has to come up."""
    owner, (alice, bob, carol, _) = twins.world.owner, twins.traders
    pool_before_anyone(twins, owner, alice)
    twins.provide(owner, 300 * LOT)
    pool_of_strangers(twins, owner, alice)
    pool_requests(twins, owner, alice)
    fund(twins, owner, alice)
    margin(twins, alice)
    trades(twins, alice)
    losses(twins, owner, bob, carol)
    bankrupt_pool(twins, owner, alice)
    spot(twins, owner, alice)
    reached = {refusal.split(": ", 1)[1] for refusal in twins.refused}
    reached |= huge_scale_reasons()
    assert all_reasons() - reached == set()


def pool_before_anyone(twins, owner, alice):
    twins.request_provide(owner, 0)
    twins.execute_provide(owner)
    twins.cancel_provide(owner)
    twins.cancel_remove(owner)
    twins.execute_remove(owner)
    twins.provide(alice, 10**6 - 1)
    twins.cancel_provide(alice)
    twins.provide(owner, 10**6, 10**7)
    twins.request_provide(owner, 1)
    twins.cancel_provide(owner)
    twins.request_remove(owner, 0)
    twins.request_remove(owner, 1)


def pool_requests(twins, owner, alice):
    """When a request is due, after the pool has been provided."""
    twins.request_remove(owner, 50 * LOT)
    twins.request_remove(owner, 1)
    twins.request_provide(alice, LOT)
    twins.execute_provide(alice)
    twins.wait(10)
    twins.execute_provide(alice)
    twins.wait(3_590)
    twins.execute_provide(alice)
    twins.note_price()
    twins.wait(60, fresh=False)
    assert twins.execute_provide(alice)
    twins.become_due(4 * 3_600)
    twins.execute_remove(owner)
    assert twins.cancel_remove(owner)


def pool_of_strangers(twins, owner, alice):
    chain, pool, venue = twins.world.pool, twins.pool, twins.venue
    for name, on_chain, in_model in (
        ("pay", lambda: chain.pay(1, sender=alice), lambda: pool.pay(alice, 1)),
        ("book", lambda: chain.book(1, 1, sender=alice), lambda: pool.book(alice, 1, 1)),
        (
            "set_venue",
            lambda: chain.set_venue(venue.address),
            lambda: pool.set_venue(owner, venue),
        ),
        (
            "request_remove",
            lambda: chain.request_remove(1, 0, NOBODY),
            lambda: pool.request_remove(owner, 1, 0, NOBODY, at=twins.now),
        ),
    ):
        assert not twins.call(name, on_chain, in_model)


def fund(twins, owner, alice):
    twins.donate(alice, 0)
    twins.collect()
    twins.register(alice, 0)
    twins.register(owner, 0)
    twins.collect()
    twins.register(owner, 100 * LOT)
    twins.pay_fund(alice)
    twins.stake(alice, 0)
    twins.stake(alice, 2**105)
    twins.enter(alice)
    twins.unstake(alice)
    twins.cancel_request(alice)
    twins.request_unstake(alice, 0)
    twins.request_unstake(alice, 1)
    assert twins.stake(alice, 1_000)
    twins.stake(alice, 1)
    twins.wait(86_399)
    twins.enter(alice)
    twins.wait(1)
    assert twins.enter(alice, by=owner)
    twins.request_unstake(alice, 1)
    assert twins.request_unstake(alice, 500 * 10**6)
    twins.request_unstake(alice, 1)
    twins.unstake(alice)
    twins.wait(7 * 86_400)
    twins.unstake(alice, 501)
    twins.wait(2 * 86_400 + 1)
    twins.unstake(alice)
    assert twins.cancel_request(alice)
    with boa.env.anchor():  # as if it had earned much
        twins.fund.staked.quote = 2**90
        boa.env.set_storage(twins.fund.address, twins.words["fund"].slots["_staked"], 2**90)
        twins.world.quote.mint(twins.fund.address, 2**90 - 1_000)
        twins.donate(alice, 1)
    twins.fund.staked.quote = 1_000


def margin(twins, alice):
    twins.deposit(alice, 0, 0)
    twins.deposit(alice, 2**100, 0)
    twins.deposit(alice, 0, 2**127)
    twins.deposit(alice, 0, 2**255)
    twins.deposit(alice, 7, 7)
    twins.deposit(alice, UINT256_MAX, 0)
    twins.withdraw(alice, 0, 0)
    twins.withdraw(alice, 8, 0)
    twins.withdraw(alice, 0, 8)
    twins.withdraw(alice, 7, 2**255)
    venue = twins.venue
    assert not twins.call(
        "withdraw",
        lambda: twins.world.venue.withdraw(1, 0, NOBODY, sender=alice),
        lambda: venue.withdraw(alice, 1, 0, receiver=NOBODY, at=twins.now),
    )


def trades(twins, alice):
    twins.trade(alice, ONE, instrument=1)
    twins.trade(alice, 0)
    twins.trade(alice, 1_001 * ONE)
    twins.trade(alice, ONE, PRICE * 10**18)
    twins.trade(alice, twins.world.terms["min_size"] - 1)
    twins.trade(alice, 501 * ONE)
    twins.trade(alice, 250 * ONE)
    twins.trade(alice, 190 * ONE)
    twins.trade(alice, 50 * ONE)


def losses(twins, owner, bob, carol):
    """Bob is long and falls under maintenance; the pool's equity is not all in its quote."""
    assert twins.deposit(bob, 0, 20 * LOT)
    assert twins.trade(bob, 100 * ONE)
    twins.liquidate(bob, carol)
    twins.liquidate(twins.pool.address, carol)
    percent = 100
    while not twins.venue.liquidation(bob, twins.price_wad, at=twins.now)[0]:
        percent -= 1
        twins.publish(PRICE * FEED_UNIT * percent // 100)
    twins.trade(bob, -twins.world.terms["min_size"])
    twins.provide(owner, 1)
    twins.cancel_provide(owner)
    shares = twins.pool.shares_of[owner]
    for part, least in ((shares, 10**30), (shares, 0), (shares * 6 // 10, 0)):
        twins.remove(owner, part, least)
        twins.cancel_remove(owner)
    twins.publish(PRICE * FEED_UNIT)
    assert twins.trade(bob, -100 * ONE)


def bankrupt_pool(twins, owner, alice):
    """A price six times as high leaves the pool short of what a long has won."""
    assert twins.deposit(alice, 0, 50 * LOT)
    assert twins.trade(alice, 100 * ONE)
    twins.publish(6 * PRICE * FEED_UNIT)
    twins.provide(owner, LOT)
    assert twins.trade(alice, -100 * ONE)
    twins.withdraw(alice, 0, twins.venue.account(alice).quote)
    twins.publish(PRICE * FEED_UNIT)


def spot(twins, owner, alice):
    chain, model = twins.chain_spot, twins.spot
    twins.spot_sell(alice, ONE)
    twins.spot_seed(alice, 1, 1)
    twins.spot_seed(owner, 0, 0)
    twins.spot_seed(owner, 2**120, 1)
    twins.spot_seed(owner, 10 * ONE, 10 * LOT)
    twins.spot_seed(owner, UINT256_MAX, 0)
    twins.spot_buy(alice, 0)
    twins.spot_buy(alice, 10 * ONE)
    twins.spot_buy(alice, ONE, LOT)
    twins.spot_sell(alice, 0)
    twins.spot_sell(alice, 1)
    twins.spot_sell(alice, ONE, LOT)
    twins.spot_sell(alice, 2**120)
    twins.spot_withdraw(alice, 1, 1)
    twins.spot_withdraw(owner, 0, 0)
    twins.spot_withdraw(owner, 11 * ONE, 0)
    twins.spot_withdraw(owner, 0, 11 * LOT)
    assert not twins.call(
        "spot buy",
        lambda: chain.buy(1, 1, NOBODY, sender=alice),
        lambda: model.buy(1, 1, NOBODY),
    )


def huge_scale_reasons():
    """With the largest skew scale the venue refuses prices that the oracle serves."""
    vast = Twins(18, 6, price=PRICE, skew_scale=2**96)
    assert not vast.accrue()
    return {refusal.split(": ", 1)[1] for refusal in vast.refused}
