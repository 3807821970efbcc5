# SPDX-License-Identifier: MIT
"""Closed forms against QuantLib, against differences, and by hand."""

import math

import pytest
import QuantLib

from keeper.simulation.risk.greeks import (
    DatedFuture,
    FutureOption,
    Greeks,
    Perpetual,
    Spot,
    book_greeks,
)

GRID = [
    {"spot": spot, "future": future, "strike": strike, "years": years, "volatility": volatility}
    for spot, future in ((2_000.0, 2_000.0), (2_000.0, 2_060.0), (2_000.0, 1_940.0))
    for strike in (1_400.0, 2_000.0, 2_900.0)
    for years in (1 / 365, 0.25, 1.0)
    for volatility in (0.3, 1.1)
]


def quantlib(option: FutureOption):
    """Return QuantLib's calculator; its theta holds spot, as ours does."""
    kind = QuantLib.Option.Call if option.call else QuantLib.Option.Put
    payoff = QuantLib.PlainVanillaPayoff(kind, option.strike)
    deviation = option.volatility * math.sqrt(option.years)
    discount = math.exp(-option.interest * option.years)
    return QuantLib.BlackCalculator(payoff, option.future, deviation, discount)


@pytest.mark.parametrize("call", [True, False])
@pytest.mark.parametrize("interest", [0.0, 0.05])
@pytest.mark.parametrize("terms", GRID)
def test_option__equals_quantlib(terms, interest, call):
    option = FutureOption(size=1.0, interest=interest, call=call, **terms)
    reference, ours = quantlib(option), option.greeks()
    scale = terms["spot"]
    assert option.value() == pytest.approx(reference.value(), rel=1e-9, abs=1e-9 * scale)
    assert ours.delta == pytest.approx(reference.delta(scale), rel=1e-9, abs=1e-12)
    assert ours.gamma == pytest.approx(reference.gamma(scale), rel=1e-9, abs=1e-15)
    assert ours.vega == pytest.approx(reference.vega(terms["years"]), rel=1e-9, abs=1e-9)
    theta = reference.theta(terms["spot"], terms["years"])
    assert ours.theta == pytest.approx(theta, rel=1e-7, abs=1e-7 * scale)


def test_option__equals_differences_of_its_own_value():
    carry, spot, years, volatility = 0.08, 2_000.0, 0.25, 0.7

    def value(s=spot, tau=years, sigma=volatility):
        return _option(s, s * math.exp(carry * tau), tau, sigma).value()

    ours = _option(spot, spot * math.exp(carry * years), years, volatility).greeks()
    step = 0.5
    assert ours.delta == pytest.approx((value(spot + step) - value(spot - step)) / 2 / step, 1e-6)
    second = (value(spot + step) - 2 * value() + value(spot - step)) / step**2
    assert ours.gamma == pytest.approx(second, rel=1e-5)
    vega = (value(sigma=volatility + 1e-4) - value(sigma=volatility - 1e-4)) / 2e-4
    assert ours.vega == pytest.approx(vega, rel=1e-6)
    theta = (value(tau=years - 1e-5) - value(tau=years + 1e-5)) / 2e-5
    assert ours.theta == pytest.approx(theta, rel=1e-6)


def _option(spot, future, years, volatility):
    return FutureOption(
        size=-3.0,
        spot=spot,
        future=future,
        strike=2_100.0,
        years=years,
        volatility=volatility,
        interest=0.04,
    )


def test_put_and_call__differ_by_a_discounted_future():
    terms = {"size": 1.0, "strike": 1_900.0, "volatility": 0.6, "interest": 0.05}
    terms |= {"spot": 2_000.0, "future": 2_030.0, "years": 0.5}
    call, put = (FutureOption(call=call, **terms).greeks() for call in (True, False))
    assert call.delta - put.delta == pytest.approx(math.exp(-0.025) * 2_030 / 2_000)
    assert call.gamma == pytest.approx(put.gamma)
    assert call.vega == pytest.approx(put.vega)


def test_perpetual__at_the_index__delta_is_its_size():
    """Short 2 at 2,000, funding 1 bp per 8 h: receives 2 * 2,000 * 0.0001 * 1,095 a year."""
    greeks = Perpetual(size=-2.0, spot=2_000.0, funding_rate=0.0001).greeks()
    assert greeks == Greeks(delta=-2.0, theta=pytest.approx(438.0))


def test_perpetual__valued_at_its_mark__moves_with_the_premium():
    assert Perpetual(size=-2.0, spot=2_000.0, premium=0.01).greeks().delta == -2.02


def test_dated_future__slides_to_spot():
    """F / S = 1.025 in a quarter: a short earns b F = 4 ln(1.025) * 2,050 a year."""
    greeks = DatedFuture(size=-1.0, spot=2_000.0, price=2_050.0, years=0.25).greeks()
    assert greeks.delta == pytest.approx(-1.025)
    assert greeks.theta == pytest.approx(4 * math.log(1.025) * 2_050)
    assert (greeks.gamma, greeks.vega) == (0.0, 0.0)


def test_book__same_coin_spot_and_short_perpetual__is_flat():
    book = book_greeks([Spot(size=10.0), Perpetual(size=-10.0, spot=2_000.0)])
    assert book == Greeks(delta=0.0, theta=0.0)


def test_book__is_the_sum():
    option = FutureOption(size=2.0, spot=10.0, future=10.0, strike=11.0, years=0.5, volatility=0.8)
    future = DatedFuture(size=-1.0, spot=10.0, price=10.2, years=0.5)
    book = book_greeks([Spot(size=1.0), option, future])
    parts = [option.greeks(), future.greeks()]
    assert book.delta == pytest.approx(1.0 + sum(part.delta for part in parts))
    assert book.theta == pytest.approx(sum(part.theta for part in parts))
    assert (book.gamma, book.vega) == (parts[0].gamma, parts[0].vega)
    assert book_greeks([]) == Greeks()


@pytest.mark.parametrize("name", ["spot", "future", "strike", "years", "volatility"])
@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_option__number_that_must_be_positive__is_refused_by_name(name, wrong):
    terms = {"spot": 1.0, "future": 1.0, "strike": 1.0, "years": 1.0, "volatility": 1.0}
    with pytest.raises(ValueError, match=f"expected a positive {name}, was"):
        FutureOption(size=1.0, **terms | {name: wrong}).greeks()


def test_perpetual__without_a_price__is_refused():
    with pytest.raises(ValueError, match="expected a positive spot, was 0"):
        Perpetual(size=1.0, spot=0.0).greeks()
