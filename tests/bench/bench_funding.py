# SPDX-License-Identifier: MIT
"""Funding of our venue against funding paid: table and figure; asserts nothing."""

from __future__ import annotations

import datetime
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from keeper.report import BLUE, GREY, ORANGE, STYLE
from keeper.simulation.funding_study import (
    BP,
    EXCHANGE_CAPS,
    FIRST_DAY,
    LAST_DAY,
    Periods,
    at_random,
    comparators,
    fit,
    half_spreads,
    hourly,
    ladder,
    never,
    poked,
    sampling_error,
    study,
)
from keeper.simulation.market import FUNDING_SECS
from keeper.simulation.market_file import read_hours

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT.parent / "shared/data"
BUILD = ROOT / "build/bench"
SEED = 20_251_231
WHOLE = "all"
FIELDS = (
    f"{'':34}{'n':>6}{'mean':>8}{'paid':>8}{'corr':>7}{'error':>8}{'RMSE':>7}"
    f"{'at 1 bp':>9}{'paid':>6}{'< 0':>7}{'paid':>6}"
)


def file_of(coin: str) -> Path:
    found = sorted(FOLDER.glob(f"{coin.lower()}_binance_1h_*.csv.gz"))
    if not found:
        pytest.skip(f"no hourly file of {coin} in ../shared/data")
    return found[0]


def line(name: str, ours, paid) -> str:
    row = fit(ours, paid)
    return (
        f"{name:34}{row.n:6d}{row.mean:8.3f}{row.paid:8.3f}{row.correlation:7.3f}"
        f"{row.mean_error:+8.3f}{row.rmse:7.3f}{row.at_interest:9.1%}{row.paid_at_interest:6.0%}"
        f"{row.negative:7.1%}{row.paid_negative:6.0%}"
    )


def by_year(periods: Periods) -> dict[str, Periods]:
    years = {str(year): periods.where(periods.years == year) for year in np.unique(periods.years)}
    return {**years, WHOLE: periods}


def print_fits(coin: str, periods: Periods, halted: int) -> None:
    print(f"\n{coin}: our venue against what was paid, bp per 8 h ({halted} periods halted)")
    print(FIELDS)
    for name, chosen in by_year(periods).items():
        print(line(name, chosen.charged, chosen.paid))
    print("simple rules, all years")
    for name, rates in comparators(periods).items():
        print(line(name, rates, periods.paid))
    print("from our rule to theirs, all years")
    for name, rates in ladder(periods, EXCHANGE_CAPS[coin]).items():
        print(line(name, rates, periods.paid))


def print_rest(coin: str, periods: Periods) -> None:
    """RMSE by year along the ladder, the fitted spread, and what hourly closes cannot see."""
    print(f"{coin}: RMSE by year, bp per 8 h")
    parts = by_year(periods)
    print(f"{'':34}" + "".join(f"{name:>8}" for name in parts))
    rungs = {name: ladder(part, EXCHANGE_CAPS[coin]) for name, part in parts.items()}
    for rung in rungs[WHOLE]:
        errors = [fit(rungs[name][rung], part.paid).rmse for name, part in parts.items()]
        print(f"{rung:34}" + "".join(f"{error:8.3f}" for error in errors))
    seen = [sampling_error(part) for part in parts.values()]
    print(f"{'of this, 8 samples not 5,760':34}" + "".join(f"{error:8.3f}" for error in seen))
    spreads = half_spreads(periods, EXCHANGE_CAPS[coin]).values()
    print(f"{'fitted half spread':34}" + "".join(f"{spread * BP:8.1f}" for spread in spreads))
    worst = np.argsort(-np.abs(periods.charged - periods.paid))[:5]
    share = np.sum((periods.charged - periods.paid)[worst] ** 2)
    share /= np.sum((periods.charged - periods.paid) ** 2)
    print(f"five worst periods, {share:.0%} of the squared error:")
    for i in worst:
        at = datetime.datetime.fromtimestamp(int(periods.ends_at[i]), datetime.UTC)
        ours, paid = periods.charged[i] * BP, periods.paid[i] * BP
        print(f"  {at:%Y-%m-%d %H}h  ours {ours:+8.2f}  paid {paid:+8.2f}")


def print_pokes(coin: str, hours) -> None:
    """What depends on when it is poked, the skew held for 8 hours."""
    base = poked(hours, hourly)
    print(f"{coin}: growth of the long index over 8 h, less that with a poke each hour, bp of S")
    chance = np.random.default_rng(SEED)
    for name, pokes in (("poked each 8 h", never), ("3 pokes at random", at_random(chance))):
        gap = (poked(hours, pokes) - base) * BP
        print(
            f"{name:34}mean {gap.mean():+.5f}, RMSE {np.sqrt(np.mean(gap**2)):.4f}, "
            f"99 % within {np.quantile(np.abs(gap), 0.99):.3f}, worst {np.abs(gap).max():.2f}, "
            f"sum over the years {gap.sum():+.1f} of {base.sum() * BP:+,.0f}"
        )


def monthly(periods: Periods, rates):
    begins = (periods.ends_at - FUNDING_SECS).astype("datetime64[s]")
    months = begins.astype("datetime64[M]")
    found = np.unique(months)
    return found, np.array([rates[months == month].mean() for month in found]) * BP


def draw(studies: dict[str, Periods], path: Path) -> None:
    """One row a coin: monthly means over time, and every period as a point."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12.0, 3.8 * len(studies)), layout="constrained")
        grid = figure.subplots(len(studies), 2, width_ratios=(2.2, 1.0), squeeze=False)
        for (coin, periods), (over_time, points) in zip(studies.items(), grid, strict=True):
            for rates, name, colour, style in (
                (periods.paid, "paid at Binance", ORANGE, "-"),
                (periods.charged, "our venue", BLUE, "--"),
            ):
                months, means = monthly(periods, rates)
                over_time.plot(months, means, style, color=colour, label=name, lw=1.6)
            over_time.set_title(f"{coin}: funding by month", loc="left")
            over_time.set_ylabel("bp per 8 h, mean")
            over_time.legend(loc="upper right")
            row = fit(periods.charged, periods.paid)
            ends = np.array([-42, 42])
            points.plot(ends, ends, color=GREY, lw=0.8)
            points.scatter(
                periods.paid * BP, periods.charged * BP, s=7, alpha=0.25, color=BLUE, lw=0
            )
            outside = int(np.sum(np.abs(periods.charged * BP) > 42))
            points.set(xlim=ends, ylim=ends, aspect="equal")
            points.set_xlabel("paid, bp per 8 h")
            points.set_ylabel("our venue, bp per 8 h")
            points.set_title(
                f"each 8 h: correlation {row.correlation:.2f}, RMSE {row.rmse:.2f} bp\n"
                f"({outside} of {row.n:,} beyond the frame)",
                loc="left",
                fontsize=9.5,
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)


def test_funding__against_what_was_paid() -> None:
    """Print the figures and draw them."""
    studies = {}
    for coin in EXCHANGE_CAPS:
        hours = read_hours(file_of(coin), FIRST_DAY, LAST_DAY)
        periods = study(hours)
        studies[coin] = periods.where(~periods.halted)
        print_fits(coin, studies[coin], int(periods.halted.sum()))
        print_rest(coin, studies[coin])
        print_pokes(coin, hours)
    path = BUILD / "funding.png"
    draw(studies, path)
    print(f"\n{path.relative_to(ROOT)}")
