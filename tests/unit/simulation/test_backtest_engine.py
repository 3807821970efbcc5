# SPDX-License-Identifier: MIT
"""The exact engine: what it skips changes nothing, its books balance, trouble is survived."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keeper.policy import Policy
from keeper.simulation.backtest import defaults
from keeper.simulation.backtest.defaults import scaled, without_funding
from keeper.simulation.backtest.engine import (
    GAS_MARGIN,
    GAS_PLAIN,
    GAS_SPOT,
    Engine,
    Run,
    backtest,
)
from keeper.simulation.backtest.scenarios import crash_cut, squeeze_outage
from keeper.simulation.backtest.world import SingleFeed, World
from keeper.simulation.market import HOUR_SECS, MarketHour
from keeper.simulation.market_file import read_hours
from keeper.simulation.paths import PathTerms, jump_diffusion
from keeper.simulation.reference import Reverted

ETH = Path(__file__).parents[4] / "shared/data/eth_binance_1h_2019-11_2025-12.csv.gz"
START = 1_600_000_000
QUOTE = 10**6


def engine(hours, run=None, *, watching=True, sent=None, setup=None):
    index = SingleFeed()
    index.publish(hours[0].spot, at=hours[0].closes_at)
    world = World(setup or defaults.setup(), index, at=hours[0].closes_at)
    on_sent = (sent if sent is not None else []).append
    return Engine(world, run or Run(), watching=watching, on_sent=on_sent)


@pytest.fixture(scope="module")
def path():
    """Forty wild days: the price falls by a quarter, then more than triples."""
    return jump_diffusion(960, 7, START, PathTerms(volatility=0.015, crash=-0.3, squeeze=1.5))


@pytest.mark.parametrize(
    ("ratio_bps", "policy", "kinds"),
    [
        (10_000, Policy(), {"margin", "quote"}),
        (7_000, Policy(), {"drift", "margin"}),
        (10_000, Policy(distance_high_bps=4_100, margin_buffer_bps=100), {"margin"}),
        (10_000, Policy(headroom_deviations_bps=55_000, volatility_bps=9_000), {"margin"}),
    ],
)
def test_quiet__skipped_bars__same_plans_and_rows(path, ratio_bps, policy, kinds):
    setup = defaults.setup()
    setup = replace(setup, identity=replace(setup.identity, hedge_ratio_bps=ratio_bps))
    run, watched, every = Run(policy=policy), [], []
    fast = engine(path, run, sent=watched, setup=setup).play(path)
    slow = engine(path, run, watching=False, sent=every, setup=setup).play(path)
    assert fast.tally.decided < slow.tally.decided / 2
    assert [s.plan.legs for s in watched] == [s.plan.legs for s in every]
    assert len(watched) > 5
    assert kinds <= set(fast.tally.reasons)
    assert np.array_equal(fast.rows, slow.rows)


def test_headroom__wild_path__is_kept_as_every_decision_would(path):
    """The outlook grows at skipped bars too, and more is topped up than with fixed distances."""
    policy = Policy(headroom_deviations_bps=55_000, volatility_bps=9_000)
    run = Run(policy=policy)
    watched, every = engine(path, run), engine(path, run, watching=False)
    watched.play(path)
    every.play(path)
    assert watched._memory == every._memory
    assert watched._memory.outlook.seen_at == path[-1].closes_at
    plain = engine(path)
    plain.play(path)
    assert watched.tally.top_ups > plain.tally.top_ups


def test_advised__owner_follows_volatility__ratio_moves_within_the_books_rules(path):
    policy = Policy(ratio_strategy=4, volatility_bps=9_000, target_volatility_bps=4_000,
                    most_unhedged_bps=6_000)  # fmt: skip
    run = Run(policy=policy, advised=True)
    playing, every = engine(path, run), engine(path, run, watching=False)
    result = playing.play(path)
    assert result.tally.ratios >= 2
    ratio = playing.world.vault.identity.hedge_ratio_bps
    assert 4_000 <= ratio < 9_000
    nav = result.column("nav")[-1]
    exposure = result.column("delta")[-1] * path[-1].spot / nav
    assert exposure == pytest.approx(1 - ratio / 10_000, abs=0.02)
    assert np.array_equal(result.rows, every.play(path).rows)
    assert playing.tally.decided < every.tally.decided / 2


def test_set_hedge_ratio__as_the_book__step_of_the_day_and_bounds(path):
    vault = engine(path).world.vault
    vault.set_hedge_ratio(8_000, at=START + 86_400)
    for ratio, at, reason in (
        (7_000, START + 86_401, "book: ratio changed too fast"),
        (12_500, START + 10 * 86_400, "book: ratio changed too fast"),
    ):
        with pytest.raises(Reverted, match=reason):
            vault.set_hedge_ratio(ratio, at=at)
    vault.identity = replace(vault.identity, min_hedge_ratio_bps=7_500, max_hedge_ratio_bps=8_500)
    for ratio, reason in ((7_400, "under"), (8_600, "over")):
        with pytest.raises(Reverted, match=f"book: ratio {reason} its bound"):
            vault.set_hedge_ratio(ratio, at=START + 10 * 86_400)


def test_file_funding__settlements_of_the_file__are_what_the_short_gets(path):
    """Sum of rate * size * S at the settlements; the venue's own rule pays nothing."""
    hours = [
        replace(hour, funding_rate=(0.0004 if i % 16 else -0.0009) if i % 8 == 0 else None)
        for i, hour in enumerate(path)
    ]
    setup = without_funding(defaults.setup())
    setup = replace(setup, terms=setup.terms._replace(loan_rate_wad=0))
    result = backtest(hours, Run(file_funding=True), setup)
    size, price = result.column("size"), np.round(result.spot, 8)
    rates = np.array([hour.funding_rate or 0.0 for hour in hours])
    expected = -np.sum(size[:-1] * price[1:] * rates[1:])
    assert abs(expected) > 100
    assert result.tally.funding / QUOTE == pytest.approx(expected, rel=1e-6)
    silent = backtest([replace(hour, funding_rate=None) for hour in path],
                      Run(file_funding=True), setup)  # fmt: skip
    assert silent.tally.funding == 0


