# SPDX-License-Identifier: MIT
import math

import numpy as np
import pytest

from keeper.simulation.risk.funding_history import (
    autocorrelation,
    half_life,
    one_step_errors,
    statistics,
    worst_stretch,
)


def test_statistics__chosen_numbers():
    """Mean of 1, 3, -1, 1 bp is 1 bp, 10.95 % a year; deviation sqrt(8 / 4)."""
    found = statistics(np.array([1.0, 3.0, -1.0, 1.0]) / 1e4)
    assert found.a_year == pytest.approx(0.1095)
    assert found.deviation == pytest.approx(math.sqrt(2) / 1e4)
    assert found.negative == 0.25


def test_worst_stretch__sum_and_end():
    stretch = worst_stretch(np.array([1.0, -2.0, -3.0, 4.0, -4.0]), 2)
    assert (stretch.total, stretch.last) == (-5.0, 2)


def test_autocorrelation__of_an_alternating_series():
    rates = np.array([1.0, -1.0] * 10)
    assert autocorrelation(rates, 1) == pytest.approx(-1.0)
    assert autocorrelation(rates, 2) == pytest.approx(1.0)


def test_half_life__of_what_decays_and_of_what_does_not():
    """x -> x / 2 at each step, begun anew now and then: half is gone after one."""
    decaying = np.concatenate([sign * 0.5 ** np.arange(12) for sign in (1, -1) * 400])
    assert half_life(decaying) == pytest.approx(1.0, abs=0.01)
    with pytest.raises(ValueError, match=r"no half-life with an autocorrelation of -1\.00"):
        half_life(np.array([1.0, -1.0] * 10))


def test_one_step_errors__of_an_ar1__are_its_shocks_and_no_change_loses():
    """f = 5 + 0.5 (f - 5) + e: no-change errs by sqrt(e2 + (0.5)^2 var), the mean by sqrt(var)."""
    chance = np.random.default_rng(11)
    shocks = chance.standard_normal(40_000)
    rates = np.empty_like(shocks)
    level = 5.0
    for i, shock in enumerate(shocks):
        level = 5.0 + 0.5 * (level - 5.0) + shock
        rates[i] = level
    errors = one_step_errors(rates)
    variance = 1 / (1 - 0.25)
    assert errors["AR(1)"] == pytest.approx(1.0, abs=0.02)
    assert errors["no-change"] == pytest.approx(math.sqrt(1 + variance / 4), abs=0.02)
    assert errors["mean"] == pytest.approx(math.sqrt(variance), abs=0.02)
    assert errors["AR(1) to zero"] > errors["AR(1)"]
