# SPDX-License-Identifier: MIT
"""
Strategies on ETH, BTC and ADA 2020-2025 in the exact engine, after all costs; prints tables.

Said before anything was run: what is fitted (band, quantile of the margin's tail) is fitted on the
hours to the end of 2022 and judged on 2023-2025; ratios use each day's past only; aversion 4, 10 %
of volatility left and at most 20 % of the coin, ratio between 80 and 120 %, as in `bench_risk`.
The base is the default policy: ratio 1, trigger 150 bps, trade to the target. A vault of a million
on a venue with the default terms; gas is the vault's, at the price of ether on the day; the owner's
own calls are not counted.
"""

from __future__ import annotations

import csv
import datetime
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from keeper.policy import Policy
from keeper.ratio import Strategy
from keeper.simulation.backtest import defaults
from keeper.simulation.backtest.compare import Judged, compared, judged, scatter
from keeper.simulation.backtest.engine import Run, backtest
from keeper.simulation.backtest.figures import aligned
from keeper.simulation.backtest.scenarios import fastest, squeeze_outage
from keeper.simulation.market_file import read_hours
from keeper.simulation.risk.advice import advised, band_terms, drift_variance_a_year
from keeper.simulation.risk.estimates import outlook_windows
from keeper.simulation.risk.garch import garch_ratios
from keeper.simulation.risk.margin_forecast import move_law
from keeper.simulation.risk.ratios import ols_ratios
from keeper.simulation.risk.series import log_returns, series
from keeper.units import BPS
from tests.bench.bench_risk import BUILD
from tests.real_hours import COINS, FOLDER

BASE = Policy()
SPLIT_AT = int(datetime.datetime(2023, 1, 1, tzinfo=datetime.UTC).timestamp())
FIRST_DAY, LAST_DAY = datetime.date(2020, 2, 1), datetime.date(2025, 12, 31)
AVERSION = 4.0
COST_RATE = 10e-4
CALL, HORIZON = 0.001, 8  # probability of a call within hours
VALUE = 1e6  # of the vault at the start, quote
SCALES = {"ETH": 10, "BTC": 1, "ADA": 100_000}  # so that it moves no market by more than 0.3 %
LEAST_BPS = 10  # change of a minimum variance ratio; of the others 50, the default
PEER = (1_000_000.0, 1_938_654.0)  # fractal-defi HyperliquidBasis, quant.md section 9
DAY = 86_400
FIXED, NINETY = "static, fixed band", "90 %, fixed band"


def ether_gas():
    """Return gwei and the price of ether by day."""
    with (FOLDER / "eth_gas_daily_2019-09_2025-12.csv").open() as file:
        return {
            row["date_utc"]: (float(row["avg_gas_price_gwei"]), float(row["eth_usd"]))
            for row in csv.DictReader(file)
        }


@lru_cache
def hours_of(coin, first=FIRST_DAY):
    """Return the hours with gas in the coin's own value: gwei of ether over its price."""
    files = sorted(FOLDER.glob(f"{coin.lower()}_binance_1h_*.csv.gz"))
    if not files:
        pytest.skip(f"no hourly file of {coin} in ../shared/data")
    gas = ether_gas()
    priced = []
    for hour in read_hours(files[0], first, LAST_DAY):
        day = datetime.datetime.fromtimestamp(hour.closes_at - 1, datetime.UTC).date()
        gwei, ether = gas[day.isoformat()]
        priced.append(replace(hour, gas_gwei=gwei * ether / hour.spot))
    return priced


def setup_of(coin, price):
    base = defaults.scaled(defaults.setup(), SCALES[coin])
    identity = replace(base.identity, min_hedge_ratio_bps=8_000)
    deposit = round(VALUE / price * defaults.ASSET_UNIT)
    return replace(base, identity=identity, deposit=deposit)


def early(hours):
    return [hour for hour in hours if hour.closes_at < SPLIT_AT]


def fitted_band(coin, base):
    """
    Return the policy with the joint band of the first years of a vault hedged by nine tenths.

    At a ratio of 1 the price alone moves no drift (quant.md 4), so there a band decides nothing.
    """
    rows = base.closes_at < SPLIT_AT
    nav, spot = base.column("nav")[rows], base.spot[rows]
    drifts = base.column("delta")[rows] * spot / nav - 1.0 + base.column("ratio")[rows]
    traded = np.diff(base.column("rebalances")[rows], prepend=0.0) > 0
    variance = float(np.var(np.diff(np.log(spot)))) * 8_766
    plans = base.column("rebalances")[rows][-1] + base.column("top_ups")[rows][-1]
    terms = band_terms(
        gas_share=base.column("gas")[rows][-1] / plans / float(nav.mean()),
        cost_rate=COST_RATE,
        drift_variance=drift_variance_a_year(drifts, base.closes_at[rows], traded),
        aversion=AVERSION,
        variance=variance,
    )
    policy = advised(BASE, terms, BASE.distance_low_bps, 100, 500)
    print(f"{coin}: joint band {policy.trigger_bps} / {policy.target_bps} bps of {terms}")
    return policy


