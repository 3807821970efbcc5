# SPDX-License-Identifier: MIT
"""Logs that no reorganisation reaches are asked for once."""

from __future__ import annotations

from keeper.caretaker import SETTLED_BLOCKS, RememberedLogs


def logs(first, last):
    return ("eth_getLogs", [{"fromBlock": hex(first), "toBlock": hex(last)}])


class Node:
    def __init__(self):
        self.asked = []

    def __call__(self, calls):
        self.asked.append(list(calls))
        return [[{"of": params[0]["toBlock"]}] if "Logs" in m else m for m, params in calls]


def test_remembered__old_logs__asked_for_once_and_in_their_place():
    node = Node()
    batch = RememberedLogs(node)
    calls = [logs(0, 4_999), logs(5_000, 9_999), ("eth_chainId", [])]
    first = batch(calls)
    assert batch(calls) == first == node(calls)
    assert node.asked[1] == calls[1:]  # near the head, and no logs


def test_remembered__logs_within_reach_of_a_reorganisation__asked_for_again():
    node = Node()
    batch = RememberedLogs(node)
    calls = [logs(0, 10_000 - SETTLED_BLOCKS), logs(1, 10_001 - SETTLED_BLOCKS), logs(2, 10_000)]
    for _ in range(2):
        batch(calls)
    assert node.asked[1] == calls[1:]


def test_remembered__refused__asked_again():
    answers = [[RuntimeError("limit"), []], [[1], []]]
    batch = RememberedLogs(lambda calls: answers.pop(0))
    calls = [logs(0, 10), logs(11, 1_000)]
    assert isinstance(batch(calls)[0], RuntimeError)
    assert batch(calls) == [[1], []]
