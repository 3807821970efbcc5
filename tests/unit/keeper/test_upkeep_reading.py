# SPDX-License-Identifier: MIT
"""What reading a venue asks of a node, and which answers it refuses."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from keeper.errors import ChainUnavailable, CorruptAnswer
from keeper.events import topics_of
from keeper.upkeep_reading import OF_POOL, OF_VENUE, read
from tests.keeper_world import address

VENUE, POOL = address(0xA1), address(0xA2)
PARTS = encode(["address"] * 6, [address(1), address(2), address(3), POOL, address(4), address(5)])


class Node:
    """Answers block, parts and logs; remembers what it was asked for logs."""

    def __init__(self, *, head=12_000, parts=PARTS, logs=()):
        self.head, self.parts, self.logs, self.queries = head, parts, logs, []

    def __call__(self, calls):
        return [self.answer(method, parameters) for method, parameters in calls]

    def answer(self, method, parameters):
        if method == "eth_getBlockByNumber":
            return {"number": hex(self.head), "timestamp": hex(1_000)}
        if method == "eth_getLogs":
            self.queries.append(parameters[0])
            return list(self.logs)
        return self.parts if isinstance(self.parts, Exception) else "0x" + self.parts.hex()


def test_read__logs__in_bounded_pages_of_the_events_that_are_needed():
    node = Node()
    with pytest.raises(CorruptAnswer, match="opened before the first block"):
        read(node, VENUE, 1_001)
    ranges = [(int(q["fromBlock"], 16), int(q["toBlock"], 16)) for q in node.queries]
    assert ranges == [(1_001, 6_000), (6_001, 11_000), (11_001, 12_000)]
    wanted = topics_of("PerpVenue", *OF_VENUE) + topics_of("LiquidityPool", *OF_POOL)
    assert all(q["topics"] == [wanted] for q in node.queries)
    assert all(q["address"] == [VENUE, POOL] for q in node.queries)


def test_topics__event__hash_of_its_signature():
    """`PriceNoted` has four words of 256 bits."""
    signature = "PriceNoted(uint256,uint256,uint256,uint256)"
    assert topics_of("LiquidityPool", "PriceNoted") == ["0x" + keccak(text=signature).hex()]
    with pytest.raises(KeyError):
        topics_of("LiquidityPool", "Traded")


@pytest.mark.parametrize("parts", [b"", PARTS[:-1]])
def test_read__no_venue_at_the_address__corrupt(parts):
    with pytest.raises(CorruptAnswer, match="does not fit its contract"):
        read(Node(parts=parts), VENUE, 0)


def test_read__node_refuses__unavailable():
    with pytest.raises(ChainUnavailable, match="no archive"):
        read(Node(parts=ValueError("no archive")), VENUE, 0)
