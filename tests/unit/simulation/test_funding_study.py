# SPDX-License-Identifier: MIT
"""Synthetic hours with the arithmetic shown, then the figures of the real files."""

import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from keeper.simulation.funding_study import (
    BP,
    EXCHANGE_CAPS,
    FIRST_DAY,
    LAST_DAY,
    DrivenVenue,
    Periods,
    StudyRefused,
    at_random,
    comparators,
    fit,
    half_spreads,
    hourly,
    ladder,
    never,
    poked,
    sampling_error,
    shrunk,
    study,
)
from keeper.simulation.market import FUNDING_SECS, HOUR_SECS, MarketHour
from keeper.simulation.market_file import read_hours

FOLDER = Path(__file__).parents[4] / "shared/data"
MIDNIGHT = 1_577_836_800  # 2020-01-01 00:00 UTC
BEGIN_OF_NOTES = 1_580_515_200  # 2020-02-01: where quant.md begins its 2020
SPOT = 2_000.0


def path(premiums_bp, spots=None, paid=0.0001):
    """Return one hour for each premium, from midnight on, settled at 00, 08 and 16."""
    spots = [SPOT] * len(premiums_bp) if spots is None else spots
    return [
        MarketHour(
            closes_at=MIDNIGHT + i * HOUR_SECS,
            spot=spot,
            perp=spot * (1.0 + premium / BP),
            funding_rate=paid if i % 8 == 0 else None,
        )
        for i, (premium, spot) in enumerate(zip(premiums_bp, spots, strict=True))
    ]


def charged_bp(premiums_bp, spots=None):
    return study(path(premiums_bp, spots)).charged * BP


@pytest.mark.parametrize("premium", [-4, 0, 3, 5.9])
def test_charged__premium_inside_the_clamp__is_the_interest_exactly(premium):
    assert study(path([premium] * 17)).charged.tolist() == [1e-4, 1e-4]


@pytest.mark.parametrize(
    ("premium", "rate"),
    [
        (20, 15),  # 20 + max(-5, 1 - 20)
        (6.5, 1.5),
        (-20, -15),  # -20 + min(5, 1 + 20)
        (-4.5, 0.5),
        (79, 74),
        (100, 75),  # 95 is over the cap
        (-300, -75),
    ],
)
def test_charged__premium_outside__is_five_less_and_capped(premium, rate):
    assert charged_bp([premium] * 9) == pytest.approx([rate], abs=1e-9)


def test_charged__half_the_time_at_20__is_clamped_before_the_mean():
    periods = study(path([20, 20, 20, 20, 0, 0, 0, 0, 0]))
    assert periods.charged * BP == pytest.approx([(15 + 1) / 2])
    # The exchange takes the mean first. Closes 1 to 8: (3 * 20) / 8 = 7.5, less 5.
    assert comparators(periods)["mean of 8 closes, clamped last"] * BP == pytest.approx([2.5])


def test_charged__last_close__belongs_to_the_next_period():
    assert charged_bp([0] * 8 + [30] + [0] * 8) == pytest.approx([1, (25 + 7 * 1) / 8])


def test_charged__prices_differ__weighs_by_them():
    spots = [1_000.0] * 4 + [3_000.0] * 5
    # 4 hours of 15 bp at 1,000 and 4 of 1 bp at 3,000, over the sum of the eight prices.
    assert charged_bp([20] * 4 + [0] * 5, spots) == pytest.approx([(15 * 1 + 1 * 3) / (1 + 3)])


def test_charged__price_moves__premium_constant__is_the_rate():
    spots = [1_000.0 * 1.1**i for i in range(9)]
    assert charged_bp([20] * 9, spots) == pytest.approx([15], abs=1e-9)


def test_study__what_was_paid__stands_beside_it():
    hours = path([0] * 17)
    hours[8] = replace(hours[8], funding_rate=-0.0005)
    periods = study(hours)
    assert periods.paid.tolist() == [-0.0005, 0.0001]
    assert periods.ends_at.tolist() == [MIDNIGHT + 8 * HOUR_SECS, MIDNIGHT + 16 * HOUR_SECS]
    assert np.isnan(periods.over_mark).all()


def test_study__period_that_ends_at_new_year__is_of_the_old():
    hours = [replace(hour, closes_at=hour.closes_at - 8 * HOUR_SECS) for hour in path([0] * 17)]
    assert study(hours).years.tolist() == [2019, 2020]


def test_study__file_begins_inside_a_period__leaves_it_out():
    assert len(study(path([0] * 17)[3:]).paid) == 1


def test_study__halted_spot__is_marked_in_each_period_that_it_touches():
    hours = path([0] * 25)
    hours[8] = replace(hours[8], spot_halted=True)  # ends the first, begins the second
    assert study(hours).halted.tolist() == [True, True, False]


