# SPDX-License-Identifier: MIT
"""Volatility forecasts, tails and target ratios on the real files: tables and a figure."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from keeper.band import BandTerms, joint_band, target_band
from keeper.report import BLUE, GREY, ORANGE, RED, STYLE
from keeper.simulation.risk.band_study import running_cost
from keeper.simulation.risk.effectiveness import variance_reduction
from keeper.simulation.risk.estimates import outlook_variances
from keeper.simulation.risk.garch import MIN_RETURNS, garch_ratios, garch_variances
from keeper.simulation.risk.margin_forecast import (
    gaussian_quantile,
    move_law,
    windows,
)
from keeper.simulation.risk.ratios import (
    CARRY_SETTLEMENTS,
    Bounds,
    bounded_path,
    carry_ratio,
    ewma_ratios,
    expected_carry,
    ols_ratios,
    static_ratios,
    volatility_ratio,
)
from keeper.simulation.risk.series import years_of
from keeper.simulation.risk.volatility import (
    BURN_IN,
    CALENDAR_HAR,
    HAR,
    HOURS,
    LOG_HAR,
    days,
    ewma,
    last_day,
    moving_average,
    qlike,
    regression_forecasts,
)
from keeper.units import BPS, WAD
from tests.real_hours import COINS, sample

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/bench"
FIRST = BURN_IN + 500
DAY, A_YEAR = 86_400, 365.25
LEVELS = (0.9, 0.99, 0.999)
HORIZONS = (1, 8, 24)  # hours
WAYS = {"rise, hurts a short": 1, "fall, hurts a long": -1}

# Said before the strategies were run: what the contract allows, and common choices.
BOUNDS = Bounds(lowest_bps=8_000, highest_bps=12_000)
AVERSION = 4.0
LEFT = 0.10  # volatility a year that the volatility-aware hedge leaves
MOST = 0.20
COST = 10e-4  # of notional traded: taker fee 5 bp, slippage 5 bp


def forecasts(coin):
    """Return realised variances and the forecasts of them by name, day `FIRST` to the last."""
    rows = sample(coin)
    history = days(rows.closes_at, rows.perp)
    realised = history.variances
    named = {
        "last day": last_day(realised)[FIRST:],
        "mean of 30 days": moving_average(realised)[FIRST:],
        "EWMA 0.94 of RV": ewma(realised)[FIRST:],
        "EWMA 0.94 of daily r2": ewma(history.returns**2)[FIRST:],
        "GARCH(1,1), daily": garch_variances(history.returns, FIRST)[:-1],
    }
    live = outlook_variances(rows)[-1 - HOURS * realised.size :: HOURS][:-1] / 365
    named["live outlook"] = live[FIRST:]
    for form in (HAR, LOG_HAR, CALENDAR_HAR):
        named[form.name] = regression_forecasts(history, form, FIRST)[:-1]
    return history, named


def test_volatility__qlike_by_forecast() -> None:
    """Mean loss over 1,631 days, its halves, and the years."""
    for coin in COINS:
        history, named = forecasts(coin)
        realised, years = history.variances[FIRST:], years_of(history.begins_at[FIRST:])
        half = realised.size // 2
        found = np.unique(years)
        print(f"\n{coin}: mean QLIKE, {realised.size} days out of sample")
        print(
            f"{'':24}{'all':>8}{'1st half':>10}{'2nd half':>10}" + "".join(f"{y:8d}" for y in found)
        )
        for name, forecast in named.items():
            loss = qlike(realised, forecast)
            parts = "".join(f"{loss[years == year].mean():8.3f}" for year in found)
            print(
                f"{name:24}{loss.mean():8.3f}{loss[:half].mean():10.3f}"
                f"{loss[half:].mean():10.3f}{parts}"
            )


def test_margin__gaussian_and_real_tails() -> None:
    """Share of windows beyond each law's quantile, second half; the law is of the first."""
    print("\nshare of windows beyond the quantile that 10 %, 1 % and 0.1 % should exceed")
    print(f"{'':34}{'n':>7}{'xi':>7}{'fitted law':>24}{'normal diffusion':>26}")
    eight = {}
    for coin in COINS:
        for length in HORIZONS:
            found = windows(sample(coin), length, FIRST)
            if length == 8:
                eight[coin] = found
            for name, direction in WAYS.items():
                moves = found.standardised(direction)
                law, later = move_law(moves[: moves.size // 2]), moves[moves.size // 2 :]
                ours = "".join(f"{np.mean(later > law.quantile(p)):8.2%}" for p in LEVELS)
                normal = "".join(f"{np.mean(later > gaussian_quantile(p)):8.2%}" for p in LEVELS)
                label = f"{coin} {length:2d} h, {name}"
                print(f"{label:34}{later.size:7d}{law.tail.shape:7.2f}{ours}  {normal}")
    print_headroom(eight)
    path = BUILD / "margin_tails.png"
    draw(eight, path)
    print(f"\n{path.relative_to(ROOT)}")


def print_headroom(found):
    """What a short needs for 8 hours: as forecast, or one constant for all times."""
    print("\nheadroom of a short for 8 h, second half, law of the first")
    fields = ("windows", "mean", "calls", "same mean", "calls", "same calls", "mean")
    print(f"{'':14}" + "".join(f"{name:>12}" for name in fields))
    for coin, each in found.items():
        moves, half = each.standardised(1), each.rises.size // 2
        later = each.where(each.begins_at >= each.begins_at[half])
        rises = np.expm1(later.rises)
        for probability in (0.99, 0.999):
            quantile = move_law(moves[:half]).quantile(probability)
            asked = np.expm1(quantile * later.deviations)
            calls, mean = int(np.sum(rises > asked)), asked.mean()
            constant = float(np.sort(rises)[-calls - 1])
            print(
                f"{coin} {1 - probability:8.1%}  {rises.size:12d}{mean:12.2%}{calls:12d}"
                f"{mean:12.2%}{np.sum(rises > mean):12d}{calls:12d}{constant:12.2%}"
            )


def draw(found, path):
    """One row a coin: the tail of rises in 8 hours, and the headroom that 0.1 % asks for."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12.0, 3.6 * len(found)), layout="constrained")
        grid = figure.subplots(len(found), 2, width_ratios=(1.0, 1.7), squeeze=False)
        for (coin, each), (tail, headroom) in zip(found.items(), grid, strict=True):
            moves = each.standardised(1)
            half = moves.size // 2
            law, later = move_law(moves[:half]), np.sort(moves[half:])
            draw_tail(tail, coin, law, later)
            draw_headroom(headroom, coin, law, each.where(each.begins_at >= each.begins_at[half]))
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)


def draw_tail(axes, coin, law, later):
    x = np.linspace(0.5, 10.0, 200)
    shares = 1.0 - np.arange(1, later.size + 1) / later.size
    axes.semilogy(later[:-1], shares[:-1], ".", color=GREY, ms=4, label="seen, second half")
    axes.semilogy(x, [law.exceedance(z) for z in x], color=BLUE, label="fitted on the first half")
    axes.semilogy(x, [math.erfc(z / math.sqrt(2)) for z in x], "--", color=RED, label="normal")
    axes.set(xlim=(0.5, 10.0), ylim=(1e-4, 1.0))
    axes.set_xlabel("largest rise in 8 h, forecast deviations")
    axes.set_ylabel("share beyond")
    axes.set_title(f"{coin}: tail of the rise that hurts a short", loc="left")
    axes.legend(loc="upper right")


def draw_headroom(axes, coin, law, found):
    at = found.begins_at.astype("datetime64[s]")
    fitted = np.expm1(law.quantile(0.999) * found.deviations)
    normal = np.expm1(gaussian_quantile(0.999) * found.deviations)
    seen = np.expm1(found.rises)
    axes.plot(at, seen, ".", color=GREY, ms=2.5, label="largest rise of mark")
    axes.plot(at, fitted, color=BLUE, lw=1.0, label="0.1 %, fitted law")
    axes.plot(at, normal, color=RED, lw=1.0, label="0.1 %, normal")
    over = seen > normal
    axes.plot(at[over], seen[over], ".", color=ORANGE, ms=5)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(0.0, 1.2 * fitted.max())
    axes.set_title(
        f"{coin}: headroom for 8 h; beyond the normal line {over.sum()} times, beyond the fitted "
        f"{np.sum(seen > fitted)}, expected {0.001 * seen.size:.1f}",
        loc="left",
        fontsize=9.5,
    )
    axes.legend(loc="upper right", ncols=3)


def daily(coin):
    """Return simple daily returns of spot and perp, funding of each day, known variances."""
    rows = sample(coin)
    history = days(rows.closes_at, rows.perp)
    variances = regression_forecasts(history, CALENDAR_HAR, FIRST)[:-1]
    closes = rows.every(DAY)
    settled = rows.settlements()
    inside = np.searchsorted(closes.closes_at, settled.closes_at) - 1  # the day that it ends in
    funding = np.zeros(closes.spot.size - 1)
    paid = inside >= 0
    np.add.at(funding, inside[paid], settled.funding_rate[paid])
    returns = (np.diff(each) / each[:-1] for each in (closes.spot, closes.perp))
    return (*returns, funding, variances, settled)


def wanted(coin, spot, perp, variances, settled):
    """Return the ratios that each strategy asks for on the days from `FIRST` on."""
    count = spot.size
    known = [settled.funding_rate[: 1 + 3 * i] for i in range(FIRST, count)]
    carry = [expected_carry(rates, CARRY_SETTLEMENTS) * 1_095 for rates in known]
    a_year = variances * A_YEAR
    return {
        "static": static_ratios(count)[FIRST:],
        "OLS, 90 days": ols_ratios(spot, perp)[FIRST:],
        "EWMA 0.94": ewma_ratios(spot, perp)[FIRST:],
        "GARCH": garch_ratios(spot, perp, max(FIRST, MIN_RETURNS))[FIRST:],
        "carry-aware": np.array(
            [carry_ratio(f, v, AVERSION) for f, v in zip(carry, a_year, strict=True)]
        ),
        "volatility-aware": np.array([volatility_ratio(v**0.5, LEFT, MOST) for v in a_year]),
    }


def test_ratios__by_strategy() -> None:
    """Daily, costs on changes of the ratio; halts of spot at midnight: none on these files."""
    print(f"\n{AVERSION=} {LEFT=} {MOST=} cost {COST:.2%} of what is traded, {BOUNDS}")
    fields = "HE", "return", "deviation", "drawdown", "funding", "traded", "mean h"
    for coin in COINS:
        spot, perp, funding, variances, settled = daily(coin)
        print(f"{coin:20}" + "".join(f"{name:>11}" for name in fields) + "   a year, of NAV")
        for name, ratios in wanted(coin, spot, perp, variances, settled).items():
            path = bounded_path(ratios, BPS, BOUNDS) / BPS
            held, hedge, got = spot[FIRST:], perp[FIRST:], path * funding[FIRST:]
            traded = np.abs(np.diff(path, prepend=1.0))
            result = held - path * hedge + got - COST * traded
            worth = np.cumprod(1.0 + result)
            fall = float(np.max(1.0 - worth / np.maximum.accumulate(worth)))
            print(
                f"{name:20}{variance_reduction(held, hedge, path):11.5f}"
                f"{result.mean() * A_YEAR:11.2%}{result.std() * A_YEAR**0.5:11.2%}{fall:11.2%}"
                f"{got.mean() * A_YEAR:11.2%}{traded.sum() * A_YEAR / held.size:11.2f}"
                f"{path.mean():11.3f}"
            )


def test_band__by_cost_of_gas() -> None:
    """Bands in bps for a vault of 1 m at 60 % volatility, hedged by half (its worst drift)."""
    print("\nband in bps and its cost a year in bp of NAV, hedge ratio 0.5, volatility 60 %")
    fields = ("gas, USD", "fee, bp", "trigger", "target", "J", "to target", "J")
    print("".join(f"{name:>10}" for name in fields))
    for gas in (0.0, 0.5, 5.0, 50.0, 1_600.0):
        for fee in (2.0, 10.0):
            terms = BandTerms(
                fixed_wad=round(gas / 1e6 * WAD),
                proportional_wad=round(fee / 1e4 * WAD),
                drift_variance_wad=round(0.0625 * 0.36 * WAD),
                risk_wad=round(AVERSION * 0.36 * WAD),
            )
            free, fixed = joint_band(terms), target_band(terms)
            print(
                f"{gas:10.1f}{fee:10.0f}{free.trigger_bps():10d}{free.target_bps():10d}"
                f"{running_cost(free, terms).total * 1e4:10.2f}{fixed.trigger_bps():10d}"
                f"{running_cost(fixed, terms).total * 1e4:10.2f}"
            )
