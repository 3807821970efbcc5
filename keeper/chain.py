# SPDX-License-Identifier: MIT
"""
The chain's edge: JSON-RPC in, records out, over one node or several.

A tick reads everything with one HTTP request to each node that is well: chain id, head, the key's
nonces and balance, receipts of what is in flight, and the lens for all vaults in pages of 25. What
is decided on is what the nodes agree about at one block; nodes that fail, lag or dissent rest for
a while. A tick that sends makes two more requests, to one node: simulation (call and gas in one
batch) and the signed bytes. Then one a poll until the receipt is there.

Every fault ends here as one of `keeper.errors`, in one line. Reads are tried again with back-off
and jitter, and elsewhere; bytes that a node may have are never sent again from here.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

import structlog

from keeper.deadline import Deadline
from keeper.endpoint import Endpoint, Patience
from keeper.errors import (
    CallRefused,
    ChainUnavailable,
    CorruptAnswer,
    Fault,
    Throttled,
    Unreached,
    Unsendable,
)
from keeper.pool import Pool
from keeper.reader import Node, Reader
from keeper.reading import (
    Reading,
    Receipt,
    receipt_of,
)
from keeper.rpc import (
    KNOWN_WORDS,
    Call,
    RpcFault,
    answered,
    not_sent,
    number,
    one_line,
    revert_reason,
    secrets_of,
)
from keeper.snapshot import Address

__all__ = ["Chain", "Envelope", "Node", "Signed"]

Method = TypeVar("Method", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A transaction before it is signed."""

    to: Address
    calldata: bytes
    nonce: int
    gas: int
    max_fee: int  # wei per gas
    priority_fee: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Signed bytes and the hash by which the chain will know them."""

    tx_hash: str
    raw: bytes


def _counted(method: Method) -> Method:
    """Count by class the faults with which it ends."""

    @wraps(method)
    def counting(chain: Chain, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(chain, *args, **kwargs)
        except Fault as fault:
            chain._pool.count(fault)
            raise

    return cast("Method", counting)


class Chain:
    """One chain, by one node or several; clock and chance may be given."""

    def __init__(
        self,
        node: Node,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: random.Random | None = None,
        log: Any = None,
    ) -> None:
        self.node = node
        secrets = secrets_of([*node.urls, node.send_url or ""])
        jitter = jitter or random.Random()
        patience = Patience(
            timeout_secs=node.timeout_secs,
            requests_a_sec=node.max_requests_a_sec,
            monotonic=monotonic,
            jitter=jitter,
        )
        endpoints = [Endpoint(url, patience, secrets) for url in node.urls]
        self._sender = Endpoint(node.send_url, patience, secrets) if node.send_url else None
        log = log if log is not None else structlog.get_logger("keeper")
        self._pool = Pool(endpoints, node.agreeing, log)
        self._reader = Reader(node, self._pool, wall=wall, jitter=jitter)
        self._enough: dict[tuple[Address, bytes, int], int] = {}  # gas, by shape of a call

    @property
    def requests(self) -> int:
        """Return how many HTTP requests were made."""
        return self.requests_by_node.total()

    @property
    def requests_by_node(self) -> Counter[str]:
        """Return how many HTTP requests were made to each node."""
        return self._pool.requests.copy()

    def nodes(self) -> dict[str, str]:
        """Return what is wrong with each node that is read from; empty for one that is well."""
        return {e.place: str(e.fault) if e.fault else "" for e in self._pool.endpoints}

    @property
    def faults(self) -> Counter[str]:
        """Return how many faults there were of each class, of nodes and of what we asked of all."""
        return self._pool.faults.copy()

    def close(self) -> None:
        """Close connections."""
        self._pool.close()

    def read(
        self,
        vaults: Sequence[Address],
        sender: Address | None,
        watched: Sequence[str],
        deadline: Deadline,
    ) -> Reading:
        """Read everything at one block, see `Reader.read`."""
        return self._reader.read(vaults, sender, watched, deadline)

    @_counted
    def simulate(self, sender: Address, to: Address, calldata: bytes, gas: int) -> int:
        """
        Return gas that is enough for a call, from the chain's own mouth.

        Parameters
        ----------
        gas : int
            The most that it may take; the call is tried with so much.

        Raises
        ------
        CallRefused
            With the contract's reason, if the call would revert.
        Unsendable
            If the node does not carry it out for another reason.

        Notes
        -----
        A node searches for the least gas by some fifteen executions. So what was enough for an
        earlier call of this shape is tried first, in the place of the search; only when it is not
        enough any more, a request of its own searches anew.
        """
        call = {"from": sender, "to": to, "data": "0x" + calldata.hex()}
        shape = (to, calldata[:4], len(calldata))
        search: Call = ("eth_estimateGas", [call])
        enough = self._enough.get(shape)
        second = search if enough is None else _with_gas(call, enough)
        tried, found = self.batch([_with_gas(call, gas), second])
        _carried_out(tried)
        if enough is not None:
            if not isinstance(found, RpcFault):
                return enough
            (found,) = self.batch([search])
        used = number(_carried_out(found))
        if used <= gas:
            self._enough[shape] = used
        return used

    @_counted
    def send(self, signed: Signed) -> None:
        """
        Hand signed bytes over, once: to the next node only if not a byte reached the last.

        Raises
        ------
        ChainUnavailable
            If the node did not answer, or with an error that leaves open whether it has it.
        SendRefused
            If the node answered that it does not take it.
        """
        last: Fault = ChainUnavailable("there is no node to send to")
        for endpoint in self._senders():
            call: Call = ("eth_sendRawTransaction", ["0x" + signed.raw.hex()])
            try:
                (answer,) = self._pool.ask_one(endpoint, [call])
            except (Unreached, Throttled) as fault:
                self._pool.rest(endpoint, fault)
                last = fault
                continue
            return _check_sent(answer, signed)
        raise last

    def _senders(self) -> list[Endpoint]:
        """Return where signed bytes may go, the first choice first."""
        if self._sender is None:
            return self._pool.order()
        others = [] if self.node.send_private else self._pool.order()
        return [self._sender, *others]

    @_counted
    def receipt(self, tx_hash: str) -> tuple[Receipt | None, int]:
        """Return a receipt, if there is one on the chain as it is now, and the number of a head."""
        endpoint, (answer, head) = self._pool.ask_first(
            [("eth_getTransactionReceipt", [tx_hash]), ("eth_blockNumber", [])]
        )
        receipt = self._reader.canonical(endpoint, receipt_of(tx_hash, answered(answer)))
        return receipt, number(answered(head))

    @_counted
    def known(self, tx_hash: str) -> bool:
        """
        Return whether a node has the transaction, mined or waiting.

        Raises
        ------
        ChainUnavailable
            If no node to read from says so or denies it.
        """
        call: Call = ("eth_getTransactionByHash", [tx_hash])
        nodes = self._pool.ready() + ([self._sender] if self._sender is not None else [])
        found = self._pool.ask_all({endpoint: [call] for endpoint in nodes})
        if any(isinstance(f, list) and isinstance(f[0], dict) for f in found.values()):
            return True
        readers = [found[endpoint] for endpoint in nodes if endpoint is not self._sender]
        if [None] not in readers:
            first = readers[0]
            raise first if isinstance(first, Fault) else _refusal(first[0])
        return False

    @_counted
    def reason_of(self, sender: Address, to: Address, calldata: bytes, block_number: int) -> str:
        """Return why a mined call reverted, by calling it again on the block before it."""
        call = {"from": sender, "to": to, "data": "0x" + calldata.hex()}
        (answer,) = self.batch([("eth_call", [call, hex(block_number - 1)])])
        if isinstance(answer, RpcFault):
            return revert_reason(answer.payload, answer.message)
        return ""

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """
        Make all calls with one HTTP request, to the next node when one fails.

        Returns
        -------
        list
            For each call its result, or an `RpcFault`.

        Raises
        ------
        ChainUnavailable
            With what to look at, in one line.
        """
        return self._pool.ask_first(calls)[1]


def _refusal(answer: Any) -> Fault:
    """Return what is wrong with an answer that should be a transaction or null."""
    try:
        answered(answer)
    except Fault as fault:
        return fault
    return CorruptAnswer("expected a transaction")


def _with_gas(call: dict[str, str], gas: int) -> Call:
    return ("eth_call", [call | {"gas": hex(gas)}, "pending"])


def _carried_out(answer: Any) -> Any:
    """Return the answer of a call that was carried out for nothing."""
    if isinstance(answer, RpcFault):
        if answer.reverted:
            raise CallRefused(revert_reason(answer.payload, answer.message))
        raise Unsendable(f"the node cannot simulate: {answer.message}")
    return answer


def _check_sent(answer: Any, signed: Signed) -> None:
    if isinstance(answer, RpcFault):
        if not answer.says(KNOWN_WORDS):
            raise not_sent(answer)
    elif str(answer).lower() != signed.tx_hash:
        raise CorruptAnswer(f"sent {signed.tx_hash}, the node answers {one_line(answer)}")
