# SPDX-License-Identifier: MIT
"""
The worst minute of a path, to let something happen there.

A short is hurt by the fastest rise while nobody adds margin, and by losing its position right
before the deepest fall: deleveraging takes shorts in profit first (quant.md 7), and what is left
is the spot, long and naked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keeper.simulation.market import HOUR_SECS, MarketHour


def fastest(hours: Sequence[MarketHour], span: int, *, up: bool) -> int:
    """
    Return the index of the close before the largest move over `span` hours.

    Raises
    ------
    ValueError
        If the path is not longer than the span.
    """
    if not 0 < span < len(hours):
        raise ValueError(f"a span of {span} does not fit {len(hours)} hours")
    logs = np.log([hour.spot for hour in hours])
    moves = logs[span:] - logs[:-span]
    return int(np.argmax(moves) if up else np.argmin(moves))


def squeeze_outage(hours: Sequence[MarketHour], span: int) -> tuple[int, int]:
    """Return from and to when a keeper is down to miss the fastest rise over `span` hours."""
    at = hours[fastest(hours, span, up=True)].closes_at
    return at, at + span * HOUR_SECS


def crash_cut(hours: Sequence[MarketHour], span: int, share: float) -> tuple[int, float]:
    """Return the close before the deepest fall over `span` hours, and the share cut there."""
    if not 0 < share <= 1:
        raise ValueError(f"a share is in (0, 1], was {share}")
    return hours[fastest(hours, span, up=False)].closes_at, share