def _without(hours, i):
    return hours[:i] + hours[i + 1 :]


def _with(hours, i, **changes):
    return [replace(hour, **changes) if j == i else hour for j, hour in enumerate(hours)]


@pytest.mark.parametrize(
    ("hours", "fact"),
    [
        (_without(path([0] * 17), 5), "hours are missing or out of order before 2020-01-01 06:00"),
        (path([0] * 17)[::-1], "hours are missing or out of order"),
        (_with(path([0] * 25), 8, funding_rate=None), "missing before 2020-01-01 16:00"),
        (_with(path([0] * 17), 5, funding_rate=0.0), "2020-01-01 05:00, not at 00, 08 or 16"),
        (_with(path([0] * 17), 5, perp=1.2 * SPOT), r"a premium of \+0.2000 at 2020-01-01 05:00"),
        (path([0] * 8), "no period of 8 hours"),
        ([], "no period of 8 hours"),
    ],
)
def test_study__wrong_hours__are_refused(hours, fact):
    with pytest.raises(StudyRefused, match=fact):
        study(hours)


# When it is poked


def test_poked__price_stands_still__pokes_change_nothing():
    hours = path([20] * 9)
    for pokes in (never, hourly, at_random(np.random.default_rng(1))):
        assert poked(hours, pokes) * BP == pytest.approx([15], abs=1e-9)


def test_poked__price_moves__only_a_poke_takes_it_up():
    hours = path([20] * 9, [1_000.0] * 4 + [1_100.0] * 5)
    assert poked(hours, never) * BP == pytest.approx([15])
    assert poked(hours, hourly) * BP == pytest.approx([15 * (4 * 1 + 4 * 1.1) / 8])
    six = 6 * HOUR_SECS
    assert poked(hours, lambda: [six]) * BP == pytest.approx([15 * (6 * 1 + 2 * 1.1) / 8])


def test_poked__premium_moves__is_not_seen_until_somebody_trades():
    """Growth depends on pokes through S only: K stands still between trades."""
    assert poked(path([20] + [0] * 8), hourly) * BP == pytest.approx([15])


@pytest.mark.parametrize("premium", [0.002, -0.002])
def test_poke__same_price_and_skew__costs_a_long_less_than_a_wei_each(premium):
    """A payer's growth rounds up and a receiver's down at each touch, in the venue's favour."""
    hour = MarketHour(closes_at=MIDNIGHT, spot=1_999.99, perp=2_000.0)
    once, often = DrivenVenue(hour), DrivenVenue(hour)
    for driven in (once, often):
        driven.follow(premium, MIDNIGHT)
    for secs in range(7, FUNDING_SECS, 611):
        often.poke(MIDNIGHT + secs)
    for driven in (once, often):
        driven.poke(MIDNIGHT + FUNDING_SECS)
    pokes = len(range(7, FUNDING_SECS, 611))
    assert 0 <= often.long_index_wad - once.long_index_wad <= pokes


def test_follow__premium_out_of_reach__is_refused():
    driven = DrivenVenue(MarketHour(closes_at=MIDNIGHT, spot=SPOT, perp=SPOT))
    with pytest.raises(StudyRefused, match=r"cannot reach a premium of \+0.4900"):
        driven.follow(0.49, MIDNIGHT)


# Statistics


def test_fit__chosen_numbers():
    ours, paid = np.array([1e-4, 3e-4, -2e-4, np.nan]), np.array([1e-4, 1e-4, -1e-4, 9.0])
    row = fit(ours, paid)
    assert (row.n, row.at_interest, row.negative) == (3, 1 / 3, 1 / 3)
    assert row.paid_at_interest == 2 / 3
    assert row.mean == pytest.approx(2 / 3)
    assert row.mean_error == pytest.approx((0 + 2 - 1) / 3)
    assert row.rmse == pytest.approx(math.sqrt((0 + 4 + 1) / 3))
    # Deviations (1/3, 7/3, -8/3) and (2/3, 2/3, -4/3): 48/9 over sqrt(114/9 * 24/9).
    assert row.correlation == pytest.approx(48 / math.sqrt(114 * 24))
    assert math.isnan(fit(np.full(3, 1e-4), paid[:3]).correlation)


def test_shrunk__takes_the_spread_from_both_sides():
    assert shrunk(np.array([3.0, 0.5, -0.5, -3.0]), 1.0).tolist() == [2.0, 0.0, 0.0, -2.0]


