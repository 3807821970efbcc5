# SPDX-License-Identifier: MIT
"""
A backtest as the report draws it: the same `History` that a live journal makes (`keeper.history`).

One sample an hour; of a long run, the hours with the least margin ratio and the lowest and highest
price of each stretch, so that no extreme of them is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keeper.history import FEES, FUNDING, GAS, PREMIUM, SPOT, Units, shown_margin, shown_size
from keeper.plan import size_total
from keeper.report import Bands, Cost, DecisionRow, History, Sample
from keeper.simulation.backtest.defaults import Setup
from keeper.simulation.backtest.engine import Result, Sent
from keeper.simulation.backtest.figures import figures, lines, span_of
from keeper.units import BPS, WAD

Floats = NDArray[np.float64]

STRETCHES: Final = 1_500
MEAN_SECS: Final = 1_800.0  # time constant of the mean premium
KINDS: Final = {
    "fees": FEES, "impact": PREMIUM, "spot": SPOT, "funding": FUNDING, "gas": GAS,
    "losses": "liquidations",
}  # fmt: skip
EARNED: Final = "funding"  # received, so a cost when negative


def history_of_run(
    result: Result, sent: Sequence[Sent], setup: Setup, title: str, asset: str, quote: str
) -> History:
    """Return the run; the share is one of the assets that were paid in."""
    rows = _chosen(result)
    limits = setup.limits
    return History(
        title=title,
        asset=asset,
        quote=quote,
        bands=Bands(
            inner=limits.inner_band_bps / BPS,
            urgent=limits.urgent_band_bps / BPS,
            margin_floor=limits.margin_floor_bps / BPS,
            margin_target=limits.margin_target_bps / BPS,
        ),
        samples=list(_samples(result, setup, rows)),
        costs=list(_costs(result, rows)),
        flows=[int(result.closes_at[0])],
        decisions=[_decision(i, each, setup) for i, each in enumerate(sent)],
        facts=_facts(result),
        years=lines(result),
    )


def _chosen(result: Result) -> NDArray[np.intp]:
    """Return the rows to draw, the first and the last among them."""
    count = len(result.spot)
    length = -(-count // STRETCHES)
    rows = [0, count - 1]
    for least in (_ratios(result), result.spot, -result.spot):
        rows += [i + int(np.argmin(least[i : i + length])) for i in range(0, count, length)]
    return np.unique(rows)


def _ratios(result: Result) -> Floats:
    """Return equity over maintenance, infinite without a position."""
    maintenance = result.column("maintenance")
    held = maintenance > 0
    return np.where(held, result.column("equity") / np.where(held, maintenance, 1.0), np.inf)


def _distances(result: Result) -> Floats:
    """Return the move against the position at which equity meets maintenance, nan if none does."""
    size, price = result.column("size"), result.spot
    maintenance = result.column("maintenance")
    slope = result.column("collateral") + size - maintenance / price
    free = result.column("equity") - maintenance
    with np.errstate(divide="ignore", invalid="ignore"):
        move = -free / (slope * price)
    against = np.where(size < 0, move, -move)
    return np.where((size != 0) & (against >= 0), against, np.nan)


def _samples(result: Result, setup: Setup, rows: NDArray[np.intp]) -> Iterator[Sample]:
    nav, premiums = result.column("nav"), result.column("premium")
    exposures = result.column("delta") * result.spot / nav
    ratios, distances, means = _ratios(result), _distances(result), _means(result)
    targets = 1.0 - result.column("ratio")
    for i in rows.tolist():
        yield Sample(
            at=int(result.closes_at[i]),
            block=i,
            price=float(result.spot[i]),
            nav_per_share=float(nav[i]) / result.deposit,
            exposure=float(exposures[i]),
            target=float(targets[i]),
            premium=float(premiums[i]),
            mean_premium=float(means[i]),
            funding_rate=_rate(float(premiums[i]), setup),
            margin_ratio=float(ratios[i]) if np.isfinite(ratios[i]) else None,
            liquidation_distance=float(distances[i]) if np.isfinite(distances[i]) else None,
        )


def _means(result: Result) -> Floats:
    """Return the mean premium at each close, each premium having stood since the close before."""
    premiums, found = result.column("premium"), np.empty(len(result.spot))
    kept = np.exp(-np.diff(result.closes_at, prepend=result.closes_at[0]) / MEAN_SECS)
    mean = before = premiums[0]
    for i, premium in enumerate(premiums):
        mean = before + (mean - before) * kept[i]
        found[i], before = mean, premium
    return found


def _rate(premium: float, setup: Setup) -> float:
    """Return what the venue's rule pays per 8 hours at a premium."""
    terms = setup.terms
    band, cap = terms.interest_band_wad / WAD, terms.funding_cap_wad / WAD
    pull = min(max(terms.interest_wad / WAD - premium, -band), band)
    return min(max(premium + pull, -cap), cap)


def _costs(result: Result, rows: NDArray[np.intp]) -> Iterator[Cost]:
    for column, kind in KINDS.items():
        sums = result.column(column)[rows] * (-1.0 if column == EARNED else 1.0)
        for i, grown in zip(rows.tolist(), np.diff(sums, prepend=0.0).tolist(), strict=True):
            if grown:
                yield Cost(at=int(result.closes_at[i]), kind=kind, quote=grown)


def _decision(number: int, sent: Sent, setup: Setup) -> DecisionRow:
    own = setup.identity
    units = Units(asset_decimals=own.asset_decimals, quote_decimals=own.quote_decimals)
    return DecisionRow(
        at=sent.decided_at,
        block=number,
        action="rebalance",
        reason=sent.reason,
        size=shown_size(size_total(sent.plan), units),
        margin=shown_margin(sent.plan, units),
        spot=shown_size(sent.plan.spot_assets, units),
        outcome=sent.refusal or f"{sent.executed_at - sent.decided_at} s later",
    )


def _facts(result: Result) -> list[tuple[str, str]]:
    one = figures(result, "all", 0, len(result.spot) - 1)
    ratios = _ratios(result)
    return [
        ("period", span_of(result)),
        ("return, hedged and unhedged", f"{one.hedged:+.2%}, {one.unhedged:+.2%}"),
        ("largest fall", f"{one.hedged_drawdown:.2%}, {one.unhedged_drawdown:.2%}"),
        ("hedge effectiveness at index, at mark", f"{one.effectiveness:.5f}, {one.at_mark:.5f}"),
        ("funding earned, of the first NAV", f"{one.causes['funding']:+.2%}"),
        ("rebalances, margin moves", f"{one.counts['rebalances']}, {one.counts['top_ups']}"),
        ("liquidations", str(one.counts["liquidations"])),
        ("least margin ratio", f"{float(ratios.min()):.2f}"),
    ]
