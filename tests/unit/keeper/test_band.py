# SPDX-License-Identifier: MIT
"""The law against its published limits, a search of its own, and by hand."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize

from keeper.band import (
    Band,
    BandTerms,
    hedging,
    joint_band,
    price_variance_wad,
    target_band,
    trade_wanted,
    trigger_bps,
)
from keeper.simulation.risk.band_study import running_cost
from keeper.units import BPS, WAD, Wad


def terms(fixed=1e-4, rate=1e-3, growth=0.3, risk=1.0):
    return BandTerms(
        fixed_wad=round(fixed * WAD),
        proportional_wad=round(rate * WAD),
        drift_variance_wad=round(growth * WAD),
        risk_wad=round(risk * WAD),
    )


def widths(band):
    return band.trigger_wad / WAD, band.target_wad / WAD


def test_joint_band__worked_check_of_the_notes():
    """
    quant.md, section 4 (iii): gamma 2, sigma2 0.5, a 0.3, K 1e-4, epsilon 1e-3.

    Its b of 0.0312 is a search stopped on a flat floor: the cost is the same to 1e-8, the root of
    the two equations is 0.03102.
    """
    band = joint_band(terms())
    assert widths(band) == pytest.approx((0.1555, 0.03102), abs=5.1e-5)
    assert running_cost(band, terms()).total == pytest.approx(0.0049957, abs=5.1e-8)
    noted = Band(trigger_wad=Wad(1_555 * WAD // 10_000), target_wad=Wad(312 * WAD // 10_000))
    excess = running_cost(noted, terms()).total - running_cost(band, terms()).total
    assert 0 < excess < 1e-8
    assert widths(joint_band(terms(rate=0.0))) == (pytest.approx(0.1377, abs=5.1e-5), 0.0)
    both = pytest.approx(0.0766, abs=5.1e-5)
    assert widths(joint_band(terms(fixed=0.0))) == (both, both)


def test_joint_band__proportional_cost_only__is_the_cube_root():
    for rate in (1e-6, 1e-4, 1e-2):
        expected = (3 * rate * 0.3 / 2) ** (1 / 3)
        assert widths(joint_band(terms(0.0, rate))) == pytest.approx((expected, expected))


def test_joint_band__gas_only__is_the_fourth_root():
    for fixed in (1e-8, 1e-5, 1e-2):
        expected = (12 * fixed * 0.3) ** (1 / 4)
        assert widths(joint_band(terms(fixed, 0.0))) == (pytest.approx(expected), 0.0)


def slope(band_of, costs):
    widths = [math.log(band_of(cost).trigger_wad) for cost in costs]
    return np.polyfit(np.log(costs), widths, 1)[0]


def test_joint_band__slopes_of_log_width_on_log_cost():
    costs = np.geomspace(1e-7, 1e-3, 9)
    assert slope(lambda c: joint_band(terms(0.0, c)), costs) == pytest.approx(1 / 3, abs=1e-6)
    assert slope(lambda c: joint_band(terms(c, 0.0)), costs) == pytest.approx(1 / 4, abs=1e-6)


def test_joint_band__one_cost_vanishes__goes_to_the_limit_of_the_other():
    cube, fourth = joint_band(terms(fixed=0.0)), joint_band(terms(rate=0.0))
    assert widths(joint_band(terms(fixed=1e-14))) == pytest.approx(widths(cube), rel=1e-3)
    assert widths(joint_band(terms(rate=1e-12)))[0] == pytest.approx(widths(fourth)[0], rel=1e-6)


def test_joint_band__gas_of_a_crash__widens_by_the_fourth_root():
    """quant.md, section 8: 30 to 3,200 times the gas, 2.3 to 7.5 times the band."""
    calm = joint_band(terms(1e-8, 0.0)).trigger_wad
    for times, wider in ((30, 2.3), (3_200, 7.5)):
        assert joint_band(terms(times * 1e-8, 0.0)).trigger_wad / calm == pytest.approx(
            wider, abs=0.05
        )


@pytest.mark.parametrize("fixed", [1e-6, 1e-4, 1e-2])
@pytest.mark.parametrize("rate", [1e-5, 1e-3, 1e-2])
@pytest.mark.parametrize(("growth", "risk"), [(0.3, 1.0), (0.01, 4.0)])
def test_joint_band__is_what_a_search_over_the_cost_finds(fixed, rate, growth, risk):
    def cost(logs):
        b = math.exp(logs[0])
        h = b + math.exp(logs[1])
        return risk * (h * h + b * b) / 12 + growth * (fixed + rate * (h - b)) / (h * h - b * b)

    found = minimize(
        cost, (math.log(0.01), math.log(0.1)), method="Nelder-Mead", options={"fatol": 1e-15}
    )
    band = joint_band(terms(fixed, rate, growth, risk))
    h, b = widths(band)
    assert cost((math.log(b), math.log(h - b))) == pytest.approx(found.fun, rel=1e-9)
    assert b == pytest.approx(math.exp(found.x[0]), rel=2e-3)
    assert h == pytest.approx(math.exp(found.x[0]) + math.exp(found.x[1]), rel=2e-3)


def test_joint_band__hedge_of_a_share__is_janecek_and_shreve():
    """a = theta2 (1 - theta)2 sigma2, g = p sigma2: ((3 / 2p) theta2 (1 - theta)2 lambda)^(1/3)."""
    theta, variance, aversion, cost = 0.4, 0.64, 3.0, 0.002
    growth = price_variance_wad(round((1 - theta) * BPS), round(variance * WAD)) / WAD
    band = joint_band(terms(0.0, cost, growth, aversion * variance))
    published = (1.5 / aversion * theta**2 * (1 - theta) ** 2 * cost) ** (1 / 3)
    assert widths(band)[0] == pytest.approx(published, rel=1e-9)


def test_price_variance__full_hedge_or_none__is_zero():
    variance = round(0.64 * WAD)
    assert price_variance_wad(0, variance) == price_variance_wad(BPS, variance) == 0
    assert price_variance_wad(5_000, variance) == variance // 16
    assert price_variance_wad(1, 1) == 1  # rounded up


def test_price_variance__is_what_exposure_does_when_the_price_moves():
    """h = 0.4 on 10 coins at 2,000: 1 % up changes exposure by 0.4 * 0.6 * 1 %."""
    coins, ratio, price = 10.0, 0.4, 2_000.0
    size = -ratio * coins

    def exposure(s):
        equity = (coins * s + size * (s - price)) / s
        return (coins + size) / equity

    moved = exposure(price * 1.0001) - exposure(price)
    assert moved == pytest.approx(ratio * (1 - ratio) * 1e-4, rel=1e-3)


def test_target_band__worked():
    """K = 0: (6 epsilon a / g)^(1/3); epsilon = 0: as the joint law."""
    assert widths(target_band(terms(fixed=0.0)))[0] == pytest.approx((6e-3 * 0.3) ** (1 / 3))
    assert target_band(terms(rate=0.0)).trigger_wad == pytest.approx(
        joint_band(terms(rate=0.0)).trigger_wad, abs=2
    )


def test_target_band__is_wider_and_dearer_than_the_joint():
    ours, free = target_band(terms()), joint_band(terms())
    assert ours.trigger_wad > free.trigger_wad
    assert running_cost(ours, terms()).total > running_cost(free, terms()).total
    for factor in (0.99, 1.01):
        other = Band(trigger_wad=Wad(round(ours.trigger_wad * factor)), target_wad=Wad(0))
        assert running_cost(other, terms()).total > running_cost(ours, terms()).total


cost = st.integers(0, WAD)


@given(fixed=cost, rate=cost, growth=st.integers(0, 10 * WAD), risk=st.integers(10**12, 100 * WAD))
def test_joint_band__solves_its_equations_to_the_last_digit(fixed, rate, growth, risk):
    """d is the last integer that fits; h and b are in order and rise with the gas."""
    assume(fixed > 0)
    known = BandTerms(
        fixed_wad=fixed, proportional_wad=rate, drift_variance_wad=growth, risk_wad=risk
    )
    band = joint_band(known)
    d = band.trigger_wad - band.target_wad

    def left(d):
        return d**8 * (fixed * WAD + rate * d) * risk**2

    right = 144 * growth**2 * fixed**3 * WAD**7
    assert left(max(d - 1, 0)) <= right < left(d + 2)
    assert 0 <= band.target_wad <= band.trigger_wad
    dearer = BandTerms(
        fixed_wad=2 * fixed, proportional_wad=rate, drift_variance_wad=growth, risk_wad=risk
    )
    assert joint_band(dearer).trigger_wad >= band.trigger_wad


def test_bands__nothing_to_pay_or_no_drift__are_zero():
    zero = Band(trigger_wad=Wad(0), target_wad=Wad(0))
    assert joint_band(terms(0.0, 0.0)) == target_band(terms(0.0, 0.0)) == zero
    assert joint_band(terms(growth=0.0)) == target_band(terms(growth=0.0)) == zero


@pytest.mark.parametrize("name", ["fixed", "rate", "growth"])
def test_terms__negative__are_refused(name):
    with pytest.raises(ValueError, match="must not be negative"):
        terms(**{name: -1e-9})


@pytest.mark.parametrize("risk", [0.0, -1.0])
def test_terms__risk_without_a_price__is_refused(risk):
    with pytest.raises(ValueError, match="must have a price"):
        terms(risk=risk)


def test_band__in_basis_points__trigger_up_target_down_and_apart():
    band = Band(trigger_wad=Wad(155_510 * 10**12), target_wad=Wad(31_290 * 10**12))
    assert (band.trigger_bps(), band.target_bps()) == (1_556, 312)
    even = Band(trigger_wad=Wad(WAD // 10), target_wad=Wad(WAD // 10))
    assert (even.trigger_bps(), even.target_bps()) == (1_001, 1_000)


# What a decision does with a band


@pytest.mark.parametrize(
    ("wanted", "starts"), [(50, 100), (150, 150), (400, 300), (100, 100), (300, 300)]
)
def test_trigger__is_held_between_the_chains_bands(wanted, starts):
    assert trigger_bps(wanted, inner_bps=100, urgent_bps=300) == starts


@pytest.mark.parametrize(
    ("drift", "was", "closes"),
    [
        (150, False, False),  # at the trigger: not over it
        (151, False, True),
        (120, False, False),
        (120, True, True),  # on the way back
        (60, True, False),  # arrived
        (61, True, True),
    ],
)
def test_hedging__has_hysteresis(drift, was, closes):
    assert hedging(drift, was, starts_bps=150, ends_bps=60) is closes


def test_hedging__drift_that_shakes_at_the_trigger__is_closed_once():
    hedged, starts = False, 0
    for drift in (149, 151, 148, 152, 149, 100, 61, 60, 149, 100, 149):
        was, hedged = hedged, hedging(drift, hedged, starts_bps=150, ends_bps=60)
        starts += hedged and not was
    assert starts == 1


@pytest.mark.parametrize(
    ("gap", "target_bps", "trade"),
    [
        (500, 0, -500),  # too long: sell all of it
        (-500, 0, 500),
        (500, 100, -400),  # to the edge of 100 on 10,000
        (-500, 100, 400),
        (100, 100, 0),  # at the edge
        (60, 100, 0),  # inside it: never trades outward
        (-60, 100, 0),
        (0, 100, 0),
    ],
)
def test_trade_wanted__to_target_and_to_edge(gap, target_bps, trade):
    assert trade_wanted(gap, 10_000, target_bps) == trade


def test_trade_wanted__edge_is_rounded_down():
    """1 bps of 19,999 is 1.9999: one unit is kept."""
    assert trade_wanted(50, 19_999, 1) == -49
