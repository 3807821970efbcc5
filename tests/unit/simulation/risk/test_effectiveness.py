# SPDX-License-Identifier: MIT
import math

import numpy as np
import pytest

from keeper.simulation.risk.effectiveness import (
    effectiveness,
    offset_share,
    ols_ratio,
    variance_reduction,
)

HELD = np.array([1.0, -2.0, 3.0, 0.0])
HEDGE = np.array([1.0, -2.0, 2.0, 1.0])


def test_effectiveness__chosen_numbers():
    """
    Residual (0, 0, 1, -1): variance 2 / 4; Var(dS) = (14 - 4 / 4) / 4 = 13 / 4.

    Centred dS (.5, -2.5, 2.5, -.5) and dF (.5, -2.5, 1.5, .5): slope 10 / 9.
    """
    found = effectiveness(HELD, HEDGE)
    assert found.variance_reduction == pytest.approx(1 - 2 / 13)
    assert found.residual_deviation == pytest.approx(math.sqrt(2 / 3))
    assert found.dollar_offset == pytest.approx(2 / 2)
    assert found.ols_ratio == pytest.approx(10 / 9)
    assert found.r2 == pytest.approx(100 / (9 * 13))
    assert found.offset_passes
    assert found.regression_passes


def test_r2__is_the_squared_correlation_and_no_ratio_does_better():
    found = effectiveness(HELD, HEDGE)
    assert found.r2 == pytest.approx(np.corrcoef(HELD, HEDGE)[0, 1] ** 2)
    for step in (-0.01, 0.01):
        assert variance_reduction(HELD, HEDGE, found.ols_ratio + step) < found.r2


def test_effectiveness__hedge_of_the_wrong_sign__adds_risk():
    found = effectiveness(HELD, -HEDGE)
    assert found.variance_reduction < 0
    assert not found.regression_passes
    assert not found.offset_passes


def test_effectiveness__half_hedged__keeps_a_quarter_of_the_variance():
    found = effectiveness(HELD, HELD, 0.5)
    assert found.variance_reduction == pytest.approx(0.75)
    assert found.dollar_offset == pytest.approx(0.5)
    assert not found.offset_passes


def test_variance_reduction__takes_a_ratio_for_each_change():
    ratios = np.array([1.0, 1.0, 1.5, 0.0])
    assert variance_reduction(HELD, HEDGE, ratios) == pytest.approx(1.0)
    assert ols_ratio(HELD, 2 * HELD) == pytest.approx(0.5)


def test_offset_share__counts_large_moves_only():
    held, hedge = np.array([0.02, -0.02, 0.001, 0.03]), np.array([0.02, -0.01, -0.5, 0.0375])
    assert offset_share(held, hedge, 0.01) == (3, pytest.approx(2 / 3))
    count, share = offset_share(held, hedge, 1.0)
    assert count == 0
    assert math.isnan(share)


@pytest.mark.parametrize(
    ("held", "hedge", "fact"),
    [
        (HELD, HEDGE[:3], "do not pair"),
        (HELD[:2], HEDGE[:2], "at least 3"),
        (np.array([1.0, math.nan, 2.0]), HEDGE[:3], "not finite"),
        (HELD[:3], np.array([1.0, math.inf, 2.0]), "not finite"),
        (np.ones(3), HEDGE[:3], "does not move"),
        (HELD[:3], np.ones(3), "does not move"),
    ],
)
def test_effectiveness__unusable_changes__are_refused(held, hedge, fact):
    with pytest.raises(ValueError, match=fact):
        effectiveness(held, hedge)
