# SPDX-License-Identifier: MIT
import math

import numpy as np

from keeper.simulation.market import HOUR_SECS, MarketHour
from keeper.simulation.risk.series import log_returns, paired_returns, series, years_of

MIDNIGHT = 1_577_836_800  # 2020-01-01 00:00 UTC


def hours(*spots):
    """Return an hour for each spot price; a negative one stands for a halt at that price."""
    return [
        MarketHour(
            closes_at=MIDNIGHT + i * HOUR_SECS,
            spot=abs(spot),
            perp=2.0 * abs(spot),
            spot_halted=spot < 0,
            funding_rate=0.001 if i % 8 == 0 else None,
            mark_high=3.0 if i else None,
        )
        for i, spot in enumerate(spots)
    ]


def test_series__what_is_not_there__is_nan():
    rows = series(hours(10.0, -11.0))
    assert rows.closes_at.tolist() == [MIDNIGHT, MIDNIGHT + 3_600]
    assert rows.spot[0] == 10.0
    assert math.isnan(rows.spot[1])  # the price derived in the reader is no quote
    assert rows.perp.tolist() == [20.0, 22.0]
    assert rows.basis[0] == 1.0
    assert math.isnan(rows.basis[1])
    assert math.isnan(rows.mark_high[0])
    assert rows.mark_high[1] == 3.0
    assert rows.settlements().closes_at.tolist() == [MIDNIGHT]


def test_rows__chosen_by_time():
    rows = series(hours(*range(1, 26)))
    assert rows.between(MIDNIGHT + 3_600, MIDNIGHT + 10_800).spot.tolist() == [2.0, 3.0, 4.0]
    assert rows.every(8 * HOUR_SECS).spot.tolist() == [1.0, 9.0, 17.0, 25.0]


def test_paired_returns__drop_both_sides_of_a_halt():
    at, spot, perp = paired_returns(series(hours(1.0, 2.0, -3.0, 4.0, 8.0)))
    assert ((at - MIDNIGHT) // HOUR_SECS).tolist() == [1, 4]
    assert np.allclose(spot, math.log(2))
    assert np.allclose(perp, math.log(2))
    assert np.isnan(log_returns(np.array([1.0, np.nan, 1.0]))).all()


def test_years__are_of_utc():
    assert years_of(np.array([MIDNIGHT - 1, MIDNIGHT])).tolist() == [2019, 2020]
