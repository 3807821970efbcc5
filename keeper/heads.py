# SPDX-License-Identifier: MIT
"""
The chain's recent blocks by hash, so that a reorganisation is seen even at the same height. Pure.
"""

from __future__ import annotations

from typing import Final

from keeper.errors import NodeBehind
from keeper.snapshot import Block

REMEMBERED: Final = 256  # blocks


class Heads:
    """What each height was when it was last seen, by hash and by the parent's hash."""

    def __init__(self) -> None:
        self._hashes: dict[int, str] = {}
        self.newest: int | None = None  # number of the head last noted
        self.highest = -1

    def note(self, block: Block, earlier: tuple[int, str] | None = None) -> int | None:
        """
        Link a head to what is known.

        Parameters
        ----------
        earlier : tuple[int, str], optional
            A block seen before and the hash it has now; empty where it is not known.

        Returns
        -------
        int | None
            The first block known to have been replaced; the fork may lie deeper.
        """
        now = {block.number - 1: block.parent_hash, block.number: block.hash}
        if earlier is not None and earlier[1]:
            now |= {earlier[0]: earlier[1]}
        replaced = [n for n, seen in now.items() if self._hashes.get(n, seen) != seen]
        first = min(replaced, default=None)
        kept = range(block.number - REMEMBERED, block.number if first is None else first)
        self._hashes = {n: seen for n, seen in self._hashes.items() if n in kept} | now
        self.newest, self.highest = block.number, max(self.highest, block.number)
        return first

    def check(self, number: int, block_hash: str | None) -> None:
        """
        Refuse a head lower than one that was seen.

        Raises
        ------
        NodeBehind
            With what the operator can do about it.
        """
        if number >= self.highest:
            return
        known = self._hashes.get(number)
        words = f"the head went back from {self.highest} to {number}"
        if known is None or block_hash is None:
            hint = "the node lags, or its chain was reset: then start the keeper again"
        elif known == block_hash:
            hint = "the same chain, the node lags or others answer behind its address: wait"
        else:
            hint = "other blocks, the chain was set back: if that was meant, start the keeper again"
        raise NodeBehind(f"{words}; {hint}")
