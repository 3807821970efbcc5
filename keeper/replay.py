# SPDX-License-Identifier: MIT
"""
Audit of a running system: fetch its logs, fold them, hold them against the chain's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_abi.exceptions import DecodingError

from keeper.audit import Ledger, compare, fold
from keeper.audit_state import System, read_ledger
from keeper.errors import ChainUnavailable, CorruptAnswer
from keeper.events import Event, Log, decode_logs

Batch = Callable[[Sequence[tuple[str, list[Any]]]], list[Any]]  # as `keeper.chain.Chain.batch`

CALLS_A_BATCH: Final = 200
BLOCKS_A_QUERY: Final = 5_000  # public nodes refuse longer ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    What a replay found, at one block.

    `faults` holds one line for each contradiction: between events, or with the chain's state.
    """

    block: int
    events: tuple[Event, ...]
    ledger: Ledger
    faults: tuple[str, ...]

    @property
    def proven(self) -> bool:
        """Return whether the events reproduce state and audit head."""
        return not self.faults


def replay(batch: Batch, system: System, first_block: int, last_block: int) -> Verdict:
    """
    Replay all events up to `last_block` and compare with the state there.

    Parameters
    ----------
    batch : callable
        Sends JSON-RPC calls to one node.
    system : System
        Vault, book, queue and venues.
    first_block : int
        At or before the deployment of any of them.

    Raises
    ------
    ChainUnavailable
        If the node refuses a read.
    CorruptAnswer
        If a log does not fit its contract.
    """
    events = tuple(fetch_events(batch, system.contracts(), first_block, last_block))
    ledger = fold(events)

    def call(address: str, data: bytes) -> bytes:
        transaction = {"to": address, "data": "0x" + data.hex()}
        (answer,) = _answers(batch([("eth_call", [transaction, hex(last_block)])]))
        if not isinstance(answer, str) or len(answer) <= len("0x"):
            raise CorruptAnswer(f"{address} does not answer as our contracts do")
        return bytes.fromhex(answer[2:])

    try:
        state = read_ledger(call, system, ledger)
    except DecodingError as fault:
        raise CorruptAnswer(f"an answer does not fit its contract: {fault}") from None
    faults = (*ledger.faults, *compare(ledger, state))
    return Verdict(block=last_block, events=events, ledger=ledger, faults=faults)


def fetch_events(
    batch: Batch,
    contracts: dict[str, str],
    first_block: int,
    last_block: int,
    topics: Sequence[str] = (),
) -> list[Event]:
    """Return events of `contracts` (lower-case address to type) in chain order, all by default."""
    wanted = {"topics": [list(topics)]} if topics else {}
    calls: list[tuple[str, list[Any]]] = []
    for start in range(first_block, last_block + 1, BLOCKS_A_QUERY):
        end = min(start + BLOCKS_A_QUERY - 1, last_block)
        query = {"address": list(contracts), "fromBlock": hex(start), "toBlock": hex(end), **wanted}
        calls.append(("eth_getLogs", [query]))
    logs = [log_of(found) for answer in in_batches(batch, calls) for found in answer or ()]
    return decode_logs(logs, contracts)


def block_times(batch: Batch, blocks: Iterable[int]) -> dict[int, int]:
    """Return the Unix seconds of each block."""
    numbers = sorted(set(blocks))
    calls = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
    times = {}
    for number, answer in zip(numbers, in_batches(batch, calls), strict=True):
        if not isinstance(answer, dict) or "timestamp" not in answer:
            raise CorruptAnswer(f"the node has no block {number}, but a log in it")
        times[number] = int(answer["timestamp"], 16)
    return times


def in_batches(batch: Batch, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
    """Return all answers; nodes limit how many calls may come at once."""
    starts = range(0, len(calls), CALLS_A_BATCH)
    return [a for start in starts for a in _answers(batch(calls[start : start + CALLS_A_BATCH]))]


def _answers(answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, Exception):
            raise ChainUnavailable(f"the node refuses a read: {answer}")
    return answers


def log_of(found: dict[str, Any]) -> Log:
    """Return a log as a node gives it."""
    try:
        return Log(
            address=str(found["address"]).lower(),
            topics=tuple(bytes.fromhex(topic[2:]) for topic in found["topics"]),
            data=bytes.fromhex(found["data"][2:]),
            block=int(found["blockNumber"], 16),
            index=int(found["logIndex"], 16),
            tx_hash=str(found["transactionHash"]),
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise CorruptAnswer(f"the node gave no proper log: {fault}") from None