def test_ladder__exchange_by_its_own_rule__leaves_nothing():
    """Premiums linear in each hour, paid by the rule with a spread of 1.5 bp: it is found."""
    chance = np.random.default_rng(3)
    premiums = chance.normal(0, 15, (60, 1)) * np.ones(9) / BP
    periods = _periods(premiums)
    paid = periods.premiums[:, 0]
    index = np.sign(paid) * np.maximum(0, np.abs(paid) - 1.5 / BP)
    paid = np.clip(index + np.clip(1 / BP - index, -5 / BP, 5 / BP), -20 / BP, 20 / BP)
    periods = replace(periods, paid=paid)
    assert half_spreads(periods, 20 / BP) == {2020: pytest.approx(1.5 / BP)}
    rungs = ladder(periods, 20 / BP)
    assert fit(rungs["+ impact spread, fitted"], paid).rmse == pytest.approx(0, abs=1e-9)
    assert fit(rungs["+ the exchange's cap"], paid).rmse > 0.5


def test_sampling_error__white_noise_of_8_bp__is_the_error_of_a_weighted_mean():
    """Far over the clamp f = p - 5, so the error is 8 bp * sqrt(sum of squared weights)."""
    premiums = (40 + np.random.default_rng(5).normal(0, 8, (20_000, 9))) / BP
    expected = 8 * math.sqrt(sum(w**2 for w in range(1, 9))) / 36
    assert sampling_error(_periods(premiums)) == pytest.approx(expected, rel=0.03)


def _periods(premiums):
    n = len(premiums)
    return Periods(
        ends_at=MIDNIGHT + FUNDING_SECS + np.zeros(n, dtype=np.int64),
        paid=np.zeros(n),
        charged=np.zeros(n),
        premiums=premiums,
        over_mark=premiums,
        halted=np.zeros(n, dtype=bool),
    )


# The real files


@lru_cache
def real(coin):
    found = sorted(FOLDER.glob(f"{coin.lower()}_binance_1h_*.csv.gz"))
    if not found:
        pytest.skip(f"no hourly file of {coin} in ../shared/data")
    return study(read_hours(found[0], FIRST_DAY, LAST_DAY))


@pytest.mark.parametrize(
    ("coin", "percent_a_year"),
    [("ETH", [27.7, 37.5, 0.8, 8.3, 13.0, 4.9]), ("BTC", [16.8, 30.6, 4.2, 7.9, 11.9, 5.1])],
)
def test_real__paid__agrees_with_the_notes(coin, percent_a_year):
    """Means of quant.md, section 3, by the year of the stamp; its 2020 begins in February."""
    periods = real(coin)
    stamps = periods.ends_at.astype("datetime64[s]").astype("datetime64[Y]").astype(int) + 1970
    means = [
        periods.paid[(stamps == year) & (periods.ends_at >= BEGIN_OF_NOTES)].mean() * 109_500
        for year in range(2020, 2026)
    ]
    assert means == pytest.approx(percent_a_year, abs=0.051)


@pytest.mark.parametrize(
    ("coin", "correlations", "errors"),
    [
        ("ETH", [0.938, 0.936, 0.891, 0.905, 0.923, 0.730], [1.56, 1.87, 1.10, 0.37, 0.53, 0.36]),
        ("BTC", [0.933, 0.955, 0.854, 0.886, 0.939, 0.783], [1.38, 1.17, 0.50, 0.36, 0.47, 0.28]),
    ],
)
def test_real__venue_by_year__as_recorded(coin, correlations, errors):
    periods = real(coin)
    assert periods.halted.sum() == 19
    kept = periods.where(~periods.halted)
    years = [kept.where(kept.years == year) for year in range(2020, 2026)]
    fits = [fit(year.charged, year.paid) for year in years]
    assert [row.n for row in fits] == [1088, 1087, 1095, 1094, 1098, 1095]
    assert [row.correlation for row in fits] == pytest.approx(correlations, abs=0.0006)
    assert [row.rmse for row in fits] == pytest.approx(errors, abs=0.006)


@pytest.mark.parametrize(
    ("coin", "ours", "theirs", "seen"), [("ETH", 1.130, 0.737, 0.762), ("BTC", 0.810, 0.534, 0.549)]
)
def test_real__their_rule__leaves_what_hourly_closes_cannot_see(coin, ours, theirs, seen):
    """RMSE of our rule, of theirs on hourly closes, and of the sampling alone, bp per 8 h."""
    periods = real(coin)
    kept = periods.where(~periods.halted)
    rungs = ladder(kept, EXCHANGE_CAPS[coin])
    assert fit(rungs["our venue"], kept.paid).rmse == pytest.approx(ours, abs=0.0006)
    left = fit(rungs["+ impact spread, fitted"], kept.paid).rmse
    assert left == pytest.approx(theirs, abs=0.0006)
    assert sampling_error(kept) == pytest.approx(seen, abs=0.0006)
    assert fit(comparators(kept)["perp over mark, clamped last"], kept.paid).correlation < 0.4
