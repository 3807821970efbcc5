# SPDX-License-Identifier: MIT
"""
Plots of the documentation, drawn from the same formulas that the keeper decides with.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from keeper.curve import Scale, initial_up, maintenance_up, trade_cost_up
from keeper.deleveraging import Batch, Position, deleverage
from keeper.report import BLUE, DPI, GREEN, GREY, ORANGE, PURPLE, RED, STYLE
from keeper.risk import liquidation_price_wad
from keeper.simulation.reference.funding import Funding
from keeper.simulation.reference.terms import Terms
from keeper.snapshot import Address, Margin, Market
from keeper.units import WAD, Assets, Quote, Wad, div_ceil, price_divisor

ETHER: Final = 10**18
USD: Final = 10**6
PRICE: Final = 2_000
SIZE_INCHES: Final = (7.5, 3.6)
DIVISOR: Final = price_divisor(18, 6)
MARKET: Final = Market(
    skew=Assets(0), skew_scale=Assets(10_000 * ETHER), long_size=Assets(0), short_size=Assets(0),
    max_side=Assets(3_000 * ETHER), premium_wad=Wad(0), mean_premium_wad=Wad(0),
    premium_cap_wad=Wad(3 * WAD // 100), funding_rate_wad=Wad(0), taker_fee_wad=Wad(5 * 10**14),
    maker_fee_wad=Wad(2 * 10**14), initial_base_wad=Wad(WAD // 10),
    initial_slope_wad=Wad(WAD // 5), maintenance_share_wad=Wad(WAD // 2),
    maintenance_floor_wad=Wad(4 * WAD // 100), haircut_wad=Wad(WAD // 10),
    pool_equity=Quote(20_000_000 * USD), insurance=Quote(500_000 * USD),
)  # fmt: skip


def png_of(draw: Callable[[Figure], None]) -> bytes:
    """Return a plot as PNG."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        draw(figure)
        raw = io.BytesIO()
        figure.savefig(raw, format="png", dpi=DPI)
    return raw.getvalue()


def _scale(price: int) -> Scale:
    return Scale(price_wad=Wad(price * WAD), divisor=DIVISOR)


def _delta(figure: Figure) -> None:
    """Draw the value of a share at each price for three hedge ratios."""
    axes = figure.subplots()
    prices = np.linspace(1_000, 3_000, 101)
    for ratio, colour, dash, name in (
        (0.0, ORANGE, "--", "h = 0: coins only"),
        (0.5, PURPLE, "-.", "h = 50 %"),
        (1.0, BLUE, "-", "h = 100 %: fully hedged"),
    ):
        axes.plot(prices, prices + ratio * (PRICE - prices), dash, color=colour, label=name)
    axes.axvline(PRICE, color=GREY, lw=0.8)
    axes.set_xlabel("price, quote")
    axes.set_ylabel("value of one coin\nand its hedge, quote")
    axes.legend()


def _basis(figure: Figure) -> None:
    """Draw what buying and selling cost by size, with and without a skew."""
    axes = figure.subplots()
    sizes = np.linspace(1, 400, 60)
    for skew, side, colour, dash, name in (
        (0, 1, GREY, "-", "buy or sell, no skew"),
        (200, 1, ORANGE, "--", "buy, longs ahead by 200"),
        (200, -1, BLUE, "-.", "sell, longs ahead by 200"),
    ):
        market = replace(MARKET, skew=Assets(skew * ETHER))
        costs = [_cost_share(market, side * int(size * ETHER)) for size in sizes]
        axes.plot(sizes, costs, dash, color=colour, label=name)
    axes.axhline(0, color=GREY, lw=0.8)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("size, coins")
    axes.set_ylabel("cost over the index,\nfee included")
    axes.legend()


def _cost_share(market: Market, size: int) -> float:
    scale = _scale(PRICE)
    return trade_cost_up(market, size, scale) / scale.value_up(abs(size))


