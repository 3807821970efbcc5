# SPDX-License-Identifier: MIT
"""
Report of a run: figures, one HTML file that opens offline, a summary.

Everything here is drawn from a `History`; `keeper.history` makes one from a journal and the
chain's events. Floats are fine: nothing is decided on these numbers.
"""

import base64
import datetime
import html
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib import RcParams
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

# Okabe & Ito 2008, "Color Universal Design": told apart with any colour vision.
BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
RED = "#D55E00"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
GREY = "#666666"
COST_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)

STYLE: Final = RcParams(
    {
        "axes.grid": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "font.size": 9.5,
        "grid.alpha": 0.3,
        "legend.frameon": False,
        "timezone": "UTC",
    }
)
FLOW_KINDS = frozenset({"charges on deposits and exits"})
EARNED_KINDS = frozenset({"funding"})
SIZE_INCHES = (9.0, 4.2)
DPI = 110
MAX_RATIO = 15.0  # margin ratios over it say nothing and would flatten the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    The vault at one block.

    Attributes
    ----------
    at, block : int
        Unix seconds and number of the block.
    price : float
        Index, quote per asset.
    nav_per_share : float
        Quote per whole share.
    exposure, target : float
        D / E and 1 - h.
    premium, mean_premium, funding_rate : float
        Of the venue; fractions, the rate per 8 hours, positive: longs pay.
    margin_ratio : float or None
        Equity over maintenance margin, 1 is liquidation; None without a position.
    liquidation_distance : float or None
        Relative price move to liquidation; None without a position or where no price does it.
    """

    at: int
    block: int
    price: float
    nav_per_share: float
    exposure: float
    target: float
    premium: float
    mean_premium: float
    funding_rate: float
    margin_ratio: float | None
    liquidation_distance: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Quote lost (positive) or earned (negative) by the vault at one moment."""

    at: int
    kind: str
    quote: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """One decision as the journal has it, in words."""

    at: int
    block: int
    action: str
    reason: str
    size: str = ""
    margin: str = ""
    spot: str = ""
    outcome: str = ""
    decision_id: str = ""
    repeats: int = 1  # equal decisions in a row that this line stands for


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """Limits that the figures draw; shares of E, ratios of equity over maintenance."""

    inner: float
    urgent: float
    margin_floor: float
    margin_target: float


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """
    A run: samples by block, costs and flows by time, decisions.

    `asset` and `quote` are symbols; `flows` holds the Unix seconds of deposits and exits.
    """

    title: str
    asset: str
    quote: str
    bands: Bands
    samples: Sequence[Sample]
    costs: Sequence[Cost] = ()
    flows: Sequence[int] = ()
    decisions: Sequence[DecisionRow] = ()
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)
    years: Sequence[Sequence[str]] = ()  # a table by year: a line of heads, then lines


def drawdown(values: Sequence[float]) -> float:
    """
    Return the largest fall from a peak, as a fraction in ``[0, 1]``.

    >>> drawdown([1.0, 2.0, 1.5, 1.8])
    0.25
    """
    peaks = accumulate(values, max)
    return max((1.0 - value / peak for value, peak in zip(values, peaks, strict=True)), default=0.0)


def unhedged(samples: Sequence[Sample]) -> list[float]:
    """Return what a share would be worth, had its coins simply been held."""
    first = samples[0]
    return [first.nav_per_share * sample.price / first.price for sample in samples]


def write_report(history: History, folder: Path) -> Path:
    """
    Write one PNG per figure and `report.html` with all of them inside.

    Raises
    ------
    ValueError
        If there is no sample to draw.
    """
    if not history.samples:
        raise ValueError("nothing to report: no tick was recorded")
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for name, heading, draw in FIGURES:
        png = _png(history, draw)
        (folder / f"{name}.png").write_bytes(png)
        images.append((heading, png))
    path = folder / "report.html"
    path.write_text(_page(history, images), encoding="utf-8")
    return path


def _png(history: History, draw: Callable[[History, Figure], None]) -> bytes:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        draw(history, figure)
        for axes in figure.axes:
            _time_axis(axes)
        raw = io.BytesIO()
        figure.savefig(raw, format="png", dpi=DPI)
    return raw.getvalue()


def _time_axis(axes: Axes) -> None:
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis_date()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    if axes.get_subplotspec() is None or axes.get_subplotspec().is_last_row():  # type: ignore[union-attr]
        axes.set_xlabel("block time, UTC")


def _times(history: History) -> list[float]:
    return [_days(sample.at) for sample in history.samples]


def _days(at: int) -> float:
    """Return Unix seconds as Matplotlib counts time: days since 1970."""
    return at / 86_400


def _moment(at: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at, datetime.UTC)


