# SPDX-License-Identifier: MIT

import pytest

from keeper.simulation.flow import (
    PerpBook,
    SpotPool,
    achieved_basis,
    arbitrage_assets,
    trader_size,
)

WAD = 10**18
BOOK = PerpBook(
    skew=-100, skew_scale=100_000, long_size=0, short_size=100, max_side=5_000, max_skew=2_000,
    position=0,
)  # fmt: skip


@pytest.mark.parametrize("asset_decimals", [6, 8, 18])
@pytest.mark.parametrize("quote_decimals", [6, 18])
@pytest.mark.parametrize("price", [1_500, 2_499, 2_500, 2_501, 4_000])
def test_arbitrage__any_price__mid_ends_there(asset_decimals, quote_decimals, price):
    divisor = 10 ** (18 + asset_decimals - quote_decimals)
    fee_wad = 3 * 10**15
    pool = SpotPool(
        assets=10_000 * 10**asset_decimals,
        quote=25_000_000 * 10**quote_decimals,
        fee_wad=fee_wad,
    )
    bought = arbitrage_assets(pool, price * WAD, divisor)
    # The contract's own formulas, ceilings included.
    if bought >= 0:
        priced = -(-pool.quote * bought // (pool.assets - bought))
        paid = -(-priced * WAD // (WAD - fee_wad))
    else:
        taken = -bought * (WAD - fee_wad) // WAD
        paid = -(pool.quote * taken // (pool.assets + taken))
    mid_wad = (pool.quote + paid) * divisor // (pool.assets - bought)
    assert mid_wad / WAD == pytest.approx(price, rel=1e-8)
    assert (bought > 0) == (price > 2_500)


def test_arbitrage__price_reached__does_nothing():
    pool = SpotPool(assets=10**18, quote=2_500 * 10**6, fee_wad=10**15)
    assert arbitrage_assets(pool, 2_500 * WAD, 10**30) == 0


def test_trader__vault_is_short__buys_the_premium_back():
    size = trader_size(BOOK, 0.0010)  # wanted skew 100, present -100
    assert size == 200
    assert achieved_basis(BOOK, size) == 0.0010


def test_trader__beyond_the_skew_cap__stops_under_it():
    size = trader_size(BOOK, 0.05)  # wanted 5,000, cap 2,000 of which 99 %
    assert size == 1_980 + 100
    assert achieved_basis(BOOK, size) < 0.02
    assert trader_size(BOOK, -0.05) == -(1_980 - 100)


def test_trader__beyond_the_open_interest_cap__stops_under_it():
    book = BOOK._replace(max_side=150, long_size=100)
    assert trader_size(book, 0.0050) == 148 - 100


def test_trader__own_position_is_closed_first__cap_does_not_bind_that_part():
    book = BOOK._replace(max_side=100, long_size=100, short_size=100, position=-50)
    assert trader_size(book, 0.0050) == 50


def test_trader__skew_beyond_the_cap__may_still_come_back():
    book = BOOK._replace(skew=-3_000)
    assert trader_size(book, 0.0) == 3_000
    assert trader_size(book, -0.05) == 0
