# SPDX-License-Identifier: MIT
"""
Diagrams of the documentation as SVG: boxes on a grid and arrows between them.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

CELL: Final = (190, 92)  # pixels from one box to the next
BOX: Final = (160, 60)
EDGE: Final = 20  # around everything
STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#13202c}.s{font-size:11px;fill:#566676}"
    ".b{fill:#fff;stroke:#0b5c8a;stroke-width:1.4}.p{fill:#eaf3f9}"
    ".a{fill:none;stroke:#566676;stroke-width:1.3}"
)

TIP: Final = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
    'markerHeight="7" orient="auto"><path d="M0 0l8 4-8 4z" fill="#566676"/></marker></defs>'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A box with its place on the grid; `plain` ones are people and machines outside."""

    name: str
    says: str
    column: float
    row: float
    plain: bool = False


Arrow = tuple[str, str, str]  # from, to, label


def contracts_diagram() -> str:
    """Return who holds what on the chain."""
    boxes = [
        Box(name="Depositor", says="", column=0.5, row=0, plain=True),
        Box(name="Liquidity provider", says="", column=3, row=0, plain=True),
        Box(name="Insurance staker", says="", column=4, row=0, plain=True),
        Box(name="HedgeVault", says="shares, idle coin", column=0.5, row=1.2),
        Box(name="LiquidityPool", says="the other side", column=3, row=1.2),
        Box(name="InsuranceFund", says="first loss", column=4, row=1.2),
        Box(name="RedemptionQueue", says="exits that wait", column=0, row=2.4),
        Box(name="ExitInKind", says="exits without a price", column=1, row=2.4),
        Box(name="HedgeBook", says="guard, audit chain", column=2, row=2.4),
        Box(name="PerpVenue", says="accounts, funding", column=3.5, row=2.4),
        Box(name="SpotMarket", says="settles profit", column=2, row=3.6),
        Box(name="PriceOracle", says="one checked price", column=3.5, row=3.6),
        Box(name="Keeper", says="proposes plans", column=1, row=3.6, plain=True),
        Box(name="Risk owner", says="proposes changes", column=0, row=4.8, plain=True),
        Box(name="Timelock", says="acts after a delay", column=1, row=4.8),
        Box(
            name="What has an owner", says="vault, book, pool, fund", column=2, row=4.8, plain=True
        ),
    ]
    arrows = [
        ("Depositor", "HedgeVault", "coin"),
        ("Liquidity provider", "LiquidityPool", "quote"),
        ("Insurance staker", "InsuranceFund", "quote"),
        ("HedgeVault", "HedgeBook", ""),
        ("HedgeVault", "RedemptionQueue", ""),
        ("HedgeVault", "ExitInKind", ""),
        ("HedgeBook", "PerpVenue", "margin, trades"),
        ("HedgeBook", "SpotMarket", ""),
        ("LiquidityPool", "PerpVenue", ""),
        ("InsuranceFund", "PerpVenue", "cover"),
        ("PriceOracle", "PerpVenue", "price"),
        ("Keeper", "HedgeBook", "plan"),
        ("Risk owner", "Timelock", ""),
        ("Timelock", "What has an owner", ""),
    ]
    return svg("The contracts and who uses them", boxes, arrows)


def keeper_diagram() -> str:
    """Return the way of one cycle through the keeper."""
    names = (
        ("Chain", "one request a tick"),
        ("Snapshot", "one block"),
        ("Risk", "drift, margin"),
        ("Decision", "pure function"),
        ("Guard", "limits, budgets"),
    )
    boxes = [
        Box(name=name, says=says, column=i, row=0, plain=i == 0)
        for i, (name, says) in enumerate(names)
    ]
    boxes += [
        Box(name="Journal", says="before each step", column=2, row=1.3),
        Box(name="Transaction", says="simulated, signed", column=4, row=1.3),
        Box(name="Receipt", says="mined, final", column=3, row=1.3),
    ]
    way = ("Chain", "Snapshot", "Risk", "Decision", "Guard", "Transaction", "Receipt", "Journal")
    arrows = [(start, end, "") for start, end in pairwise(way)]
    return svg("One cycle of the keeper", boxes, arrows)


