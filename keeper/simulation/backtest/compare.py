# SPDX-License-Identifier: MIT
"""
Strategies side by side: one table, one chart of cost against residual risk.

A strategy is judged after all costs, gas included. Residual risk is the deviation of hourly log
returns of the vault at the mark, a year. Its gain over another is the difference of certainty
equivalents, mean r - gamma / 2 r2 of daily log returns at the mark, times 365; the error of that
mean is Newey & West's (1987, Econometrica 55:703-708) with 10 lags, the statistic that of Diebold &
Mariano (1995, J. Business & Economic Statistics 13:253-263).
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from keeper.report import COST_COLOURS, DPI, STYLE, figures_table, page, section
from keeper.simulation.backtest.engine import Result
from keeper.simulation.backtest.figures import drawdown, effectiveness
from keeper.simulation.risk.series import years_of

Floats = NDArray[np.float64]

HOURS_A_YEAR: Final = 8_766
YEAR_SECS: Final = 365.25 * 86_400
LAGS: Final = 10
MARKERS: Final = ("o", "s", "^", "D")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One period of one strategy; shares a year of NAV unless said."""

    name: str
    effectiveness: float
    at_mark: float
    growth: float  # log, a year, gas taken off
    residual: float  # deviation
    drawdown: float
    funding: float
    trading: float
    gas: float
    rebalances: float  # a year
    margin_calls: float  # plans that move margin only, a year
    liquidations: int
    least_ratio: float  # equity over maintenance

    @property
    def cost(self) -> float:
        """Return trading and gas."""
        return self.trading + self.gas


def judged(result: Result, split_at: int) -> list[Judged]:
    """Return the years, the whole, the part before the split, and last the part from it on."""
    at = result.closes_at
    years = years_of(at - 1)  # a close at midnight is the last of the day before
    spans = {str(year): np.flatnonzero(years == year) for year in np.unique(years)}
    spans["all"] = np.arange(at.size)
    spans["fitted"] = np.flatnonzero(at < split_at)
    spans["judged"] = np.flatnonzero(at >= split_at)
    return [period(result, name, rows) for name, rows in spans.items() if rows.size > 1]


def period(result: Result, name: str, rows: NDArray[np.intp]) -> Judged:
    """Return the figures of rows that follow each other."""
    first, last = max(int(rows[0]) - 1, 0), int(rows[-1])
    span = slice(first, last + 1)
    nav, marked, spot = result.column("nav")[span], result.column("marked")[span], result.spot[span]
    years = (result.closes_at[last] - result.closes_at[first]) / YEAR_SECS
    mean = float(nav.mean())

    def rate(column: Floats) -> float:
        return float((column[last] - column[first]) / years)

    gas = rate(result.column("gas")) / mean
    maintenance = result.column("maintenance")[span]
    held = maintenance > 0
    return Judged(
        name=name,
        effectiveness=effectiveness(nav, spot),
        at_mark=effectiveness(marked, spot),
        growth=float(np.log(nav[-1] / nav[0])) / years - gas,
        residual=float(np.std(np.diff(np.log(marked)))) * HOURS_A_YEAR**0.5,
        drawdown=drawdown(nav),
        funding=rate(result.column("funding")) / mean,
        trading=rate(result.costs) / mean,
        gas=gas,
        rebalances=rate(result.column("rebalances")),
        margin_calls=rate(result.column("top_ups")),
        liquidations=round(rate(result.column("liquidations")) * years),
        least_ratio=float(np.min(result.column("equity")[span][held] / maintenance[held])),
    )


def gain(result: Result, base: Result, since: int, aversion: float) -> tuple[float, float]:
    """Return by how much the certainty equivalent is higher, a year, and its t statistic."""
    better = _utility(result, since, aversion) - _utility(base, since, aversion)
    error = _newey_west(better)
    mean = float(better.mean())
    return mean * 365, mean / error if error > 0 else float("nan")


def _utility(result: Result, since: int, aversion: float) -> Floats:
    """Return r - gamma / 2 r2 of each day from `since`, gas taken off."""
    chosen = (result.closes_at >= since) & (result.closes_at % 86_400 == 0)
    marked, gas = result.column("marked")[chosen], result.column("gas")[chosen]
    returns = np.diff(np.log(marked)) - np.diff(gas) / marked[:-1]
    return np.asarray(returns - aversion / 2.0 * returns**2)


def _newey_west(values: Floats) -> float:
    """Return the standard error of the mean."""
    centred = values - values.mean()
    variance = float(centred @ centred)
    for lag in range(1, LAGS + 1):
        variance += 2.0 * (1.0 - lag / (LAGS + 1)) * float(centred[lag:] @ centred[:-lag])
    return float(max(variance, 0.0) ** 0.5 / values.size)


def compared(
    rows: Mapping[str, Judged],
    *,
    base: Result | None = None,
    results: Mapping[str, Result] | None = None,
    since: int = 0,
    aversion: float = 0.0,
) -> list[tuple[str, ...]]:
    """Return the table as cells; with `base`, the gain over it and its t statistic beside."""
    heads = (
        *("", "HE", "at mark", "growth", "residual", "drawdown", "funding", "trading", "gas"),
        *("rebal.", "margin", "liq.", "least"),
        *(("gain", "t") if base is not None else ()),
    )
    cells = [heads]
    for name, each in rows.items():
        line: tuple[str, ...] = (
            name, f"{each.effectiveness:.5f}", f"{each.at_mark:.5f}", f"{each.growth:+.2%}",
            f"{each.residual:.2%}", f"{each.drawdown:.2%}", f"{each.funding:+.2%}",
            f"{each.trading:.3%}", f"{each.gas:.3%}", f"{each.rebalances:.1f}",
            f"{each.margin_calls:.1f}", str(each.liquidations), f"{each.least_ratio:.1f}",
        )  # fmt: skip
        if base is not None and results is not None:
            more, t = gain(results[name], base, since, aversion)
            line += (f"{more:+.2%}", f"{t:+.1f}")
        cells.append(line)
    return cells


def scatter(rows: Mapping[str, Judged], title: str) -> bytes:
    """Return a PNG: cost a year across, residual risk upward; down and left is better."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.0, 4.6), layout="constrained")
        axes = figure.subplots()
        axes.set_yscale("log")
        looks = itertools.product(MARKERS, COST_COLOURS)
        for (name, each), (marker, colour) in zip(rows.items(), looks, strict=False):
            axes.plot(
                each.cost, each.residual, marker, color=colour, ms=8, alpha=0.75, label=name
            )  # fmt: skip
        axes.set_xlabel("trading and gas a year, of NAV")
        axes.set_ylabel("deviation of the vault at the mark, a year")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=2))
        for set_formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            set_formatter(PercentFormatter(1.0, decimals=1))
        axes.margins(0.12, 0.12)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        axes.set_title(title, loc="left")
        raw = io.BytesIO()
        figure.savefig(raw, format="png", dpi=DPI)
    return raw.getvalue()


def write_comparison(
    rows: Mapping[str, Judged], cells: Sequence[Sequence[str]], title: str, folder: Path
) -> Path:
    """Write `strategies.png` and `strategies.html`, which has table and chart inside."""
    folder.mkdir(parents=True, exist_ok=True)
    png = scatter(rows, title)
    (folder / "strategies.png").write_bytes(png)
    path = folder / "strategies.html"
    body = figures_table("After all costs, a year", cells), section("Cost against risk", png)
    path.write_text(page(title, *body), encoding="utf-8")
    return path
