# SPDX-License-Identifier: MIT
"""Rounding is the pool's and k never falls, over decimals 6/8/18 x 6/18."""

from __future__ import annotations

import boa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import market_world as world

WAD = 10**18
FEE_WAD = 3 * 10**15
DECIMALS = [(asset, quote) for asset in (6, 8, 18) for quote in (6, 18)]


def reference_buy(assets, reserves):
    """What the formula of SpotMarket.vy says, in Python."""
    net = -(-reserves[1] * assets // (reserves[0] - assets))
    return -(-net * WAD // (WAD - FEE_WAD))


def reference_sell(assets, reserves):
    net = assets * (WAD - FEE_WAD) // WAD
    return reserves[1] * net // (reserves[0] + net)


@pytest.fixture(scope="module", params=DECIMALS, ids=lambda pair: f"{pair[0]}x{pair[1]}")
def pool(request):
    """Tokens and a pool of that many decimals, empty."""
    asset_decimals, quote_decimals = request.param
    with boa.env.anchor():
        asset, quote, spot = world.deploy_spot(asset_decimals, quote_decimals, FEE_WAD)
        world.fund(boa.env.eoa, spot, asset, quote, amount=2**125)
        yield spot, 10**asset_decimals, 10**quote_decimals


@st.composite
def seeds(draw):
    """Reserves in thousandths of a whole token: 1e-3 to 1e9 of the asset at 1e-3 to 1e6 each."""
    assets = draw(st.integers(1, 10**12))
    return assets, assets * draw(st.integers(1, 10**9)) // 1_000 + 1


trades = st.lists(
    st.tuples(st.booleans(), st.integers(1, 999_999)),  # buy?, millionths of the reserve
    min_size=1,
    max_size=8,
)


@given(seeded=seeds(), steps=trades)
def test_trade__any_sequence__equals_the_formula_and_k_never_falls(pool, seeded, steps):
    spot, one_asset, one_quote = pool
    with boa.env.anchor():
        reserves = (seeded[0] * one_asset // 1_000, seeded[1] * one_quote // 1_000)
        spot.seed(*reserves)
        for buying, share in steps:
            assets = reserves[0] * share // 10**6
            if assets == 0:
                continue
            if buying:
                quote = reference_buy(assets, reserves)
                assert spot.buy(assets, quote, boa.env.eoa) == quote
                after = (reserves[0] - assets, reserves[1] + quote)
            else:
                quote = reference_sell(assets, reserves)
                if quote == 0:
                    continue
                assert spot.sell(assets, quote, boa.env.eoa) == quote
                after = (reserves[0] + assets, reserves[1] - quote)
            assert spot.reserves() == after
            assert after[0] * after[1] >= reserves[0] * reserves[1]
            reserves = after


@given(seeded=seeds(), share=st.integers(1, 999_999))
def test_trade__there_and_back__never_profits(pool, seeded, share):
    spot, one_asset, one_quote = pool
    with boa.env.anchor():
        assets_reserve = seeded[0] * one_asset // 1_000
        spot.seed(assets_reserve, seeded[1] * one_quote // 1_000)
        assets = max(1, assets_reserve * share // 10**6)
        if assets == assets_reserve:
            return
        paid = spot.buy(assets, 2**255, boa.env.eoa)
        assert spot.quote_sell(assets) < paid


@given(seeded=seeds(), share=st.integers(2, 999_999), cut=st.integers(1, 99))
def test_buy__split_in_two__is_not_cheaper(pool, seeded, share, cut):
    spot, one_asset, one_quote = pool
    with boa.env.anchor():
        assets_reserve = seeded[0] * one_asset // 1_000
        spot.seed(assets_reserve, seeded[1] * one_quote // 1_000)
        assets = assets_reserve * share // 10**6
        first = assets * cut // 100
        if first in {0, assets}:
            return
        whole = spot.quote_buy(assets)
        parts = spot.buy(first, 2**255, boa.env.eoa)
        parts += spot.buy(assets - first, 2**255, boa.env.eoa)
        assert parts >= whole
