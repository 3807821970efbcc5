# SPDX-License-Identifier: MIT
"""
Work out band and margin for the keeper's configuration from a market file.

    python -m scripts.advise ETH.csv.gz --nav 1000000 --gas 5 --cost-bps 10

Prints a `[policy]` section with the figures behind it; changes nothing. Margin is that of a short:
topped up while a call within `--hours` is as unlikely as `--call` even in the wildest 1 % of the
windows on file, since a configuration stands still while volatility does not. `--by-forecast`
prints, instead of these distances, the number of deviations of the keeper's own forecast that have
that probability, so that distances move with volatility. Needs the extra `study`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from keeper.band import price_variance_wad
from keeper.policy import Policy
from keeper.simulation.market_file import MarketFileRefused, read_hours
from keeper.simulation.risk.advice import advised, band_terms
from keeper.simulation.risk.estimates import daily_ratios, outlook_windows
from keeper.simulation.risk.margin_forecast import MoveLaw, distance_for, move_law, windows
from keeper.simulation.risk.series import Series, series
from keeper.simulation.risk.volatility import BURN_IN, HOURS, Days, days, forecast_variance
from keeper.units import BPS, WAD, Bps

LEARNT_DAYS: Final = BURN_IN + 365
DAYS_A_YEAR: Final = 365.25
WILD: Final = 0.99
RISE: Final = 1  # what hurts a short
FIELDS: Final = (
    "trigger_bps",
    "target_bps",
    "distance_low_bps",
    "distance_target_bps",
    "distance_high_bps",
)


def main(words: Sequence[str] | None = None) -> None:
    """
    Run the command line.

    Raises
    ------
    SystemExit
        With one line, if the file or a number cannot be used.
    """
    options = _options(words)
    try:
        print("\n".join(advice(options, series(read_hours(options.file)))))
    except (MarketFileRefused, ValueError) as fault:
        raise SystemExit(f"advise: {fault}") from None


def advice(options: argparse.Namespace, rows: Series) -> list[str]:
    """Return the lines to print."""
    history = days(rows.closes_at, rows.perp)
    found = windows(rows, options.hours, LEARNT_DAYS)
    law = move_law(found.standardised(RISE))
    now = math.sqrt(forecast_variance(history) * options.hours / HOURS)
    wild = float(np.quantile(found.deviations, WILD))
    headroom = distance_for(law, max(now, wild), options.call, RISE)
    variance = float(history.variances.mean()) * DAYS_A_YEAR
    drift = price_variance_wad(options.ratio_bps, round(variance * WAD)) / WAD
    terms = band_terms(
        gas_share=options.gas / options.nav,
        cost_rate=options.cost_bps / BPS,
        drift_variance=drift + options.drift_variance,
        aversion=options.aversion,
        variance=variance,
    )
    if options.by_forecast:
        headroom = Bps(Policy().distance_low_bps)
    policy = advised(Policy(), terms, headroom, options.inner_bps, options.urgent_bps)
    return [
        *_figures(options, history, law, {"now": now, "wildest 1 %": wild}),
        "# minimum variance ratio: "
        + ", ".join(f"{name} {ratio:.4f}" for name, ratio in daily_ratios(rows).items()),
        "[policy]",
        *(f"{name} = {getattr(policy, name)}" for name in FIELDS),
        *(_forecast_lines(options, rows) if options.by_forecast else []),
    ]


def _forecast_lines(options: argparse.Namespace, rows: Series) -> list[str]:
    """Return the quantile of the largest rise in deviations of the live forecast."""
    law = move_law(outlook_windows(rows, options.hours).standardised(RISE))
    deviations_bps = math.ceil(law.quantile(1.0 - options.call) * BPS)
    return [
        f"headroom_secs = {options.hours * 3_600}",
        f"headroom_deviations_bps = {deviations_bps}",
    ]


def _figures(
    options: argparse.Namespace, history: Days, law: MoveLaw, deviations: dict[str, float]
) -> list[str]:
    volatility = math.sqrt(float(history.variances.mean()) * DAYS_A_YEAR)
    seen = f"{history.variances.size} days, volatility {volatility:.0%} a year"
    fitted = f"{law.moves.size} windows of {options.hours} h, tail shape {law.tail.shape:.2f}"
    lines = [f"# {seen}; {fitted}"]
    for name, deviation in deviations.items():
        bps = distance_for(law, deviation, options.call, RISE)
        lines.append(
            f"# {name}: deviation {deviation:.2%}, a call has {options.call:.2%} at {bps} bps"
        )
    return lines


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="advise", description="Band and margin for a policy.")
    parser.add_argument("file", type=Path, help="hourly CSV with mark, mark_high and mark_low")
    parser.add_argument("--nav", type=_positive, required=True, help="of the vault, quote")
    parser.add_argument("--gas", type=_amount, required=True, help="of one rebalance, quote")
    parser.add_argument("--cost-bps", type=_amount, required=True, help="fee and slippage")
    parser.add_argument("--ratio-bps", type=int, default=BPS, help="hedge ratio (10000)")
    parser.add_argument(
        "--drift-variance", type=_amount, default=0.01, help="a year, of flows (0.01)"
    )
    parser.add_argument("--aversion", type=_positive, default=4.0, help="relative (4)")
    parser.add_argument("--call", type=_share, default=0.001, help="probability (0.001)")
    parser.add_argument("--hours", type=int, default=8, help="a divisor of 24 (8)")
    parser.add_argument("--by-forecast", action="store_true", help="margin by live forecast")
    parser.add_argument("--inner-bps", type=int, default=100, help="the book's band (100)")
    parser.add_argument("--urgent-bps", type=int, default=1_000, help="the same (1000)")
    return parser.parse_args(words)


def _amount(text: str) -> float:
    number = float(text)
    if not 0.0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"a number from 0, not {text!r}")
    return number


def _positive(text: str) -> float:
    number = _amount(text)
    if number == 0.0:
        raise argparse.ArgumentTypeError("more than 0")
    return number


def _share(text: str) -> float:
    number = _amount(text)
    if not 0.0 < number <= 0.05:
        raise argparse.ArgumentTypeError(f"a probability up to 0.05, not {text!r}")
    return number


if __name__ == "__main__":
    main(sys.argv[1:])
