# SPDX-License-Identifier: MIT
from __future__ import annotations

import boa
import pytest

from tests import market_world as world
from tests.market_world import NOBODY


@pytest.fixture
def pool():
    with boa.env.anchor():
        asset, quote, spot = world.deploy_spot()
        world.fund(boa.env.eoa, spot, asset, quote)
        yield asset, quote, spot


def event(spot):
    return next(log for log in spot.get_logs() if type(log).__name__ in {"Seeded", "Withdrawn"})


def test_seed__twice__reserves_add_up(pool):
    asset, quote, spot = pool
    spot.seed(100, 300)
    spot.seed(0, 7)
    assert tuple(event(spot))[-4:] == (0, 7, 100, 307)
    assert spot.reserves() == (100, 307)
    assert (asset.balanceOf(spot.address), quote.balanceOf(spot.address)) == (100, 307)


def test_withdraw__part__goes_to_the_receiver(pool):
    asset, quote, spot = pool
    receiver = boa.env.generate_address("receiver")
    spot.seed(100, 300)
    spot.withdraw(40, 300, receiver)
    logged = event(spot)
    assert (logged.assets, logged.quote, logged.receiver) == (40, 300, receiver)
    assert (logged.assets_reserve_after, logged.quote_reserve_after) == (60, 0)
    assert spot.reserves() == (60, 0)
    assert (asset.balanceOf(receiver), quote.balanceOf(receiver)) == (40, 300)


def test_withdraw__more_than_the_ledger__refused_even_if_tokens_were_sent(pool):
    asset, quote, spot = pool
    spot.seed(100, 300)
    asset.mint(spot.address, 1)
    quote.mint(spot.address, 1)
    with boa.reverts("spot: assets over reserve"):
        spot.withdraw(101, 0, boa.env.eoa)
    with boa.reverts("spot: quote over reserve"):
        spot.withdraw(0, 301, boa.env.eoa)


def test_liquidity__bad_input__own_reason(pool):
    _, _, spot = pool
    with boa.reverts("spot: nothing to seed"):
        spot.seed(0, 0)
    with boa.reverts("spot: nothing to withdraw"):
        spot.withdraw(0, 0, boa.env.eoa)
    with boa.reverts("spot: receiver is zero"):
        spot.withdraw(1, 0, NOBODY)
    with boa.reverts("spot: reserve too large"):
        spot.seed(2**120, 0)


def test_liquidity__caller_is_not_the_owner__refused(pool):
    _, _, spot = pool
    stranger = boa.env.generate_address("stranger")
    spot.seed(100, 300)
    with boa.reverts("spot: caller is not the owner"):
        spot.seed(1, 1, sender=stranger)
    with boa.reverts("spot: caller is not the owner"):
        spot.withdraw(1, 1, stranger, sender=stranger)


def test_deploy__bad_arguments__own_reason():
    token, other = world.deploy_token(18), world.deploy_token(6)
    spot = world.deployer("SpotMarket.vy")
    with boa.reverts("spot: asset is zero"):
        spot.deploy(NOBODY, other.address, 0)
    with boa.reverts("spot: quote is zero"):
        spot.deploy(token.address, NOBODY, 0)
    with boa.reverts("spot: asset is quote"):
        spot.deploy(token.address, token.address, 0)
    with boa.reverts("spot: fee over 10 %"):
        spot.deploy(token.address, other.address, 10**17 + 1)
    deployed = spot.deploy(token.address, other.address, 10**17)
    assert (deployed.asset(), deployed.quote()) == (token.address, other.address)
    assert (deployed.fee_wad(), deployed.owner()) == (10**17, boa.env.eoa)
