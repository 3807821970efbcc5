# SPDX-License-Identifier: MIT
"""
Time and blocks of a local node: many transactions in one block at a chosen second.

Anvil and Ganache do the same by different methods; other nodes have no such methods, and the
market simulator then says that it needs a local one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from brownie import web3

from scripts.calls import ScriptError

Kind = Literal["anvil", "ganache"]


def request(method: str, *parameters: Any) -> Any:
    """
    Return the result of one JSON-RPC call on the connected node.

    Raises
    ------
    ScriptError
        If the node answers with an error.
    """
    answer = web3.provider.make_request(method, list(parameters))
    if answer.get("error"):
        raise ScriptError(f"{method}: {answer['error'].get('message')}")
    return answer.get("result")


def node_kind() -> Kind:
    """
    Return which local node is connected.

    Raises
    ------
    ScriptError
        If its time cannot be set.
    """
    client = str(request("web3_clientVersion")).lower()
    if "anvil" in client:
        return "anvil"
    if "ganache" in client:
        return "ganache"
    raise ScriptError(f"time stands still on {client}: the market needs Anvil or Ganache")


def head_at() -> int:
    """Return the time of the latest block, Unix seconds."""
    return int(request("eth_getBlockByNumber", "latest", False)["timestamp"], 16)


@contextmanager
def one_block(kind: Kind, at: int) -> Iterator[None]:
    """
    Put everything that is sent inside into one block of the time `at`.

    Mining at once goes on after it, from that time. Transactions of others that arrive meanwhile
    are mined along.
    """
    _stop_mining(kind)
    try:
        yield
        if kind == "anvil":
            request("evm_setNextBlockTimestamp", at)
            request("evm_mine")
        else:
            request("evm_setTime", at * 1_000)  # milliseconds here
    finally:
        _start_mining(kind)  # Ganache mines what is pending by itself


def _stop_mining(kind: Kind) -> None:
    if kind == "anvil":
        request("evm_setAutomine", False)
    else:
        request("miner_stop")


def _start_mining(kind: Kind) -> None:
    if kind == "anvil":
        request("evm_setAutomine", True)
    else:
        request("miner_start")