def _funding(figure: Figure) -> None:
    """Draw the funding rate by the premium."""
    axes = figure.subplots()
    terms = {"interest_wad": 10**14, "interest_band_wad": 5 * 10**14, "funding_cap_wad": WAD // 100}
    funding = Funding(Terms(**(dict.fromkeys(Terms._fields, 0) | terms)))
    premia = np.linspace(-0.015, 0.015, 301)
    rates = [funding.rate(int(premium * WAD)) / WAD for premium in premia]
    axes.plot(premia, rates, color=BLUE)
    axes.plot(premia, premia, ":", color=GREY, label="the premium itself")
    axes.axhline(0, color=GREY, lw=0.8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    axes.set_xlabel("premium of the future over the index")
    axes.set_ylabel("funding per 8 hours\n(> 0: longs pay)")
    axes.legend()


def _margin(figure: Figure) -> None:
    """Draw equity and what it has to stay over, by the price, for a short of 100 coins."""
    axes = figure.subplots()
    prices = range(1_500, 3_600, 20)
    size, posted = -100 * ETHER, 40 * ETHER
    equities = [_equity(posted, size, price) / USD for price in prices]
    axes.plot(prices, equities, color=BLUE, label="equity for margin")
    for need, colour, dash, name in (
        (initial_up, GREEN, "--", "initial margin"),
        (maintenance_up, RED, "-.", "maintenance margin"),
    ):
        needed = [need(MARKET, size, _scale(price)) / USD for price in prices]
        axes.plot(prices, needed, dash, color=colour, label=name)
    found = liquidation_price_wad(_account(posted, size), MARKET, _scale(PRICE))
    if found is not None:
        axes.axvline(
            found / WAD, color=GREY, lw=1, ls=":", label=f"liquidation, {found / WAD:,.0f}"
        )
    axes.axvline(PRICE, color=GREY, lw=0.8)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("price, quote")
    axes.set_ylabel("quote")
    axes.legend()


def _equity(posted: int, size: int, price: int) -> float:
    """Return haircut coins and the profit of a position opened at `PRICE`."""
    kept = WAD - MARKET.haircut_wad
    worth = posted * price * WAD * kept // (DIVISOR * WAD)
    return float(worth + size * (price - PRICE) * WAD // DIVISOR)


def _account(posted: int, size: int) -> Margin:
    scale = _scale(PRICE)
    return Margin(
        assets=Assets(posted), quote=Quote(0), delta=Assets(size), profit=Quote(0),
        equity=Quote(int(_equity(posted, size, PRICE))), initial=initial_up(MARKET, size, scale),
        maintenance=maintenance_up(MARKET, size, scale),
    )  # fmt: skip


def _deleveraging(figure: Figure) -> None:
    """Draw what shorts of different leverage give up when longs have failed."""
    axes = figure.subplots()
    leverages = (30, 20, 10, 5, 2, 1)
    size = 100
    owners = [Address(f"0x{i + 1:040x}") for i in range(len(leverages))]
    shorts = [
        Position(owner=owner, size=Assets(-size), equity=Quote(size * 10 // leverage))
        for owner, leverage in zip(owners, leverages, strict=True)
    ]
    for failed, colour, shift in ((120, BLUE, -0.2), (240, ORANGE, 0.2)):
        batch = Batch(
            deficit=Quote(failed // 20), failed_size=Assets(failed), price_wad=Wad(10 * WAD),
            divisor=WAD, skew=Assets(0),
        )  # fmt: skip
        done = deleverage(batch, shorts, lambda left: Quote(div_ceil(abs(left) * 10, 40)))
        by_owner = {cut.owner: cut.size for cut in done.cuts}
        cuts = [abs(by_owner.get(short.owner, 0)) / size for short in shorts]
        places = [i + shift for i in range(len(leverages))]
        axes.bar(places, cuts, 0.38, color=colour, label=f"{failed / size:.1f} positions failed")
    axes.set_xticks(range(len(leverages)), [f"{leverage} x" for leverage in leverages])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("leverage of the short")
    axes.set_ylabel("share of the position\nthat it gives up")
    axes.legend()


FIGURES: Final[Mapping[str, Callable[[Figure], None]]] = {
    "delta": _delta,
    "basis": _basis,
    "funding": _funding,
    "margin": _margin,
    "deleveraging": _deleveraging,
}