def _draw_nav(history: History, figure: Figure) -> None:
    axes = figure.subplots()
    times = _times(history)
    hedged = [sample.nav_per_share for sample in history.samples]
    bare = unhedged(history.samples)
    axes.plot(times, bare, color=ORANGE, lw=1.4, label=_with_drawdown("unhedged", bare))
    axes.plot(times, hedged, color=BLUE, lw=1.8, label=_with_drawdown("hedged", hedged))
    axes.set_ylabel(f"NAV per share, {history.quote}")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.legend(loc="best")


def _with_drawdown(name: str, values: Sequence[float]) -> str:
    return f"{name} (largest fall {drawdown(values):.2%})"


def _draw_exposure(history: History, figure: Figure) -> None:
    axes = figure.subplots()
    times, bands = _times(history), history.bands
    targets = [sample.target for sample in history.samples]
    exposures = [sample.exposure for sample in history.samples]
    _draw_bands(axes, times, targets, bands)
    axes.step(times, targets, where="post", color=GREY, lw=1, ls="--", label="target, 1 minus h")
    axes.step(times, exposures, where="post", color=BLUE, lw=1.4, label="exposure D / E")
    axes.set_ylabel("share of equity")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    bottom, top = _exposure_limits(exposures, targets, bands)
    axes.set_ylim(bottom, top)
    flows = [_days(at) for at in history.flows]
    low = [bottom] * len(flows)
    axes.plot(flows, low, "^", color=PURPLE, ms=6, label="deposit or exit", clip_on=False)
    axes.legend(loc="upper right", ncols=2)


def _draw_bands(axes: Axes, times: Sequence[float], targets: Sequence[float], bands: Bands) -> None:
    for half, colour, name in ((bands.urgent, ORANGE, "urgent"), (bands.inner, GREEN, "inner")):
        low = [target - half for target in targets]
        high = [target + half for target in targets]
        label = f"{name} band ±{half:.2%}"
        axes.fill_between(
            times, low, high, step="post", color=colour, alpha=0.18, lw=0, label=label
        )


def _exposure_limits(
    exposures: Sequence[float], targets: Sequence[float], bands: Bands
) -> tuple[float, float]:
    """Return limits that show the band; the start, fully unhedged, may run out of the frame."""
    reach = max(abs(e - t) for e, t in zip(exposures, targets, strict=True))
    half = min(max(1.4 * bands.urgent, 1.1 * reach), 4.0 * bands.urgent)
    return min(targets) - half, max(targets) + half


def _draw_basis(history: History, figure: Figure) -> None:
    upper, lower = figure.subplots(2, 1, sharex=True)
    times = _times(history)
    for values, colour, width, label in (
        ([1e4 * sample.premium for sample in history.samples], BLUE, 1.2, "premium π"),
        ([1e4 * sample.mean_premium for sample in history.samples], ORANGE, 1.4, "30-minute mean"),
    ):
        upper.step(times, values, where="post", color=colour, lw=width, label=label)
    upper.set_ylabel("basis, bp")
    upper.legend(loc="best", ncols=2)
    rates = [1e4 * sample.funding_rate for sample in history.samples]
    lower.step(times, rates, where="post", color=PURPLE, lw=1.2)
    lower.axhline(0, color=GREY, lw=0.8)
    lower.set_ylabel("funding, bp per 8 h\n(> 0: shorts earn)")


def _draw_margin(history: History, figure: Figure) -> None:
    upper, lower = figure.subplots(2, 1, sharex=True)
    times = _times(history)
    bands = history.bands
    ratios = [_clipped(sample.margin_ratio) for sample in history.samples]
    upper.step(times, ratios, where="post", color=BLUE, lw=1.4)
    for level, colour, label in (
        (bands.margin_target, GREEN, "target"),
        (bands.margin_floor, ORANGE, "floor"),
        (1.0, RED, "liquidation"),
    ):
        upper.axhline(level, color=colour, lw=1, ls="--", label=f"{label} {level:.2f}")
    upper.set_ylabel(f"equity /\nmaintenance\n(cut at {MAX_RATIO:.0f})")
    upper.set_ylim(0, None)
    upper.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    distances = [_or_nan(sample.liquidation_distance) for sample in history.samples]
    lower.step(times, distances, where="post", color=PURPLE, lw=1.4)
    lower.set_ylabel("price rise to\nliquidation")
    lower.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    lower.set_ylim(0, None)


def _clipped(ratio: float | None) -> float:
    return float("nan") if ratio is None else min(ratio, MAX_RATIO)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _draw_costs(history: History, figure: Figure) -> None:
    """Draw trading, funding and what flows pay for apart: they are of different sizes."""
    steps = costs_by_kind(history)
    apart = (EARNED_KINDS, FLOW_KINDS)
    groups = [{kind: run for kind, run in steps.items() if not any(kind in each for each in apart)}]
    groups += [{kind: run for kind, run in steps.items() if kind in each} for each in apart]
    drawn = [group for group in groups if group] or [{}]
    panels = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)
    colours = iter(COST_COLOURS + (GREY,) * len(steps))
    for (axes,), group in zip(panels, drawn, strict=True):
        chosen = [next(colours) for _ in group]
        _draw_steps(axes, group, history.samples[-1].at, chosen)
        axes.set_ylabel(f"{history.quote}, > 0 lost,\n< 0 earned")