def fitted_margin(coin, hours):
    """Return the policy whose margin follows the forecast, by the tail of the first years."""
    law = move_law(outlook_windows(series(early(hours)), HORIZON).standardised(1))
    deviations = law.quantile(1 - CALL)
    print(f"{coin}: a call in {HORIZON} h has {CALL:.1%} at {deviations:.2f} deviations")
    return replace(
        BASE, headroom_deviations_bps=round(deviations * BPS), headroom_secs=HORIZON * 3_600
    )


def scheduled(hours, ratios_of):
    """Return the midnights at which a ratio of the past closes is wanted, bps."""
    closes = series(hours).every(DAY)
    spot, perp = np.nan_to_num(log_returns(closes.spot)), np.nan_to_num(log_returns(closes.perp))
    ratios = ratios_of(np.append(spot, 0.0), np.append(perp, 0.0))  # the last is for tomorrow
    known = zip(closes.closes_at.tolist(), ratios.tolist(), strict=True)
    return tuple((at, round(ratio * BPS)) for at, ratio in known if np.isfinite(ratio))


def strategies(coin, hours):
    live = {"carry": Strategy.CARRY, "volatility": Strategy.VOLATILITY}
    near = replace(BASE, least_ratio_change_bps=LEAST_BPS)
    return {
        "margin by forecast": Run(policy=fitted_margin(coin, hours)),
        "OLS, 90 days": Run(policy=near, ratios=scheduled(hours, ols_ratios)),
        "GARCH": Run(policy=near, ratios=scheduled(hours, lambda s, f: garch_ratios(s, f, 365))),
        "EWMA, 90 days": Run(
            policy=replace(near, ratio_strategy=int(Strategy.MINIMUM_VARIANCE)), advised=True
        ),
        **{
            name: Run(policy=replace(BASE, ratio_strategy=int(strategy)), advised=True)
            for name, strategy in live.items()
        },
    }


@lru_cache
def results(coin):
    """Return the result of each strategy."""
    hours = hours_of(coin)
    setup = setup_of(coin, hours[0].spot)
    found = {FIXED: backtest(hours, Run(policy=BASE), setup)}
    for name, run in strategies(coin, hours).items():
        found[name] = backtest(hours, run, setup)
    ninety = ((hours[0].closes_at, 9_000),)
    found[NINETY] = backtest(hours, Run(policy=BASE, ratios=ninety), setup)
    joint = Run(policy=fitted_band(coin, found[NINETY]), ratios=ninety)
    found["90 %, joint band"] = backtest(hours, joint, setup)
    return found


def funded_by_file(coin):
    """Return the base with the exchange's own settlements."""
    hours = hours_of(coin)
    return backtest(hours, Run(policy=BASE, file_funding=True), setup_of(coin, hours[0].spot))


@pytest.mark.parametrize("coin", COINS)
def test_strategies__by_year_and_out_of_sample(coin):
    print()
    found = results(coin)
    funded = {f"{FIXED}, rates of the file": funded_by_file(coin)}
    for name, result in (found | funded).items():
        print(f"\n{coin}, {name}")
        print(aligned(compared({each.name: each for each in judged(result, SPLIT_AT)})))
    out = {name: judged(result, SPLIT_AT)[-1] for name, result in found.items()}
    for base in (FIXED, NINETY):
        rows = {
            name: each for name, each in out.items() if name.startswith("90") == (base != FIXED)
        }
        print(f"\n{coin}, out of sample, 2023-2025, gain over {base}")
        beside = {"base": found[base], "results": found, "since": SPLIT_AT, "aversion": AVERSION}
        print(aligned(compared(rows, **beside)))
    path = BUILD / f"strategies_{coin.lower()}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(scatter(out, f"{coin} 2023-2025: what a strategy costs and what it leaves"))
    assert all(isinstance(each, Judged) and each.liquidations == 0 for each in out.values())