def dashboard_diagram() -> str:
    """Return how the dashboard comes to what it shows."""
    boxes = [
        Box(name="Chain", says="read only", column=0, row=0, plain=True),
        Box(name="Journal", says="read only", column=0, row=1.1, plain=True),
        Box(name="Watcher", says="looks every 2 s", column=1, row=0.55),
        Box(name="Seen", says="immutable", column=2, row=0.55),
        Box(name="View models", says="pure", column=3, row=0.55),
        Box(name="Pages, events", says="strict CSP", column=4, row=0.55),
    ]
    arrows = [
        ("Chain", "Watcher", ""),
        ("Journal", "Watcher", ""),
        ("Watcher", "Seen", ""),
        ("Seen", "View models", ""),
        ("View models", "Pages, events", ""),
    ]
    return svg("How the dashboard comes to what it shows", boxes, arrows)


def svg(title: str, boxes: Sequence[Box], arrows: Sequence[Arrow]) -> str:
    """Return the drawing."""
    width = int(max(box.column for box in boxes) * CELL[0] + BOX[0] + 2 * EDGE)
    height = int(max(box.row for box in boxes) * CELL[1] + BOX[1] + 2 * EDGE)
    by_name = {box.name: box for box in boxes}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>",
        TIP,
        f'<rect width="{width}" height="{height}" rx="10" fill="#f4f6f8"/>',
        *(_arrow(by_name, *arrow) for arrow in arrows),
        *(_box(box) for box in boxes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _corner(box: Box) -> tuple[float, float]:
    return EDGE + box.column * CELL[0], EDGE + box.row * CELL[1]


def _box(box: Box) -> str:
    x, y = _corner(box)
    kind = "b p" if box.plain else "b"
    middle, high = x + BOX[0] / 2, y + (27 if box.says else 35)
    words = f'<text x="{middle:g}" y="{high:g}" text-anchor="middle">{html.escape(box.name)}</text>'
    if box.says:
        words += (
            f'<text class="s" x="{middle:g}" y="{y + 45:g}" text-anchor="middle">'
            f"{html.escape(box.says)}</text>"
        )
    place = f'x="{x:g}" y="{y:g}" width="{BOX[0]}" height="{BOX[1]}" rx="8"'
    return f'<rect class="{kind}" {place}/>{words}'


def _arrow(boxes: Mapping[str, Box], start: str, end: str, label: str) -> str:
    (x1, y1), (x2, y2) = (_corner(boxes[name]) for name in (start, end))
    ax, ay, bx, by = x1 + BOX[0] / 2, y1 + BOX[1] / 2, x2 + BOX[0] / 2, y2 + BOX[1] / 2
    sx, sy = _rim(ax, ay, bx, by)
    ex, ey = _rim(bx, by, ax, ay)
    line = f'<path class="a" d="M{sx:.1f} {sy:.1f}L{ex:.1f} {ey:.1f}" marker-end="url(#tip)"/>'
    if not label:
        return line
    side = 6.0  # to the right of a line, or over a level one, or to the left of a rising one
    if abs(ey - sy) < 1:
        side = -3.0 * len(label)
    elif (ex - sx) * (ey - sy) < 0:
        side = -6.0 * len(label) - 6.0
    return line + (
        f'<text class="s" x="{(sx + ex) / 2 + side:.1f}" y="{(sy + ey) / 2 - 5:.1f}">'
        f"{html.escape(label)}</text>"
    )


def _rim(x: float, y: float, towards_x: float, towards_y: float) -> tuple[float, float]:
    """Return where the way from a box's middle leaves the box."""
    dx, dy = towards_x - x, towards_y - y
    shares = [half / abs(d) for half, d in ((BOX[0] / 2, dx), (BOX[1] / 2, dy)) if d]
    share = min(shares, default=0.0)
    return x + dx * share, y + dy * share
