# SPDX-License-Identifier: MIT
"""N-08: USDe printed 0.65 on one venue on 10 October 2025. One broken feed must not price."""

from __future__ import annotations

import boa
import pytest

from tests import market_world as world
from tests.market_world import WAD


@pytest.mark.parametrize("broken", ["served", "witness"])
def test_n08__quote_prints_065_on_one_feed__no_price_is_served(broken):
    asset, quote = world.deploy_feed(3_000 * 10**8), world.deploy_feed(10**8)
    witness = world.deploy_feed(10**8)
    oracle = world.deploy_oracle(asset, quote, quote_witness=witness)
    (quote if broken == "served" else witness).set_answer(65 * 10**6)
    with boa.reverts("oracle: quote feeds deviate"):
        oracle.read()
    ok, price, reason = oracle.try_read()
    assert (ok, reason) == (False, "oracle: quote feeds deviate")
    assert price.price_wad == (3_000 * WAD if broken == "witness" else 3_000 * WAD * 100 // 65)


def test_n08__feeds_agree_again__price_is_served_again():
    asset, quote = world.deploy_feed(3_000 * 10**8), world.deploy_feed(65 * 10**6)
    witness = world.deploy_feed(10**8)
    oracle = world.deploy_oracle(asset, quote, quote_witness=witness)
    quote.set_answer(10**8)
    assert oracle.read().price_wad == 3_000 * WAD