def test_scaled__coin_of_a_thousandth__the_same_run_in_quote(path):
    cheap = [replace(h, spot=h.spot / 1_000, perp=h.perp / 1_000) for h in path]
    plain, other = backtest(path), backtest(cheap, setup=scaled(defaults.setup(), 1_000))
    assert other.tally.rebalances == plain.tally.rebalances
    assert other.tally.top_ups == plain.tally.top_ups
    assert np.allclose(other.column("nav"), plain.column("nav"), rtol=1e-6)


def test_ratios__of_the_owner__set_as_far_as_the_book_lets(path):
    at = path[48].closes_at
    playing = engine(path, Run(ratios=((at, 5_000), (path[600].closes_at, 7_000))))
    result = playing.play(path)
    ratios = result.column("ratio")
    assert ratios[47] == 1.0
    assert ratios[48] == 0.75  # a quarter in a day
    assert ratios[-1] == 0.7
    assert result.tally.ratios == 2


def test_state__of_each_row__is_the_accounts(path):
    playing = engine(path)
    result = playing.play(path)
    at = path[-1].closes_at + 3_000
    price_wad = playing.world.index.try_read(at=at)[1].price_wad
    margin = playing.world.venue.margin(playing.world.setup.identity.book, price_wad, at=at)
    assert result.column("size")[-1] == pytest.approx(margin.delta / 1e18)
    held = result.column("nav") - result.column("equity")
    assert np.all(held > -1e-6)  # idle, haircut: more than nothing
    assert result.column("maintenance")[-1] / (-result.column("size")[-1] * result.spot[-1]) == (
        pytest.approx(0.05, rel=0.05)
    )
    assert np.allclose(result.column("premium")[-5:], [h.basis for h in path[-5:]], atol=2e-5)


