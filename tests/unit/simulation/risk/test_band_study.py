# SPDX-License-Identifier: MIT
from dataclasses import replace

import numpy as np
import pytest

from keeper.band import Band, BandTerms, joint_band, target_band
from keeper.simulation.risk.band_study import running_cost, simulated_cost
from keeper.units import WAD, Wad

TERMS = BandTerms(
    fixed_wad=10**14,
    proportional_wad=10**15,
    drift_variance_wad=3 * 10**17,
    risk_wad=WAD,
)


def half(trigger):
    return Band(trigger_wad=Wad(trigger), target_wad=Wad(trigger // 2))


@pytest.mark.parametrize(
    "band",
    [joint_band(TERMS), target_band(TERMS), half(WAD // 10)],
    ids=["joint", "target", "half"],
)
def test_simulated_drift__costs_what_the_law_says(band):
    """Trading and risk apart, within two per cent; the target is rounded to the lattice."""
    cells = 24
    target = round(band.target_wad / band.trigger_wad * cells) * band.trigger_wad // cells
    law = running_cost(Band(trigger_wad=band.trigger_wad, target_wad=Wad(target)), TERMS)
    seen = simulated_cost(band, TERMS, 4_000.0, np.random.default_rng(17), cells)
    assert seen.trading == pytest.approx(law.trading, rel=0.02)
    assert seen.risk == pytest.approx(law.risk, rel=0.02)


def test_running_cost__mean_square_of_the_notes():
    """E x2 = h2 / 6 for b = 0 and 5 h2 / 24 for b = h / 2: 0.1667 and 0.208 at h = 1."""
    for target, square in ((0, 0.1667), (WAD // 2, 0.208)):
        band = Band(trigger_wad=Wad(WAD), target_wad=Wad(target))
        assert running_cost(band, TERMS).risk * 2 == pytest.approx(square, abs=5e-4)


def test_running_cost__band_without_width__costs_a_reflection_or_gas_for_ever():
    """a epsilon / 2 h for the reflection, g h2 / 6 for the drift."""
    band = Band(trigger_wad=Wad(WAD // 10), target_wad=Wad(WAD // 10))
    free = replace(TERMS, fixed_wad=0)
    found = running_cost(band, free)
    assert (found.trading, found.risk) == pytest.approx((0.3 * 1e-3 / 0.2, 0.01 / 6))
    near = Band(trigger_wad=Wad(WAD // 10 + 10**9), target_wad=Wad(WAD // 10))
    assert running_cost(near, free).total == pytest.approx(found.total, rel=1e-6)
    with pytest.raises(ValueError, match="pays gas for ever"):
        running_cost(band, TERMS)
    with pytest.raises(ValueError, match="pays gas for ever"):
        running_cost(Band(trigger_wad=Wad(0), target_wad=Wad(0)), free)
