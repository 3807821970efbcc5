# SPDX-License-Identifier: MIT
"""By hand, then against the cash book of an account that knows nothing of causes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.simulation.risk.attribution import Attribution, Step, attribute, rounded
from keeper.units import WAD, price_divisor

DIVISOR = price_divisor(18, 6)
COIN = 10**18
USD = 10**6
STEP = Step(
    spot_before_wad=2_000 * WAD,
    spot_after_wad=2_100 * WAD,
    hedge_before_wad=2_002 * WAD,
    hedge_after_wad=2_101 * WAD,
    assets=10 * COIN,
    size=-9 * COIN,
    target_delta=0,
    funding=3 * USD,
    fees=2 * USD,
    gas=1 * USD,
    hedge_trades=((-1 * COIN, 2_099 * WAD),),
)


def test_attribute__one_step__by_hand():
    """
    Spot +100 on 10, hedge +99 on -9. Drift 1 * 100. Basis -9 * (99 - 100) = 9. The trade sells
    at 2,099 what is worth 2,101: -2. Total 1,000 - 891 + 3 - 2 - 1 - 2 = 107.
    """
    found = rounded(attribute([STEP], DIVISOR), DIVISOR)
    assert found == Attribution(
        drift=100 * USD, basis=9 * USD, funding=3 * USD, fees=-2 * USD, slippage=-2 * USD, gas=-USD
    )
    assert found.total == 107 * USD


def test_attribute__target_exposure__is_nobodys_drift():
    found = rounded(attribute([replace(STEP, target_delta=COIN)], DIVISOR), DIVISOR)
    assert (found.target, found.drift) == (100 * USD, 0)
    assert found.total == 107 * USD


def test_attribute__nothing__is_nothing():
    assert attribute([], DIVISOR) == Attribution()


def test_attribute__step_from_elsewhere__is_refused():
    with pytest.raises(ValueError, match="expected a step from prices"):
        attribute([STEP, STEP], DIVISOR)


@pytest.mark.parametrize("name", ["fees", "gas"])
def test_attribute__cost_that_is_received__is_refused(name):
    with pytest.raises(ValueError, match="paid, not received"):
        attribute([replace(STEP, **{name: -1})], DIVISOR)


def test_rounded__shares_the_last_units_out():
    """
    Floors of 3/6, 3/6, -2/6 are 0, 0, -1 and the total is 0: fees lost most, 4/6, and get one.
    Of 5/6, 4/6, -2/6 the total is 1: two are missing, for drift and, first of a tie, basis.
    """
    assert rounded(Attribution(drift=3, basis=3, fees=-2), 6) == Attribution()
    shown = rounded(Attribution(drift=5, basis=4, fees=-2), 6)
    assert shown == Attribution(drift=1, basis=1, fees=-1)


prices = st.integers(WAD // 1_000, 10_000 * WAD)
sizes = st.integers(-(10**22), 10**22)
moves = st.lists(
    st.tuples(
        prices,
        prices,
        sizes,
        st.tuples(sizes, prices),
        st.tuples(sizes, prices),
        st.integers(-(10**9), 10**9),
        st.integers(0, 10**9),
        st.integers(0, 10**9),
    ),
    min_size=1,
    max_size=6,
)


@given(
    first=st.tuples(prices, prices, sizes, sizes), moves=moves, decimals=st.sampled_from([6, 18])
)
def test_attribute__sums_to_the_change_of_nav_of_a_cash_book(first, moves, decimals):
    """The book keeps cash, coins and an entry notional; it never sees a cause."""
    divisor = price_divisor(decimals, 6)
    spot, hedge, assets, size = first
    cash, entry = 0, size * hedge  # in raw quote times the divisor
    start = assets * spot + size * hedge - entry + cash
    steps = []
    for spot_to, hedge_to, target, spot_trade, hedge_trade, funding, fees, gas in moves:
        steps.append(
            Step(
                spot_before_wad=spot,
                spot_after_wad=spot_to,
                hedge_before_wad=hedge,
                hedge_after_wad=hedge_to,
                assets=assets,
                size=size,
                target_delta=target,
                funding=funding,
                fees=fees,
                gas=gas,
                spot_trades=(spot_trade,),
                hedge_trades=(hedge_trade,),
            )
        )
        spot, hedge = spot_to, hedge_to
        assets += spot_trade[0]
        cash += (funding - fees - gas) * divisor - spot_trade[0] * spot_trade[1]
        size += hedge_trade[0]
        entry += hedge_trade[0] * hedge_trade[1]
    change = assets * spot + size * hedge - entry + cash - start
    exact = attribute(steps, divisor)
    assert exact.total == change
    shown = rounded(exact, divisor)
    assert shown.total == change // divisor
    for name, part in exact.parts().items():
        assert abs(shown.parts()[name] * divisor - part) < divisor
