# SPDX-License-Identifier: MIT
"""A backtest as a report: the same numbers, thinned without losing an extreme."""

from __future__ import annotations

import numpy as np
import pytest

from keeper.history import FUNDING, extremes
from keeper.report import drawdown
from keeper.risk import assess
from keeper.simulation.backtest import defaults
from keeper.simulation.backtest.engine import Engine, Run, backtest
from keeper.simulation.backtest.history import STRETCHES, history_of_run
from keeper.simulation.backtest.world import SingleFeed, World
from keeper.simulation.paths import PathTerms, jump_diffusion

WILD = PathTerms(volatility=0.015, crash=-0.3, squeeze=1.5)


def run_of(count):
    hours = jump_diffusion(count, 7, 1_600_000_000, WILD)
    sent = []
    result = backtest(hours, on_sent=sent.append)
    return result, sent, history_of_run(result, sent, defaults.setup(), "run", "ETH", "USD")


def test_history__short_run__every_hour_as_the_result_has_it():
    result, sent, history = run_of(300)
    assert [sample.at for sample in history.samples] == result.closes_at.tolist()
    nav = np.array([sample.nav_per_share for sample in history.samples]) * 100
    assert nav == pytest.approx(result.column("nav"))
    assert len(history.decisions) == len(sent) > 1
    assert history.decisions[0].reason == "drift 10000 bps"
    assert history.decisions[0].size == "-100.0000"
    for kind, column in (
        (FUNDING, -result.column("funding")),
        ("venue fees", result.column("fees")),
    ):
        total = sum(cost.quote for cost in history.costs if cost.kind == kind)
        assert total == pytest.approx(column[-1])


def test_history__margin_and_distance__as_the_risk_of_a_snapshot():
    """Funding accrues between the last look and the close, so to a thousandth."""
    hours = jump_diffusion(200, 7, 1_600_000_000, WILD)
    index = SingleFeed()
    index.publish(hours[0].spot, at=hours[0].closes_at)
    world = World(defaults.setup(), index, at=hours[0].closes_at)
    result = Engine(world, Run()).play(hours)
    last = history_of_run(result, [], defaults.setup(), "run", "ETH", "USD").samples[-1]
    vault = world.vault.snapshot(at=hours[-1].closes_at)
    venue = assess(vault).venues[0]
    assert last.margin_ratio == pytest.approx(venue.margin_ratio_bps / 10_000, rel=1e-3)
    assert last.liquidation_distance == pytest.approx(venue.distance_bps / 10_000, rel=1e-2)
    assert last.funding_rate * 1e18 == pytest.approx(
        vault.venues[0].market.funding_rate_wad, rel=1e-6
    )
    mean = vault.venues[0].market.mean_premium_wad / 1e18
    assert last.mean_premium == pytest.approx(mean, abs=2e-6)


def test_history__long_run__thinned_but_no_extreme_is_lost():
    result, _, history = run_of(6_000)
    assert len(history.samples) <= 3 * STRETCHES + 2
    held = result.column("maintenance") > 0
    ratios = result.column("equity")[held] / result.column("maintenance")[held]
    assert extremes(history).least_margin_ratio == pytest.approx(ratios.min())
    prices = [sample.price for sample in history.samples]
    assert drawdown(prices) == pytest.approx(drawdown(result.spot.tolist()))
    times = [sample.at for sample in history.samples]
    assert times == sorted(set(times))
    assert sum(c.quote for c in history.costs if c.kind == FUNDING) == pytest.approx(
        -result.column("funding")[-1]
    )
