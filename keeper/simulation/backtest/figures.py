# SPDX-License-Identifier: MIT
"""
What a run says, by year: return, drawdown, effectiveness, funding, costs by cause, plans.

Hedge effectiveness is variance reduction over hourly log returns, 1 - Var(NAV) / Var(spot)
(Ederington 1979, J. Finance 34:157-170), of the vault after all that it pays and receives. The
vault's NAV holds the position at the index, which leaves the basis out; `at_mark` holds it at the
mark price, and is what compares with a hedge by the perpetual itself (quant.md 1: 0.99826).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keeper.simulation.backtest.engine import Result

Floats = NDArray[np.float64]

CAUSES: Final = ("funding", "impact", "fees", "spot", "gas", "losses")
COUNTS: Final = ("rebalances", "top_ups", "liquidations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """
    One period; shares, and quote as a share of NAV at its start.

    `top_ups` are plans that move margin only, margin calls answered and margin taken back.
    """

    name: str
    hedged: float
    unhedged: float
    hedged_drawdown: float
    unhedged_drawdown: float
    effectiveness: float
    at_mark: float
    causes: dict[str, float]
    counts: dict[str, int]


def drawdown(values: Floats) -> float:
    """
    Return the largest fall from a high, as a share of it.

    >>> drawdown(np.array([1.0, 2.0, 1.5, 4.0, 1.0]))
    0.75
    """
    return float(np.max(1.0 - values / np.maximum.accumulate(values)))


def effectiveness(hedged: Floats, unhedged: Floats) -> float:
    """Return 1 - Var / Var over log returns; nan where the price does not move."""
    spot = np.var(np.diff(np.log(unhedged)))
    return float(1.0 - np.var(np.diff(np.log(hedged))) / spot) if spot > 0 else float("nan")


def by_year(result: Result) -> list[Figures]:
    """
    Return the figures of each calendar year, UTC, and of all; the first hedge opens it.

    An hour that closes at midnight is the last of the day before.
    """
    moments = (result.closes_at - 1).astype("datetime64[s]")
    years = moments.astype("datetime64[Y]").astype(np.int64) + 1970
    periods = [(str(year), np.flatnonzero(years == year)) for year in np.unique(years)]
    return [
        *(figures(result, name, max(int(rows[0]) - 1, 0), int(rows[-1])) for name, rows in periods),
        figures(result, "all", 0, len(moments) - 1),
    ]


def figures(result: Result, name: str, first: int, last: int) -> Figures:
    """Return the figures from the close of row `first` to that of row `last`."""
    span = slice(first, last + 1)
    nav, spot = result.column("nav")[span], result.spot[span]
    start = result.deposit * spot[0] if first == 0 else nav[0]

    def grown(column: str) -> float:
        sums = result.column(column)
        return float(sums[last] - (sums[first] if first else 0.0))

    values = np.concatenate([[start], nav])
    return Figures(
        name=name,
        hedged=float(nav[-1] / start - 1.0),
        unhedged=float(spot[-1] / spot[0] - 1.0),
        hedged_drawdown=drawdown(values),
        unhedged_drawdown=drawdown(spot),
        effectiveness=effectiveness(nav, spot),
        at_mark=effectiveness(result.column("marked")[span], spot),
        causes={cause: grown(cause) / float(start) for cause in CAUSES},
        counts={count: round(grown(count)) for count in COUNTS},
    )


def lines(result: Result) -> list[tuple[str, ...]]:
    """Return the figures by year as cells, after a line of heads."""
    heads = (
        *("", "hedged", "unhedged", "drawdown", "unhedged", "effectiv.", "at mark", "funding"),
        *("impact", "fees", "spot", "gas", "losses", "rebal.", "margin", "liquid."),
    )
    return [heads, *(_row(each) for each in by_year(result))]


def span_of(result: Result) -> str:
    """Return first and last day and the number of hours."""
    first, last = (_day(int(at)) for at in (result.closes_at[0], result.closes_at[-1]))
    return f"{first} to {last}, {len(result.spot):,} hours"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return cells as text, right-aligned but for the first of a line."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join([first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])])
        for first, *rest in rows
    )


def table(result: Result) -> str:
    """Return the figures by year as text."""
    return f"{span_of(result)}\n{aligned(lines(result))}"


def _row(each: Figures) -> tuple[str, ...]:
    return (
        each.name,
        f"{each.hedged:+.2%}",
        f"{each.unhedged:+.1%}",
        f"{each.hedged_drawdown:.2%}",
        f"{each.unhedged_drawdown:.1%}",
        f"{each.effectiveness:.5f}",
        f"{each.at_mark:.5f}",
        *(f"{each.causes[cause]:+.2%}" for cause in CAUSES),
        *(str(each.counts[count]) for count in COUNTS),
    )


def _day(at: int) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d")