@pytest.mark.parametrize("ratio_bps", [5_000, 10_000])
def test_accounting__every_hour__nav_changes_by_its_causes(path, ratio_bps):
    """NAV after - before = exposure + funding - trading - losses; a unit for each rounding."""
    setup = defaults.setup()
    setup = replace(setup, identity=replace(setup.identity, hedge_ratio_bps=ratio_bps))
    result = engine(path, setup=setup).play(path)
    nav, delta = result.column("nav"), result.column("delta")
    causes = result.column("funding") - result.costs - result.column("losses")
    prices = np.round(result.spot, 8)
    exposure = delta[:-1] * np.diff(prices)
    assert result.tally.funding != 0 != result.tally.spot
    error = np.diff(nav) - exposure - np.diff(causes)
    assert np.max(np.abs(error)) < 20 / QUOTE


def test_marked__short_at_a_premium__less_than_at_the_index(path):
    """100 short where the perp is 10 bp over spot: 100 * S * 0.001 less."""
    hours = [replace(hour, perp=hour.spot * 1.001) for hour in path[:20]]
    result = engine(hours).play(hours)
    short = result.column("nav") - result.column("marked")
    assert short[5:] == pytest.approx(0.1 * result.spot[5:], rel=1e-3)


def test_halt__stale_oracle__nothing_is_decided_and_all_goes_on(path):
    halted = [replace(hour, spot_halted=100 <= i < 106) for i, hour in enumerate(path)]
    result = engine(halted).play(halted)
    assert result.tally.blind_hours == 5  # the first halted hour still knows the price
    assert np.isfinite(result.rows).all()


def test_gap__missing_hours__time_passes_with_the_last_premium(path):
    """Funding of the gap is paid by the premium at its start, as the venue would."""
    gap = path[:200] + path[224:]
    result = engine(gap).play(gap)
    assert result.closes_at[200] - result.closes_at[199] == 25 * HOUR_SECS
    assert np.isfinite(result.rows).all()
    assert result.tally.rebalances > 0


def test_latency__plan_later_than_its_deadline__refused(path):
    blocks = Policy().deadline_secs // 12 + 1
    result = engine(path[:30], Run(latency_blocks=blocks)).play(path[:30])
    assert result.tally.refusals["book: deadline passed"] == 30
    assert result.tally.rebalances == 0


def test_latency__moving_prices__execution_at_the_later_price():
    hours = [
        MarketHour(closes_at=START - START % HOUR_SECS + i * HOUR_SECS, spot=s, perp=s)
        for i, s in enumerate((1_000.0, 1_010.0, 1_010.0))
    ]
    still, moved = [], []
    engine(hours, Run(latency_blocks=25), sent=still).play(hours)
    playing = engine(hours, Run(latency_blocks=25, moving=True), sent=moved)
    playing.play(hours[:1])
    assert still[0].executed_at - still[0].decided_at == 300
    later = engine(hours, Run(latency_blocks=25, moving=True))
    later.step(hours[0], hours[1])
    # 5 minutes of an hour: 1000 * 1.01 ** (300 / 3600)
    expected = round(1_000 * 1.01 ** (1 / 12) * 10**8) * 10**10
    assert later.world.vault.last_price_wad == expected


def test_gas__over_the_cap__only_urgent_plans_are_sent(path):
    dear = [replace(hour, gas_gwei=500.0) for hour in path]
    run = Run(max_gas_gwei=100.0)
    capped = engine(dear, run).play(dear)
    assert capped.tally.dear_gas > 0
    free = engine(dear).play(dear)
    assert free.tally.gas > capped.tally.gas > 0
    one = GAS_MARGIN * 500 * 1e-9 * path[0].spot * QUOTE  # the first hedge brings margin
    assert free.tally.gas > one


