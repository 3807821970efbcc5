# SPDX-License-Identifier: MIT
"""
The fast path against the exact engine.

Tolerance: NAV at every hour within `CALM` of the exact one, sums of costs within as much of the
first NAV, and the same number of plans. Over the six years of ETH the difference is 0.02 bp. On
paths made to break things (a price that triples in days, hedges cut to a budget) a plan may be
sized by a rule that the fast path leaves out; there NAV is within `STRESS`.
"""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from keeper.policy import Policy
from keeper.simulation.backtest import defaults
from keeper.simulation.backtest.engine import Run, backtest
from keeper.simulation.backtest.fast import bars, play
from keeper.simulation.backtest.figures import figures
from keeper.simulation.backtest.stale import renew
from keeper.simulation.market_file import read_hours
from keeper.simulation.paths import PathTerms, jump_diffusion

ETH = Path(__file__).parents[4] / "shared/data/eth_binance_1h_2019-11_2025-12.csv.gz"
START = 1_600_000_000
CALM, STRESS = 1e-5, 3e-3  # relative
WILD = PathTerms(volatility=0.015, crash=-0.3, squeeze=1.5)
FALL = PathTerms(volatility=0.015, crash=-0.9, squeeze=0.2)
QUIET = PathTerms(volatility=0.006)


def agree(hours, policy=None, setup=None, tolerance=STRESS):
    policy, setup = policy or Policy(), setup or defaults.setup()
    exact = backtest(hours, Run(policy=policy), setup)
    fast = play(bars(hours), setup, policy)
    nav, ours = exact.column("nav"), fast.column("nav")
    assert np.max(np.abs(ours / nav - 1)) < tolerance
    marked, our_marked = exact.column("marked"), fast.column("marked")
    assert np.max(np.abs(our_marked / marked - 1)) < tolerance
    assert fast.tally.liquidations == exact.tally.liquidations
    assert fast.tally.blind_hours == exact.tally.blind_hours
    for name in ("funding", "impact", "fees", "spot", "losses", "gas"):
        difference = getattr(fast.tally, name) - getattr(exact.tally, name)
        assert abs(difference) < tolerance * nav[0] * 10**6, name
    if tolerance == CALM:
        ours, theirs = fast.rows[:, 12:], exact.rows[:, 12:]
        worst = np.max(np.abs(ours - theirs), axis=0) / np.max(np.abs(theirs), axis=0)
        assert np.max(worst) < 10 * tolerance
        assert fast.tally.rebalances == exact.tally.rebalances
        assert fast.tally.top_ups == exact.tally.top_ups
    return exact


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("terms", "tolerance"),
    [(WILD, STRESS), (FALL, STRESS), (QUIET, CALM)],
    ids=["wild", "fall", "quiet"],
)
def test_play__made_paths__as_the_exact_engine(seed, terms, tolerance):
    exact = agree(jump_diffusion(1_500, seed, START, terms), tolerance=tolerance)
    assert exact.tally.rebalances > 0


@pytest.mark.parametrize("ratio_bps", [6_000, 9_000])
def test_play__partial_hedge__drift_of_the_price_is_followed(ratio_bps):
    setup = defaults.setup()
    setup = replace(setup, identity=replace(setup.identity, hedge_ratio_bps=ratio_bps))
    exact = agree(jump_diffusion(1_500, 3, START, WILD), setup=setup)
    assert exact.tally.reasons["drift"] > 3


def test_play__other_policy_and_gas__as_the_exact_engine():
    policy = Policy(
        trigger_bps=200,
        target_bps=50,
        settle_trigger_bps=500,
        distance_low_bps=3_000,
        distance_high_bps=5_500,
    )
    hours = [replace(h, gas_gwei=40.0) for h in jump_diffusion(1_500, 5, START, WILD)]
    exact = agree(hours, policy)
    assert exact.tally.gas > 0


def test_play__halted_hours__as_the_exact_engine():
    hours = [
        replace(hour, spot_halted=700 <= i % 900 < 706)
        for i, hour in enumerate(jump_diffusion(1_500, 5, START, WILD))
    ]
    assert agree(hours).tally.blind_hours == 5


def test_play__short_pays_funding_for_months__interest_on_its_debt_too():
    path = jump_diffusion(3_000, 4, START, QUIET)
    exact = agree([replace(h, perp=h.spot * 0.9992) for h in path], tolerance=CALM)
    assert exact.tally.funding < -0.05 * exact.column("nav")[0] * 10**6


def test_play__squeeze_through_all_margin__liquidated_as_the_exact_engine():
    """A rise to four times within two hours: no keeper that looks hourly can help."""
    terms = PathTerms(crash=-0.05, squeeze=1.4, stress_share=0.001)
    exact = agree(jump_diffusion(600, 2, START, terms))
    assert exact.tally.liquidations >= 1


def test_play__liquidated_while_gas_is_dear__reward_follows_as_in_the_exact_engine():
    path = jump_diffusion(600, 2, START, PathTerms(crash=-0.05, squeeze=1.4, stress_share=0.001))
    dear = [replace(hour, gas_gwei=60.0) for hour in path]
    setup = defaults.setup()
    paid = [backtest(hours).tally.losses for hours in (path, dear)]
    ours = [play(bars(hours), setup, Policy()).tally.losses for hours in (path, dear)]
    more = paid[1] - paid[0]
    assert more > 10 * 10**6
    assert ours[1] - ours[0] == pytest.approx(more, rel=1e-3)


def test_renew__module_under_it_changed__index_of_compiled_code_is_dropped(tmp_path):
    source, other, folder = tmp_path / "fast.py", tmp_path / "account.py", tmp_path / "__pycache__"
    module = ModuleType("account")
    module.__file__ = str(other)
    other.write_text("RATE = 1")
    folder.mkdir()

    def kept():
        index = folder / "fast._play-1.nbi"
        index.touch()
        (folder / "fastest.other-1.nbi").touch()
        renew(str(source), module)
        assert (folder / "fastest.other-1.nbi").exists()
        return index.exists()

    assert [kept(), kept()] == [False, True]  # the first time nothing is known
    other.write_text("RATE = 2")
    assert [kept(), kept()] == [False, True]
    other.unlink()
    assert kept()  # nothing to compare with, nothing done


@pytest.mark.skipif(not ETH.exists(), reason="the shared data files are not beside this checkout")
@pytest.mark.slow
def test_play__six_years_of_eth__as_the_exact_engine():
    hours = read_hours(ETH, datetime.date(2020, 2, 1), datetime.date(2025, 12, 31))
    exact = agree(hours, tolerance=CALM)
    assert exact.tally.liquidations == 0
    # At the mark the ceiling is 0.99826, a hedge by the file's own perp without any cost.
    whole = figures(exact, "all", 0, len(hours) - 1)
    assert whole.at_mark == pytest.approx(0.99841, abs=5e-5)
    assert whole.effectiveness > 0.9999
