# SPDX-License-Identifier: MIT
"""
Bars in a second of both engines on the same path, and of a sweep; asserts no time.

vectorbt 1.2.0 stands beside them where it is installed (`pip install vectorbt`): it resolves beside
our pins, but brings 35 packages that the project has no other use for.
"""

from __future__ import annotations

import datetime
import resource
import time
from pathlib import Path

import numpy as np
from numba import njit

from keeper.policy import Policy
from keeper.simulation.backtest import defaults, sweep
from keeper.simulation.backtest.engine import backtest
from keeper.simulation.backtest.fast import bars, play
from keeper.simulation.market_file import read_hours
from keeper.simulation.paths import PathTerms, jump_diffusion

ETH = Path(__file__).parents[3] / "shared/data/eth_binance_1h_2019-11_2025-12.csv.gz"
ROUNDS = 5
POLICIES = 400


def hours():
    """Return six years of ETH, or as many made hours."""
    if ETH.exists():
        return read_hours(ETH, datetime.date(2020, 1, 1), datetime.date(2025, 12, 31))
    return jump_diffusion(8_000, 1, 1_600_000_000, PathTerms(volatility=0.009))


def best(call, rounds=ROUNDS):
    """Return the least processor time of some calls, seconds; the first one compiles."""
    call()
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return min(taken)


@njit
def bare_band(prices, bases):
    """A bare loop: funding, drift, band, fee; what nobody accounts for more cheaply."""
    held, cash = 100.0, 0.0
    for i in range(1, len(prices)):
        cash += held * bases[i - 1] * prices[i - 1] / 8.0
        if abs(cash / prices[i]) > 1.5:
            cash *= 0.9995
            held += cash / prices[i]
            cash = 0.0
    return held + cash


def vectorbt_of(path):
    """Return a call that holds spot and sells as much of the perp at every bar, or None."""
    try:
        import pandas as pd
        import vectorbt as vbt
    except ImportError:
        return None
    closes = pd.DataFrame({"spot": [h.spot for h in path], "perp": [h.perp for h in path]})
    weights = pd.DataFrame({"spot": 0.5, "perp": -0.5}, index=closes.index)
    return lambda: vbt.Portfolio.from_orders(
        closes, weights, size_type="targetpercent", group_by=True, cash_sharing=True, fees=5e-4,
        init_cash=1e6,
    ).final_value()  # fmt: skip


def test_engines__bars_a_second_on_one_core():
    path = hours()
    compiled, setup, policy = bars(path), defaults.setup(), Policy()
    exact = best(lambda: backtest(path), 2)
    fast = best(lambda: play(compiled, setup, policy))
    bare = best(lambda: bare_band(compiled.prices, compiled.bases))
    print(f"\n{len(path):,} bars")
    spent_by = {"exact": exact, "fast, full accounting": fast, "bare Numba loop": bare}
    peer = vectorbt_of(path)
    if peer is not None:
        spent_by["vectorbt, two legs"] = best(peer)
    for name, spent in spent_by.items():
        print(f"{name:>22}: {len(path) / spent:>14,.0f} bars/s")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'memory':>22}: {memory:>14,.0f} MB")


def test_sweep__scaling_from_one_process_to_two(tmp_path):
    compiled = bars(hours())
    axes = {"settle_trigger_bps": [int(x) for x in np.linspace(300, 3_000, POLICIES)]}
    policies = sweep.grid(Policy(), axes)
    print()
    for cluster in (None, "local"):
        for workers in (1, 2):
            began = time.perf_counter()
            folder = tmp_path / f"{cluster}{workers}"
            sweep.sweep(
                compiled, defaults.setup(), policies, folder, workers=workers, cluster=cluster
            )
            spent = time.perf_counter() - began
            rate = len(policies) * len(compiled.prices) / spent
            kind = "processes" if cluster is None else "Dask workers"
            print(f"{workers} {kind}: {spent:.1f} s, {rate:,.0f} bars/s")