def test_squeeze_outage__keeper_down_in_the_fastest_rise__liquidated_and_rehedged(path):
    terms = PathTerms(crash=-0.05, squeeze=1.2)
    hours = jump_diffusion(960, 7, START, terms)
    down = squeeze_outage(hours, 48)
    result = engine(hours, Run(outages=(down,))).play(hours)
    assert result.tally.liquidations >= 1
    assert result.tally.losses > 0
    assert abs(result.column("delta")[-1]) < 2.0  # hedged again, within 2 % of 100
    assert result.column("nav")[-1] > 0.5 * result.column("nav")[0]


def test_crash_cut__half_of_the_short_taken__long_until_rehedged(path):
    cut = crash_cut(path, 24, 0.5)
    at = cut[0]
    i = next(i for i, hour in enumerate(path) if hour.closes_at == at)
    deaf = Run(cuts=(cut,), outages=((at, at + 24 * HOUR_SECS),))
    result = engine(path, deaf).play(path)
    assert result.tally.cuts == 1
    delta = result.column("delta")
    assert delta[i] == pytest.approx(50, abs=10)
    assert abs(delta[i + 30]) < 3
    calm = engine(path).play(path)
    fall = path[i + 24].spot - path[i].spot
    lost = result.column("nav")[i + 23] - calm.column("nav")[i + 23]
    assert fall < 0
    assert lost == pytest.approx(delta[i] * fall, rel=0.35)


def test_defaults__what_the_scripts_deploy():
    from scripts import terms

    assert tuple(defaults.terms()) == terms.venue_terms(18, 6).words()
    ours = defaults.limits()
    assert tuple(getattr(ours, name) for name in ours.__slots__) == terms.limits(18).words()


def test_advance__pool_too_small_for_the_premium__trader_goes_as_far_as_it_carries():
    hour = MarketHour(closes_at=START, spot=2_000.0, perp=2_002.0)
    setup = replace(defaults.setup(), pool_quote=100_000 * QUOTE)
    world = engine([hour], setup=setup).world
    world.advance(hour)
    assert world.refused == {"venue: pool too small": 1}
    # 100,000 * 0.5 / 2,000 = 25, of which he uses 99 %; a basis of 10 bp would be 100
    assert world.venue.skew == pytest.approx(24.75e18, rel=1e-3)


def test_gas__as_measured():
    measured = json.loads((Path(__file__).parents[2] / "gas_snapshot.json").read_text())
    kinds = {"": GAS_PLAIN, " with margin": GAS_MARGIN, " with spot": GAS_SPOT}
    for kind, gas in kinds.items():
        assert gas == pytest.approx(measured[f"rebalance{kind}"], rel=0.05)


def test_loan__fee_of_the_first_hedge_is_owed__bears_interest_until_settled():
    """Nothing else touches the account: fee * 10 % a year * time since the trade."""
    first = START - START % HOUR_SECS
    hours = [
        MarketHour(closes_at=first + i * HOUR_SECS, spot=2_000.0, perp=1_998.4) for i in range(240)
    ]
    setup = defaults.setup()
    free = replace(setup, terms=setup.terms._replace(loan_rate_wad=0))
    lent, given = (engine(hours, setup=one).play(hours).tally for one in (setup, free))
    assert lent.rebalances + lent.top_ups == 1
    years = (239 * HOUR_SECS - 12) / (365 * 86_400)
    assert lent.fees > 0
    assert given.funding - lent.funding == pytest.approx(0.1 * lent.fees * years, abs=2)


def test_backtest__file_of_eth__starts_and_ends_solvent():
    if not ETH.exists():
        pytest.skip("the shared data files are not beside this checkout")
    hours = read_hours(ETH, datetime.date(2021, 5, 1), datetime.date(2021, 5, 31))
    result = backtest(hours)
    assert result.tally.liquidations == 0
    assert result.column("nav")[-1] > 0.98 * result.deposit * result.spot[0]
