# SPDX-License-Identifier: MIT
"""
The past of a vault for its charts, read from the journal: a few hundred points, however long it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from keeper.journal import DecisionRow
from keeper.journal_pages import JournalPages
from keeper.risk import assess
from keeper.snapshot import Address
from keeper.web.view.charts import Point, point_of

MOST_POINTS: Final = 400
KEPT_VAULTS: Final = 16


class Histories:
    """
    Points of vaults, each made once.

    Rows are taken at a stride that is a power of two, so that a longer history goes on with rows
    that are known already.
    """

    def __init__(self, journal: Callable[[], JournalPages]) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._rows: dict[Address, dict[int, int]] = {}  # by block
        self._points: dict[Address, dict[int, Point | None]] = {}

    def points(self, vault: Address) -> list[Point]:
        """
        Return the vault at up to `MOST_POINTS` moments, oldest first, one a block.

        Raises
        ------
        KeeperError
            If the journal cannot be read.
        """
        with self._lock:
            chosen = thinned(self._all_rows(vault), MOST_POINTS)
            known = self._points.setdefault(vault, {})
            missing = [number for number in chosen if number not in known]
            if missing:
                known |= {row.id: _point(row) for row in self._journal().rows(missing)}
            self._points[vault] = {number: known.get(number) for number in chosen}
            found = [point for point in self._points[vault].values() if point is not None]
            self._forget(vault)
        by_block = {point.block: point for point in found}
        return [by_block[block] for block in sorted(by_block)]

    def _all_rows(self, vault: Address) -> list[int]:
        """Return the last row of each block, in the order of the blocks."""
        rows = self._rows.setdefault(vault, {})
        rows |= self._journal().last_of_blocks(vault, max(rows.values(), default=0))
        return [rows[block] for block in sorted(rows)]

    def _forget(self, latest: Address) -> None:
        """Keep the vaults looked at last."""
        self._rows[latest] = self._rows.pop(latest)
        self._points[latest] = self._points.pop(latest)
        while len(self._rows) > KEPT_VAULTS:
            oldest = next(iter(self._rows))
            del self._rows[oldest], self._points[oldest]


def thinned(numbers: Sequence[int], most: int) -> list[int]:
    """
    Return at most about `most` numbers, evenly spaced, the last one always.

    >>> thinned(range(1, 10), 4)
    [1, 5, 9]
    """
    stride = 1
    while len(numbers) > stride * most:
        stride *= 2
    chosen = list(numbers[::stride])
    if numbers and chosen[-1] != numbers[-1]:
        chosen.append(numbers[-1])
    return chosen


def _point(row: DecisionRow) -> Point | None:
    vault = row.snapshot.vault
    if vault.price_wad == 0:
        return None
    return point_of(row.snapshot, assess(vault))
