# SPDX-License-Identifier: MIT
"""
A vault's past as charts: columns of numbers with how they are to be drawn. Floats from here on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from keeper.risk import Risk
from keeper.snapshot import Snapshot
from keeper.units import BPS, WAD
from keeper.words import SHARE_DIGITS, Tokens, moment

MOST_RATIO: Final = 15.0  # margin ratios over it say nothing and would flatten the rest
TABLE_ROWS: Final = 12  # of the table under a chart


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """
    A vault at one block.

    Prices and the value of a share in whole quote; exposure, target and bands as shares of equity;
    basis and funding as fractions, funding per 8 hours; None where there is no such number.
    """

    at: int
    block: int
    price: float
    share: float | None
    exposure: float | None
    target: float
    inner: float
    urgent: float
    margin_ratio: float | None
    margin_floor: float
    margin_target: float
    liquidation: float | None
    basis: float
    mean_basis: float
    funding: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One column of a chart.

    `style` is a name that the page knows: it stands for a colour and a dash, so that lines differ
    without colour.
    """

    label: str
    style: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart with the words that say what it shows."""

    name: str
    title: str
    means: str
    unit: str  # "price", "percent", "times"
    lines: tuple[Line, ...]
    band: tuple[int, int] | None = None  # between these two lines the ground is shaded
    limits: tuple[float, float] | None = None  # of what is shown; None: all of it


def point_of(snapshot: Snapshot, risk: Risk) -> Point:
    """Return the vault as one point of its history."""
    vault, limits = snapshot.vault, snapshot.vault.limits
    market = vault.venues[0].market if vault.venues else None
    prices = [v.liquidation_price_wad for v in risk.venues if v.delta and v.liquidation_price_wad]
    nearest = min(prices, key=lambda price: abs(price - vault.price_wad), default=None)
    unit = 10 ** (vault.asset_decimals + SHARE_DIGITS)
    supply = vault.total_supply / unit
    share = risk.nav / 10**vault.quote_decimals / supply if supply else None
    ratio = risk.margin_ratio_bps
    return Point(
        at=snapshot.block.at,
        block=snapshot.block.number,
        price=vault.price_wad / WAD,
        share=share,
        exposure=risk.delta / risk.equity if risk.equity > 0 else None,
        target=risk.target_exposure_bps / BPS,
        inner=limits.inner_band_bps / BPS,
        urgent=limits.urgent_band_bps / BPS,
        margin_ratio=None if ratio is None else ratio / BPS,
        margin_floor=limits.margin_floor_bps / BPS,
        margin_target=limits.margin_target_bps / BPS,
        liquidation=None if nearest is None else nearest / WAD,
        basis=market.premium_wad / WAD if market else 0.0,
        mean_basis=market.mean_premium_wad / WAD if market else 0.0,
        funding=market.funding_rate_wad / WAD if market else 0.0,
    )


def charts(points: Sequence[Point], tokens: Tokens) -> list[Chart]:
    """Return a vault's charts; none without at least two points."""
    held = [point for point in points if point.share is not None]
    if len(held) < 2:
        return []
    return [
        _value(held, tokens),
        _exposure(held),
        _price(held, tokens),
        _margin(held),
        _basis(held),
        _funding(held),
    ]


def columns(points: Sequence[Point], found: Sequence[Chart]) -> dict[str, Any]:
    """Return the charts as the page's script reads them: one shared column of times."""
    held = [point for point in points if point.share is not None]
    return {
        "times": [point.at for point in held],
        "charts": [
            {
                "name": chart.name,
                "unit": chart.unit,
                "band": chart.band,
                "limits": chart.limits,
                "lines": [
                    {"label": line.label, "style": line.style, "values": line.values}
                    for line in chart.lines
                ],
            }
            for chart in found
        ],
    }