@pytest.mark.parametrize("coin", ["ETH", "BTC"])
def test_stress_windows__static_and_margin_by_forecast(coin):
    """All 25 windows inside the runs of six years, so with the state that a vault had then."""
    found = results(coin)
    names = (FIXED, "margin by forecast")
    print(f"\n{coin:24}{'spot':>9}" + "".join(f"{name:>44}" for name in names))
    heads = f"{'vault':>9}{'at mark':>9}{'plans':>7}{'margin':>8}{'least':>7}{'liq':>4}"
    print(" " * 33 + heads * len(names))
    with (FOLDER / "stress_windows.csv").open() as file:
        events = [row for row in csv.DictReader(file) if row["coin"] == coin]
    assert len(events) == 25
    for row in events:
        start, end = (
            int(datetime.datetime.fromisoformat(row[key]).timestamp())
            for key in ("start_utc", "end_utc")
        )
        line = ""
        for name in names:
            result = found[name]
            i, j = np.searchsorted(result.closes_at, (start, end))
            part = {key: result.column(key)[i : j + 1] for key in
                    ("nav", "marked", "rebalances", "top_ups", "liquidations", "equity",
                     "maintenance")}  # fmt: skip
            least = np.min(part["equity"] / part["maintenance"])
            grown = [int(part[key][-1] - part[key][0]) for key in
                     ("rebalances", "top_ups", "liquidations")]  # fmt: skip
            line += (
                f"{part['nav'][-1] / part['nav'][0] - 1:+9.2%}"
                f"{part['marked'][-1] / part['marked'][0] - 1:+9.2%}"
                f"{grown[0]:7d}{grown[1]:8d}{least:7.1f}{grown[2]:4d}"
            )
        spot = found[names[0]].spot[i : j + 1]
        print(f"{row['event']:24}{spot[-1] / spot[0] - 1:+9.1%}{line}")


@pytest.mark.parametrize("coin", COINS)
def test_squeeze__keeper_down_in_the_fastest_day(coin):
    """Sixty days around the fastest 24 hours up; margin of before must do."""
    hours = hours_of(coin)
    middle = fastest(hours, 24, up=True)
    around = hours[max(middle - 60 * 24, 0) : middle + 30 * 24]
    down = squeeze_outage(around, 24)
    setup = setup_of(coin, around[0].spot)
    day = datetime.datetime.fromtimestamp(down[0], datetime.UTC)
    rise = max(hour.spot for hour in around if down[0] <= hour.closes_at < down[1])
    start = next(hour.spot for hour in around if hour.closes_at == down[0])
    print(f"\n{coin}: down from {day:%Y-%m-%d %H:%M}, the price rises by {rise / start - 1:.1%}")
    for name, policy in {
        FIXED: BASE,
        "margin by forecast": replace(
            fitted_margin(coin, hours), headroom_secs=DAY, volatility_bps=8_000
        ),
    }.items():
        result = backtest(around, Run(policy=policy, outages=(down,)), setup)
        least = np.nanmin(result.column("equity") / np.maximum(result.column("maintenance"), 1e-9))
        print(
            f"{name:24} least margin ratio {least:5.1f}, liquidations "
            f"{result.tally.liquidations}, lost {result.column('losses')[-1] / VALUE:.2%}"
        )


def test_carry__beside_the_peer():
    """
    The peer holds 3 to 1 of spot and margin, so is short L / (1 + L) = 0.75 of what it has; a
    vault is short all of it. Growth per unit of notional should be one.
    """
    hours = hours_of("ETH", datetime.date(2020, 1, 1))
    setup = setup_of("ETH", hours[0].spot)
    fields = ("final", "growth", "funding", "costs", "gas", "per notional")
    print("\n" + " " * 28 + "".join(f"{name:>13}" for name in fields))
    peer = np.log(PEER[1] / PEER[0])
    print(f"{'rates on file, summed':54}{sum(h.funding_rate or 0.0 for h in hours):13.1%}")
    print(f"{'peer, as quoted':28}{PEER[1]:13,.0f}{np.expm1(peer):13.1%}{'':39}{peer / 0.75:13.1%}")
    runs = {"vault, rates of the file": Run(file_funding=True), "vault, its venue's rule": Run()}
    for name, run in runs.items():
        result = backtest(hours, run, setup)
        nav = result.column("nav")
        grown = nav[-1] / (result.deposit * result.spot[0])
        sums = (result.column("funding")[-1], result.costs[-1], result.column("gas")[-1])
        shares = "".join(f"{each / nav.mean():13.2%}" for each in sums)
        print(f"{name:28}{nav[-1]:13,.0f}{grown - 1:13.1%}{shares}{np.log(grown):13.1%}")
