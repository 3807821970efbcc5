# SPDX-License-Identifier: MIT
"""Figures of a run, sweeps that can be interrupted, and the keeper without Numba."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from keeper.policy import Policy
from keeper.simulation.backtest import defaults, sweep
from keeper.simulation.backtest.engine import COLUMNS, Result, Tally
from keeper.simulation.backtest.fast import bars, play
from keeper.simulation.backtest.figures import by_year, drawdown, effectiveness, table
from keeper.simulation.paths import PathTerms, jump_diffusion

NEW_YEAR = 1_704_067_200  # 2024-01-01 00:00 UTC


def made(nav, spot, **columns):
    rows = np.zeros((len(nav), len(COLUMNS)))
    rows[:, 0] = rows[:, 2] = nav
    for name, values in columns.items():
        rows[:, COLUMNS.index(name)] = values
    at = NEW_YEAR + 3_600 * (np.arange(len(nav)) - 1)  # the second closes the old year
    return Result(closes_at=at, spot=np.array(spot), rows=rows, tally=Tally(), deposit=10.0)


def test_by_year__two_years__each_from_the_close_before():
    """Deposit 10 at 100: 1,000. Year 2023 ends at 1,010 and 90, 2024 at 1,111 and 99."""
    result = made(
        [990, 1_010, 1_060, 1_111], [100.0, 90.0, 95.0, 99.0],
        funding=[0, 10, 20, 31], fees=[10, 10, 10, 15], rebalances=[1, 1, 1, 3],
    )  # fmt: skip
    old, new, both = by_year(result)
    assert (old.name, new.name, both.name) == ("2023", "2024", "all")
    assert old.hedged == pytest.approx(0.01)
    assert new.hedged == pytest.approx(0.1)
    assert new.unhedged == pytest.approx(0.1)
    assert both.hedged == pytest.approx(0.111)
    assert old.causes["fees"] == pytest.approx(0.01)
    assert new.causes["funding"] == pytest.approx(21 / 1_010)
    assert (old.counts["rebalances"], new.counts["rebalances"]) == (1, 2)
    assert both.hedged_drawdown == pytest.approx(0.01)
    assert "2024" in table(result)


def test_effectiveness__half_the_moves__three_quarters():
    spot = np.exp(np.array([0.0, 0.1, -0.1, 0.2]))
    assert effectiveness(np.sqrt(spot), spot) == pytest.approx(0.75)
    assert np.isnan(effectiveness(np.ones(3), np.ones(3)))


def test_drawdown__rise_only__zero():
    assert drawdown(np.array([1.0, 2.0, 3.0])) == 0.0


@pytest.fixture(scope="module")
def path():
    return bars(jump_diffusion(1_000, 1, NEW_YEAR, PathTerms(volatility=0.015)))


def test_sweep__interrupted__only_what_is_missing_is_played(path, tmp_path):
    axes = {"settle_trigger_bps": [500, 1_000, 1_500], "distance_low_bps": [2_000, 3_000]}
    policies = sweep.grid(Policy(), axes)
    assert len(policies) == 6
    sweep.sweep(path, defaults.setup(), policies[:2], tmp_path, workers=2)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.parquet")}
    assert len(before) == 2
    steps = []
    rows = sweep.sweep(
        path, defaults.setup(), policies, tmp_path,
        workers=2, on_done=lambda done, wanted: steps.append((done, wanted)),
    )  # fmt: skip
    assert steps == [(n, 6) for n in range(2, 7)]
    assert all(file.stat().st_mtime_ns == at for file, at in before.items())
    assert rows.num_rows == 6
    one = policies[3]
    alone = play(path, defaults.setup(), one)
    row = rows.to_pylist()[3]
    assert row["settle_trigger_bps"] == one.settle_trigger_bps
    assert row["rebalances"] == alone.tally.rebalances
    assert row["hedged"] == pytest.approx(alone.column("nav")[-1] / (100 * path.spot[0]) - 1)


def test_sweep__another_path__another_file(path, tmp_path):
    sweep.sweep(path, defaults.setup(), [Policy()], tmp_path, workers=1)
    moved = path._replace(bases=path.bases + 1e-4)
    sweep.sweep(moved, defaults.setup(), [Policy()], tmp_path, workers=1)
    assert len(list(tmp_path.glob("*.parquet"))) == 2


def test_grid__nothing_makes_sense__refused():
    with pytest.raises(ValueError, match="target_bps: must be under trigger_bps"):
        sweep.grid(Policy(), {"target_bps": [200]})


def test_keeper__starts_without_numba_and_pyarrow():
    code = "import sys, keeper.cli; sys.exit('numba' in sys.modules or 'pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