def table(points: Sequence[Point], found: Sequence[Chart]) -> dict[str, list[list[str]]]:
    """Return a few rows of each chart as text, for those who do not see it; by its name."""
    held = [point for point in points if point.share is not None]
    stride = max(1, len(held) // TABLE_ROWS)
    rows = range(len(held) - 1, -1, -stride)
    return {
        chart.name: [
            [moment(held[i].at), *(_cell(line.values[i], chart.unit) for line in chart.lines)]
            for i in rows
        ]
        for chart in found
    }


def _cell(value: float | None, unit: str) -> str:
    if value is None:
        return "none"
    if unit == "percent":
        return f"{100 * value:,.3f} %"
    return f"{value:,.2f} x" if unit == "times" else f"{value:,.2f}"


def _column(
    points: Sequence[Point], of: Callable[[Point], float | None]
) -> tuple[float | None, ...]:
    return tuple(of(point) for point in points)


def _value(points: Sequence[Point], tokens: Tokens) -> Chart:
    first = points[0]
    start = first.share or 0.0
    return Chart(
        name="value",
        title="Value of a share",
        means=f"In {tokens.quote}. Unhedged is what the share would be worth, had its coins simply "
        "been held since the first point.",
        unit="price",
        lines=(
            Line(label="hedged", style="main", values=_column(points, lambda p: p.share)),
            Line(
                label="unhedged",
                style="other",
                values=_column(points, lambda p: start * p.price / first.price),
            ),
        ),
    )


def _exposure(points: Sequence[Point]) -> Chart:
    return Chart(
        name="exposure",
        title="Exposure and its band",
        means="Share of the value that still moves with the price. Inside the shaded band the "
        "keeper leaves it alone; past the dashed lines it must act at once.",
        unit="percent",
        band=(1, 2),
        limits=_limits(points),
        lines=(
            Line(label="exposure", style="main", values=_column(points, lambda p: p.exposure)),
            Line(
                label="inner band, up",
                style="band",
                values=_column(points, lambda p: p.target + p.inner),
            ),
            Line(
                label="inner band, down",
                style="band",
                values=_column(points, lambda p: p.target - p.inner),
            ),
            Line(
                label="urgent, up",
                style="limit",
                values=_column(points, lambda p: p.target + p.urgent),
            ),
            Line(
                label="urgent, down",
                style="limit",
                values=_column(points, lambda p: p.target - p.urgent),
            ),
        ),
    )


def _limits(points: Sequence[Point]) -> tuple[float, float]:
    """Return what shows the band; the first hour, fully unhedged, may run out of the frame."""
    targets, urgent = [point.target for point in points], max(point.urgent for point in points)
    reach = max((abs(p.exposure - p.target) for p in points if p.exposure is not None), default=0.0)
    half = min(max(1.3 * urgent, 1.1 * reach), 2.5 * urgent)
    return min(targets) - half, max(targets) + half


def _price(points: Sequence[Point], tokens: Tokens) -> Chart:
    return Chart(
        name="price",
        title="Price and liquidation price",
        means=f"In {tokens.quote}. Where the two meet, the venue takes the hedge away.",
        unit="price",
        lines=(
            Line(label="index price", style="main", values=_column(points, lambda p: p.price)),
            Line(
                label="liquidation price",
                style="limit",
                values=_column(points, lambda p: p.liquidation),
            ),
        ),
    )


def _margin(points: Sequence[Point]) -> Chart:
    def cut(point: Point) -> float | None:
        return None if point.margin_ratio is None else min(point.margin_ratio, MOST_RATIO)

    return Chart(
        name="margin",
        title="Margin ratio",
        means=f"Equity over maintenance margin, cut at {MOST_RATIO:.0f}; at 1 the position is "
        "liquidated.",
        unit="times",
        lines=(
            Line(label="margin ratio", style="main", values=_column(points, cut)),
            Line(label="target", style="band", values=_column(points, lambda p: p.margin_target)),
            Line(label="floor", style="limit", values=_column(points, lambda p: p.margin_floor)),
        ),
    )


def _basis(points: Sequence[Point]) -> Chart:
    return Chart(
        name="basis",
        title="Basis",
        means="How far the future's price is from the index. The keeper waits when the premium "
        "jumps away from its 30-minute mean.",
        unit="percent",
        lines=(
            Line(label="premium", style="main", values=_column(points, lambda p: p.basis)),
            Line(
                label="30-minute mean",
                style="other",
                values=_column(points, lambda p: p.mean_basis),
            ),
        ),
    )


def _funding(points: Sequence[Point]) -> Chart:
    return Chart(
        name="funding",
        title="Funding rate",
        means="Per 8 hours. Over zero the vault, which is short, earns it; under zero it pays.",
        unit="percent",
        lines=(
            Line(label="funding", style="main", values=_column(points, lambda p: p.funding)),
            Line(label="zero", style="band", values=_column(points, lambda _: 0.0)),
        ),
    )
