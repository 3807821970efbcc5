# SPDX-License-Identifier: MIT
"""
Which of several nodes' readings is believed. Pure.

Nodes are compared at one block, by its hash, the key's nonce and every word of every vault, so
price and vault nonce among them. A reading stands if at least the quorum gave it and more nodes
did than gave any other; else nothing is decided on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from keeper.errors import Disagreement
from keeper.reading import Reading
from keeper.snapshot import Snapshot

K = TypeVar("K")


def default_quorum(nodes: int) -> int:
    """Return half of the nodes, rounded up: 1 of 1 and of 2, 2 of 3 and of 4, 3 of 5."""
    return (nodes + 1) // 2


def common_head(heads: Sequence[int], quorum: int, highest: int) -> int:
    """
    Return the block to compare at: the newest that the quorum has, and at least two nodes.

    Parameters
    ----------
    heads : sequence of int
        Of the nodes that answered, at least `quorum` of them.
    highest : int
        The highest head ever believed. A head under it is returned only when fewer than the
        quorum have reached it again.
    """
    falling = sorted(heads, reverse=True)
    compared = min(max(quorum, 2), len(falling))
    while compared > quorum and falling[compared - 1] < highest:
        compared -= 1
    return falling[compared - 1]


def agreed(readings: Mapping[K, Reading], quorum: int) -> list[K]:
    """
    Return whose reading is believed, in the order given.

    Raises
    ------
    Disagreement
        If no reading has the quorum and the majority of those compared.
    """
    groups: dict[object, list[K]] = {}
    for node, reading in readings.items():
        groups.setdefault(_essence(reading), []).append(node)
    ranked = sorted(groups.values(), key=len, reverse=True)
    most = ranked[0]
    if len(most) >= quorum and 2 * len(most) > len(readings):
        return most
    if len(ranked) == 1:
        raise Disagreement(f"{len(most)} nodes can be compared, {quorum} must agree")
    one, other = readings[most[0]], readings[ranked[1][0]]
    raise Disagreement(f"nodes disagree at block {one.block.number}: {difference(one, other)}")


def _essence(reading: Reading) -> object:
    return reading.block.hash, reading.nonce, tuple(s.words for s in reading.snapshots)


def difference(one: Reading, other: Reading) -> str:
    """Return in words what differs first between two readings at one height."""
    if one.block.hash != other.block.hash:
        return f"its hash is {one.block.hash} or {other.block.hash}, two forks"
    if one.nonce != other.nonce:
        return f"the key's nonce is {one.nonce} or {other.nonce}"
    pairs = zip(one.snapshots, other.snapshots, strict=True)
    return next((_of_vault(a, b) for a, b in pairs if a.words != b.words), "nothing")


def _of_vault(one: Snapshot, other: Snapshot) -> str:
    a, b = one.vault, other.vault
    if (a.price_ok, a.price_wad) != (b.price_ok, b.price_wad):
        return f"the price of vault {a.vault} is {a.price_wad} or {b.price_wad}"
    if a.state.nonce != b.state.nonce:
        return f"the nonce of vault {a.vault} is {a.state.nonce} or {b.state.nonce}"
    return f"the state of vault {a.vault}"
