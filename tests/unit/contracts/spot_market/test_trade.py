# SPDX-License-Identifier: MIT
from __future__ import annotations

from types import SimpleNamespace

import boa
import pytest

from tests import market_world as world
from tests.market_world import NOBODY

ETHER = 10**18
USDC = 10**6
SEEDED_ASSETS = 1_000 * ETHER
SEEDED_QUOTE = 3_000_000 * USDC


@pytest.fixture
def pool():
    """A pool of 1,000 ETH and 3,000,000 USDC with a fee of 0.3 %, and a trader."""
    with boa.env.anchor():
        asset, quote, spot = world.deploy_spot()
        owner, trader = boa.env.eoa, boa.env.generate_address("trader")
        for account in (owner, trader):
            world.fund(account, spot, asset, quote)
        spot.seed(SEEDED_ASSETS, SEEDED_QUOTE)
        yield SimpleNamespace(asset=asset, quote=quote, spot=spot, owner=owner, trader=trader)


def balances(pool, account):
    return pool.asset.balanceOf(account), pool.quote.balanceOf(account)


def test_buy__exact_assets__paid_rounded_up_with_the_fee(pool):
    # ceil(3,000,000e6 * 1e18 / 999e18) = 3,003,003,004; / 0.997, up = 3,012,039,122
    assets_before, quote_before = balances(pool, pool.trader)
    assert pool.spot.quote_buy(ETHER) == 3_012_039_122
    assert pool.spot.buy(ETHER, 3_012_039_122, pool.trader, sender=pool.trader) == 3_012_039_122
    event = pool.spot.get_logs()[0]
    assert balances(pool, pool.trader) == (assets_before + ETHER, quote_before - 3_012_039_122)
    assert pool.spot.reserves() == (SEEDED_ASSETS - ETHER, SEEDED_QUOTE + 3_012_039_122)
    assert (type(event).__name__, event.trader, event.assets) == ("Bought", pool.trader, ETHER)
    assert event.quote == 3_012_039_122
    assert (event.assets_reserve_after, event.quote_reserve_after) == pool.spot.reserves()


def test_sell__exact_assets__received_rounded_down_without_the_fee(pool):
    # d = 0.997e18; floor(3,000,000e6 * 0.997e18 / 1,000.997e18) = 2,988,020,943
    assets_before, quote_before = balances(pool, pool.trader)
    assert pool.spot.quote_sell(ETHER) == 2_988_020_943
    assert pool.spot.sell(ETHER, 2_988_020_943, pool.trader, sender=pool.trader) == 2_988_020_943
    event = pool.spot.get_logs()[0]
    assert balances(pool, pool.trader) == (assets_before - ETHER, quote_before + 2_988_020_943)
    assert pool.spot.reserves() == (SEEDED_ASSETS + ETHER, SEEDED_QUOTE - 2_988_020_943)
    assert (type(event).__name__, event.trader, event.assets) == ("Sold", pool.trader, ETHER)
    assert event.quote == 2_988_020_943
    assert (event.assets_reserve_after, event.quote_reserve_after) == pool.spot.reserves()


def test_trade__receiver_is_another__gets_the_tokens(pool):
    receiver = boa.env.generate_address("receiver")
    pool.spot.buy(ETHER, 2**255, receiver, sender=pool.trader)
    paid_out = pool.spot.sell(ETHER, 0, receiver, sender=pool.trader)
    assert balances(pool, receiver) == (ETHER, paid_out)


def test_trade__limit_missed_by_one_unit__refused(pool):
    with boa.reverts("spot: cost over max"):
        pool.spot.buy(ETHER, pool.spot.quote_buy(ETHER) - 1, pool.trader, sender=pool.trader)
    with boa.reverts("spot: proceeds under min"):
        pool.spot.sell(ETHER, pool.spot.quote_sell(ETHER) + 1, pool.trader, sender=pool.trader)


def test_trade__tokens_sent_without_a_call__change_nothing(pool):
    cost, proceeds = pool.spot.quote_buy(ETHER), pool.spot.quote_sell(ETHER)
    pool.asset.mint(pool.spot.address, 500 * ETHER)
    pool.quote.mint(pool.spot.address, 500_000 * USDC)
    assert pool.spot.reserves() == (SEEDED_ASSETS, SEEDED_QUOTE)
    assert (pool.spot.quote_buy(ETHER), pool.spot.quote_sell(ETHER)) == (cost, proceeds)


@pytest.mark.parametrize("action", ["buy", "sell"])
def test_trade__bad_input__own_reason(pool, action):
    limit = 2**255 if action == "buy" else 0
    trade = getattr(pool.spot, action)
    with boa.reverts("spot: zero assets"):
        trade(0, limit, pool.trader, sender=pool.trader)
    with boa.reverts("spot: receiver is zero"):
        trade(ETHER, limit, NOBODY, sender=pool.trader)


def test_buy__whole_reserve__refused(pool):
    with boa.reverts("spot: assets over reserve"):
        pool.spot.buy(SEEDED_ASSETS, 2**255, pool.trader, sender=pool.trader)


def test_sell__too_little_for_one_unit__refused_instead_of_taken(pool):
    with boa.reverts("spot: proceeds are zero"):
        pool.spot.sell(1, 0, pool.trader, sender=pool.trader)


def test_trade__over_what_the_arithmetic_bears__refused(pool):
    with boa.reverts("spot: reserve too large"):
        pool.spot.sell(2**120, 0, pool.trader, sender=pool.trader)
    with boa.reverts("spot: reserve too large"):
        pool.spot.quote_sell(2**255)
    pool.spot.seed(2**117, 2**117)
    with boa.reverts("spot: reserve too large"):
        pool.spot.quote_buy(pool.spot.reserves()[0] - 1)


def test_trade__empty_pool__refused():
    _, _, spot = world.deploy_spot()
    with boa.reverts("spot: no liquidity"):
        spot.quote_sell(ETHER)
    with boa.reverts("spot: assets over reserve"):
        spot.quote_buy(ETHER)


@pytest.mark.parametrize("action", ["buy", "sell"])
def test_trade__without_allowance__nothing_moves(pool, action):
    stranger = boa.env.generate_address("stranger")
    limit = 2**255 if action == "buy" else 0
    with boa.reverts("token: allowance too small"):
        getattr(pool.spot, action)(ETHER, limit, stranger, sender=stranger)
    assert pool.spot.reserves() == (SEEDED_ASSETS, SEEDED_QUOTE)


@pytest.mark.parametrize("view", ["reserves", "quote_sell"])
def test_trade__reentered_from_a_token__call_and_view_revert(view):
    with boa.env.anchor():
        asset = world.deployer("testing/CallbackToken.vy").deploy("Hooked", "HOOK", 18)
        quote = world.deploy_token(6)
        spot = world.deployer("SpotMarket.vy").deploy(asset.address, quote.address, 0)
        attacker = world.deployer("testing/Reenterer.vy").deploy()
        world.fund(boa.env.eoa, spot, asset, quote)
        spot.seed(SEEDED_ASSETS, SEEDED_QUOTE)
        asset.set_hooks(attacker.address, NOBODY)
        arguments = (ETHER,) if view == "quote_sell" else ()
        attacker.arm(spot.address, getattr(spot, view).prepare_calldata(*arguments))
        spot.buy(ETHER, 2**255, boa.env.eoa)
        assert (attacker.attempts(), attacker.succeeded()) == (1, False)
