# SPDX-License-Identifier: MIT
"""What a demo was asked for, and what happened on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keeper.local_node import Kind as NodeKind
from keeper.simulation.market import MarketHour


@dataclass(slots=True, kw_only=True)
class Run:
    """One demo, filled in as it goes."""

    hours: Sequence[MarketHour]
    title: str
    folder: Path
    node: NodeKind
    seed: int
    live: bool = False  # people look on by the dashboard
    residuals: list[float] = field(default_factory=list)  # basis that was not followed
    refused: list[str] = field(default_factory=list)  # of the market's own transactions
    flows: list[str] = field(default_factory=list)
    hour_blocks: list[int] = field(default_factory=list)  # last block of each hour
    unserved: list[str] = field(default_factory=list)  # depositors still waiting at the end
    killed: str = ""
    cut_off: frozenset[int] = frozenset()  # journal rows of transactions under way at the kill
    keeper_exit: int | None = None