def _draw_steps(
    axes: Axes,
    steps: Mapping[str, Sequence[tuple[int, float]]],
    last_at: int,
    colours: Sequence[str],
) -> None:
    for colour, (kind, run) in zip(colours, steps.items(), strict=False):
        times = [_days(at) for at, _ in run] + [_days(last_at)]
        values = [total for _, total in run] + [run[-1][1]]
        label = f"{kind}: {values[-1]:,.2f}"
        axes.step(times, values, where="post", color=colour, lw=1.5, label=label)
    axes.axhline(0, color=GREY, lw=0.8)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if steps:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8.5)


def costs_by_kind(history: History) -> dict[str, list[tuple[int, float]]]:
    """Return (Unix seconds, total so far) by kind, each starting at zero with the first sample."""
    start = history.samples[0].at
    steps: dict[str, list[tuple[int, float]]] = {}
    for cost in sorted(history.costs, key=lambda cost: cost.at):
        run = steps.setdefault(cost.kind, [(start, 0.0)])
        run.append((max(cost.at, start), run[-1][1] + cost.quote))
    return steps


FIGURES: tuple[tuple[str, str, Callable[[History, Figure], None]], ...] = (
    ("nav", "NAV per share, hedged against unhedged", _draw_nav),
    ("exposure", "Exposure and its band", _draw_exposure),
    ("basis", "Basis and funding", _draw_basis),
    ("margin", "Margin ratio and distance to liquidation", _draw_margin),
    ("costs", "Costs, cumulated by kind", _draw_costs),
)


CSS = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
       max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; }
img { max-width: 100%; }
table { border-collapse: collapse; font-size: 13px; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ddd;
         vertical-align: top; }
th { position: sticky; top: 0; background: #f4f4f4; }
.facts td:last-child, .number { text-align: right; font-variant-numeric: tabular-nums; }
.facts { width: auto; min-width: 28rem; } code { font-size: 12px; color: #555; }
"""


def _page(history: History, images: Sequence[tuple[str, bytes]]) -> str:
    figures = [section(heading, png) for heading, png in images]
    years = [figures_table("By year", history.years)] if history.years else []
    facts, decisions = _facts_table(history.facts), _decisions_table(history.decisions)
    return page(history.title, facts, *years, *figures, decisions)


def page(heading: str, *parts: str) -> str:
    """Return a whole HTML page of parts that are HTML; it refers to nothing outside itself."""
    title = html.escape(heading)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width">'
        f"<style>{CSS}</style></head><body><h1>{title}</h1>{''.join(parts)}</body></html>\n"
    )


def figures_table(heading: str, lines: Sequence[Sequence[str]]) -> str:
    """Return a table of figures: a line of heads, then lines that begin with a name."""
    head = "".join(f'<th class="number">{html.escape(cell)}</th>' for cell in lines[0])
    rows = "".join(
        f"<tr><td>{html.escape(line[0])}</td>"
        + "".join(f'<td class="number">{html.escape(cell)}</td>' for cell in line[1:])
        + "</tr>"
        for line in lines[1:]
    )
    return f"<h2>{html.escape(heading)}</h2><table><tr>{head}</tr>{rows}</table>"


def section(heading: str, png: bytes) -> str:
    """Return a heading with a picture inside the page."""
    image = base64.b64encode(png).decode()
    text = html.escape(heading)
    return f'<h2>{text}</h2><img alt="{text}" src="data:image/png;base64,{image}">'


def _facts_table(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
        for name, value in facts
    )
    return f'<table class="facts">{rows}</table>'


def _decisions_table(decisions: Sequence[DecisionRow]) -> str:
    heads = ("time, UTC", "block", "action", "reason", "size", "margin", "spot", "outcome", "id")
    head = "".join(f"<th>{name}</th>" for name in heads)
    rows = "".join(_decision_row(row) for row in decisions)
    return f"<h2>Every decision</h2><table><tr>{head}</tr>{rows}</table>"


def _decision_row(row: DecisionRow) -> str:
    repeats = f" ({row.repeats} times)" if row.repeats > 1 else ""
    texts = (row.action + repeats, row.reason)
    numbers = (row.size, row.margin, row.spot)
    cells = [f"{_moment(row.at):%m-%d %H:%M:%S}", str(row.block), *texts]
    return (
        "<tr>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        + "".join(f'<td class="number">{html.escape(number)}</td>' for number in numbers)
        + f"<td>{html.escape(row.outcome)}</td><td><code>{html.escape(row.decision_id)}</code></td>"
        + "</tr>"
    )
