# SPDX-License-Identifier: MIT
from dataclasses import replace

import numpy as np
import pytest

from keeper.band import BandTerms
from keeper.policy import Policy, policy_fault
from keeper.simulation.risk.advice import (
    YEAR_SECS,
    advised,
    band_terms,
    drift_variance_a_year,
)
from keeper.units import WAD

POLICY = Policy(distance_low_bps=2_500, distance_target_bps=4_000, distance_high_bps=8_000)
TERMS = band_terms(1e-6, 1e-3, 0.01, 4.0, 0.36)


def test_drift_variance__of_steps_without_a_trade():
    """(0.01)^2 and (0.02)^2 in 300 s; the trade in between and the first flag do not count."""
    drifts = np.array([0.0, 0.01, -0.05, -0.03])
    at = np.array([1_000, 1_100, 1_150, 1_350])
    traded = np.array([True, False, True, False])
    found = drift_variance_a_year(drifts, at, traded)
    assert found == pytest.approx((0.01**2 + 0.02**2) / 300 * YEAR_SECS)


def test_drift_variance__of_a_walk__is_its_rate():
    chance = np.random.default_rng(4)
    drifts = np.cumsum(chance.standard_normal(50_000) * np.sqrt(0.3 * 3_600 / YEAR_SECS))
    at = np.arange(50_000) * 3_600
    found = drift_variance_a_year(drifts, at, np.zeros(50_000, dtype=np.bool_))
    assert found == pytest.approx(0.3, rel=0.02)


@pytest.mark.parametrize(
    ("drifts", "at", "traded", "fact"),
    [
        ([0.0, np.nan], [1, 2], [False, False], "must be finite"),
        ([0.0, 0.1], [2, 2], [False, False], "must rise"),
        ([0.0, 0.1], [1, 2], [False, True], "without a trade"),
        ([0.0], [1], [False], "without a trade"),
    ],
)
def test_drift_variance__unusable_samples__are_refused(drifts, at, traded, fact):
    with pytest.raises(ValueError, match=fact):
        drift_variance_a_year(np.array(drifts), np.array(at), np.array(traded))


def test_band_terms__are_wad():
    assert TERMS == BandTerms(
        fixed_wad=10**12,
        proportional_wad=10**15,
        drift_variance_wad=10**16,
        risk_wad=144 * WAD // 100,
    )


def test_advised__band_and_distances():
    """
    g = 1.44: h b (h + b) = 3 * 0.01 * 1e-3 / 1.44 and (h - b)^3 = 4 h b * 1e-6 / 1e-3 hold at
    h = 2.856 %, b = 1.627 %. Distances move by 500.
    """
    h, b = 0.028564, 0.016269
    assert h * b * (h + b) == pytest.approx(3e-5 / 1.44, rel=1e-4)
    assert (h - b) ** 3 == pytest.approx(4e-3 * h * b, rel=1e-3)
    found = advised(POLICY, TERMS, 3_000, 100, 1_000)
    assert policy_fault(found) is None
    assert (found.trigger_bps, found.target_bps) == (286, 162)
    distances = found.distance_low_bps, found.distance_target_bps, found.distance_high_bps
    assert distances == (3_000, 4_500, 8_500)
    assert (
        replace(
            found,
            trigger_bps=POLICY.trigger_bps,
            target_bps=POLICY.target_bps,
            distance_low_bps=2_500,
            distance_target_bps=4_000,
            distance_high_bps=8_000,
        )
        == POLICY
    )


@pytest.mark.parametrize(
    ("inner", "urgent", "trigger", "target"), [(300, 1_000, 300, 162), (10, 150, 150, 149)]
)
def test_advised__stays_between_the_chains_bands(inner, urgent, trigger, target):
    found = advised(POLICY, TERMS, 2_500, inner, urgent)
    assert (found.trigger_bps, found.target_bps) == (trigger, target)


@pytest.mark.parametrize(
    ("headroom", "field"), [(-1, "distance_low_bps"), (98_500, "distance_target_bps")]
)
def test_advised__no_usable_policy__is_refused_by_field(headroom, field):
    with pytest.raises(ValueError, match=f"no usable policy: {field}"):
        advised(POLICY, TERMS, headroom, 100, 1_000)
