# SPDX-License-Identifier: MIT
"""
The chain's edge: JSON-RPC in, records out. The only file that imports web3.

A tick reads everything with one HTTP request: chain id, head, the key's nonces and balance,
receipts of what is in flight, and the lens for all vaults in pages of 25. A tick that sends makes
two more: simulation (call and gas estimate in one batch) and the signed bytes. Then one a poll
until the receipt is there.

Every library exception ends here as one of `keeper.errors`, in one line. Reads are tried again
with back-off and jitter; what was sent is never sent again from here.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import requests
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak
from web3 import HTTPProvider
from web3.types import RPCEndpoint

from keeper.deadline import Deadline
from keeper.errors import (
    CallRefused,
    ChainUnavailable,
    CorruptAnswer,
    Fault,
    NodeBehind,
    NonceTaken,
    SendRefused,
    Throttled,
    Unsendable,
    WrongChain,
)
from keeper.snapshot import (
    MAX_VAULTS,
    Address,
    Block,
    Snapshot,
    decode_vault,
    split_page,
)

SNAPSHOTS: Final = keccak(text="snapshots(address[])")[:4]
ERROR_STRING: Final = bytes.fromhex("08c379a0")  # Error(string)
PANIC: Final = bytes.fromhex("4e487b71")  # Panic(uint256)
FUTURE_TOLERANCE: Final = 60  # seconds that a node's clock may be ahead of ours
LOCAL_CHAINS: Final = (31337, 1337)  # what Anvil and Ganache call themselves
FIRST_BACKOFF: Final = 0.25  # seconds
KNOWN_WORDS: Final = ("already known", "known transaction", "already imported")
NONCE_WORDS: Final = ("nonce too low", "have the correct nonce")  # geth and Anvil, Ganache
REFUSED_WORDS: Final = (  # a node that says one of these has not taken the transaction
    "insufficient funds",
    "enough funds",
    "underpriced",
    "intrinsic gas",
    "block gas limit",
    "gas limit is too high",
    "less than block base fee",
    "less than the block's basefee",
    "max priority fee per gas higher",
    "exceeds the configured cap",
    "invalid sender",
    "invalid signature",
    "invalid chain id",
    "transaction type not supported",
)
REVERT_WORDS: Final = ("revert", "invalid opcode", "out of gas")
Call = TypeVar("Call", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Which node, which chain, and how patient to be."""

    rpc_url: str
    chain_id: int
    lens: Address
    timeout_secs: float = 5.0
    attempts: int = 3
    confirmations: int = 1
    head_max_age_secs: float | None = 120.0  # None: the chain's time is not the world's


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a transaction."""

    tx_hash: str
    succeeded: bool
    block_number: int
    block_hash: str
    gas_used: int
    effective_gas_price: int  # wei


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Everything that a tick rests on, at one block."""

    block: Block
    snapshots: tuple[Snapshot, ...]
    nonce: int  # mined
    pending_nonce: int  # with the node's pool, where the node counts it
    balance: int  # wei
    receipts: dict[str, Receipt | None]


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


class RpcFault(Exception):
    """The error object of one answer."""

    def __init__(self, code: int, message: str, payload: bytes | None) -> None:
        self.code, self.message, self.payload = code, message, payload
        super().__init__(f"{message} ({code})")

    @property
    def reverted(self) -> bool:
        """Return whether the EVM said no, rather than the node."""
        words = self.message.lower()
        return self.payload is not None or any(word in words for word in REVERT_WORDS)


def _counted(call: Call) -> Call:
    """Count by class the faults with which attempts end."""

    @wraps(call)
    def counting(chain: Chain, *args: Any, **kwargs: Any) -> Any:
        try:
            return call(chain, *args, **kwargs)
        except Fault as fault:
            chain.faults[type(fault).__name__] += 1
            raise

    return cast("Call", counting)


class Chain:
    """One node."""

    def __init__(
        self,
        node: Node,
        *,
        wall: Callable[[], float] = time.time,
        jitter: random.Random | None = None,
    ) -> None:
        self.node = node
        self.requests = 0  # HTTP requests made
        self.faults: Counter[str] = Counter()  # attempts that failed, by class of error
        self._wall = wall
        self._jitter = jitter or random.Random()
        self._highest = 0
        self._session = requests.Session()
        self._lock = threading.Lock()
        self._provider = HTTPProvider(
            node.rpc_url,
            request_kwargs={"timeout": node.timeout_secs},
            session=self._session,
            exception_retry_configuration=None,  # it would send transactions again
        )

    # Reading

    def read(
        self,
        vaults: Sequence[Address],
        sender: Address | None,
        watched: Sequence[str],
        deadline: Deadline,
    ) -> Reading:
        """
        Read head, vaults, account and receipts with one request, at one block.

        Raises
        ------
        ChainUnavailable
            After all attempts: no node, the wrong one, one that lags.
        CorruptAnswer
            If an answer cannot be.
        """
        pinned: int | None = None
        last: Exception | None = None
        for attempt in range(self.node.attempts):
            if attempt:
                self._back_off(attempt, deadline)
            deadline.check("reading the chain")
            try:
                reading = self._read_once(vaults, sender, watched, pinned)
            except _MovedOn as moved:
                pinned, last = moved.number, moved
                continue
            except WrongChain:
                raise
            except ChainUnavailable as fault:
                last = fault
                continue
            if reading is not None:
                return reading
        if isinstance(last, ChainUnavailable):
            raise last
        raise ChainUnavailable("the head moved during each attempt to read at one block")

    @_counted
    def _read_once(
        self,
        vaults: Sequence[Address],
        sender: Address | None,
        watched: Sequence[str],
        pinned: int | None,
    ) -> Reading:
        tag = "latest" if pinned is None else hex(pinned)
        pages = [vaults[i : i + MAX_VAULTS] for i in range(0, len(vaults), MAX_VAULTS)]
        calls = self._questions(sender or self.node.lens, watched, pages, tag)
        chain_id, head, nonce, pending, balance, *rest = self.batch(calls)
        self._check_chain_id(number(answered(chain_id)))
        block = _block(answered(head))
        self._check_head(block)
        receipts = {
            tx_hash: _receipt(tx_hash, answered(answer))
            for tx_hash, answer in zip(watched, rest[: len(watched)], strict=True)
        }
        snapshots: list[Snapshot] = []
        for page, answer in zip(pages, rest[len(watched) :], strict=True):
            snapshots += self._page(page, answer, block)
        self._highest = max(self._highest, block.number)
        return Reading(
            block=block,
            snapshots=tuple(snapshots),
            nonce=number(answered(nonce)),
            pending_nonce=number(answered(pending)),
            balance=number(answered(balance)),
            receipts=receipts,
        )

    def _questions(
        self, who: Address, watched: Sequence[str], pages: Sequence[Sequence[Address]], tag: str
    ) -> list[tuple[str, list[Any]]]:
        """Return the calls of a tick's one request."""
        return [
            ("eth_chainId", []),
            ("eth_getBlockByNumber", [tag, False]),
            ("eth_getTransactionCount", [who, "latest"]),
            ("eth_getTransactionCount", [who, "pending"]),
            ("eth_getBalance", [who, "latest"]),
            *(("eth_getTransactionReceipt", [tx_hash]) for tx_hash in watched),
            *(("eth_call", [self._lens_call(page), tag]) for page in pages),
        ]

    def _lens_call(self, page: Sequence[Address]) -> dict[str, str]:
        encoded = SNAPSHOTS + encode(["address[]"], [list(page)])
        return {"to": self.node.lens, "data": "0x" + encoded.hex()}

    def _page(self, page: Sequence[Address], answer: object, block: Block) -> list[Snapshot]:
        if isinstance(answer, RpcFault):
            if answer.reverted:
                reason = revert_reason(answer.payload, answer.message)
                raise CorruptAnswer(f"the lens reverts ({reason}): is each vault a HedgeVault?")
            raise ChainUnavailable(f"the node refuses the lens call: {answer.message}")
        returned = _bytes(answer)
        if not returned:
            raise WrongChain(f"no VaultLens at {self.node.lens} on chain {self.node.chain_id}")
        number, at, words = split_page(returned, page)
        if (number, at) != (block.number, block.at):
            raise _MovedOn(max(number, block.number))
        return [Snapshot(block=block, vault=decode_vault(w), words=w) for w in words]

    def _check_chain_id(self, chain_id: int) -> None:
        if chain_id != self.node.chain_id:
            raise WrongChain(f"the node is on chain {chain_id}, expected {self.node.chain_id}")

    def _check_head(self, block: Block) -> None:
        if block.number < self._highest:
            raise NodeBehind(f"the head went back from {self._highest} to {block.number}")
        if self.node.head_max_age_secs is None:
            return
        age = self._wall() - block.at
        if age > self.node.head_max_age_secs:
            allowed = f"{self.node.head_max_age_secs:g}"
            hint = '; a chain that mines on demand wants chain.clock = "head"'
            raise NodeBehind(
                f"the head is {age:.0f} s old, allowed are {allowed} s"
                + (hint if self.node.chain_id in LOCAL_CHAINS else "")
            )
        if age < -FUTURE_TOLERANCE:
            raise NodeBehind(f"the head is {-age:.0f} s in the future: check the clocks")

    # Sending

    @_counted
    def simulate(self, sender: Address, to: Address, calldata: bytes, gas: int) -> int:
        """
        Return the gas that a call would use, from the chain's own mouth.

        Raises
        ------
        CallRefused
            With the contract's reason, if the call would revert.
        Unsendable
            If the node does not carry it out for another reason.
        """
        call = {"from": sender, "to": to, "data": "0x" + calldata.hex()}
        tried, estimated = self.batch(
            [
                ("eth_call", [call | {"gas": hex(gas)}, "pending"]),
                ("eth_estimateGas", [call]),
            ]
        )
        for answer in (tried, estimated):
            if isinstance(answer, RpcFault):
                if answer.reverted:
                    raise CallRefused(revert_reason(answer.payload, answer.message))
                _check_rate(answer)
                raise Unsendable(f"the node cannot simulate: {answer.message}")
        return number(estimated)

    @_counted
    def send(self, signed: Signed) -> None:
        """
        Hand signed bytes to the node, once.

        Raises
        ------
        ChainUnavailable
            If the node did not answer, or with an error that leaves open whether it has it.
        SendRefused
            If the node answered that it does not take it.
        """
        (answer,) = self.batch([("eth_sendRawTransaction", ["0x" + signed.raw.hex()])])
        if isinstance(answer, RpcFault):
            if not _says(answer, KNOWN_WORDS):
                raise _not_sent(answer)
        elif str(answer).lower() != signed.tx_hash:
            raise CorruptAnswer(f"sent {signed.tx_hash}, the node answers {answer}")

    @_counted
    def receipt(self, tx_hash: str) -> tuple[Receipt | None, int]:
        """Return a receipt, if there is one, and the number of the head."""
        answer, head = self.batch(
            [("eth_getTransactionReceipt", [tx_hash]), ("eth_blockNumber", [])]
        )
        return _receipt(tx_hash, answered(answer)), number(answered(head))

    @_counted
    def known(self, tx_hash: str) -> bool:
        """Return whether the node has the transaction, mined or waiting."""
        (answer,) = self.batch([("eth_getTransactionByHash", [tx_hash])])
        return answered(answer) is not None

    @_counted
    def reason_of(self, sender: Address, to: Address, calldata: bytes, block_number: int) -> str:
        """Return why a mined call reverted, by calling it again on the block before it."""
        call = {"from": sender, "to": to, "data": "0x" + calldata.hex()}
        (answer,) = self.batch([("eth_call", [call, hex(block_number - 1)])])
        if isinstance(answer, RpcFault):
            return revert_reason(answer.payload, answer.message)
        return ""

    # Transport

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """
        Make all calls with one HTTP request; an answer is a result or an `RpcFault`.

        Raises
        ------
        ChainUnavailable
            With what to look at, in one line.
        """
        asked = [(RPCEndpoint(method), params) for method, params in calls]
        with self._lock:
            self.requests += 1
        try:
            answers = self._provider.make_batch_request(cast("Any", asked))
        except requests.RequestException as fault:
            raise self._unavailable(fault) from fault
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as fault:
            raise ChainUnavailable(f"{self.place} does not speak JSON-RPC") from fault
        if not isinstance(answers, list):
            raise _refused_batch(self.place, answers)
        if len(answers) != len(calls):
            raise CorruptAnswer(f"asked {len(calls)} calls, got {len(answers)} answers")
        return [_outcome(answer) for answer in answers]

    @property
    def place(self) -> str:
        """Return the node's host; the rest of a URL may hold a key."""
        parts = urlsplit(self.node.rpc_url)
        return f"the node at {parts.hostname}" + (f":{parts.port}" if parts.port else "")

    def close(self) -> None:
        """Close connections."""
        self._session.close()

    def _unavailable(self, fault: requests.RequestException) -> ChainUnavailable:
        response = fault.response
        if response is not None and response.status_code == 429:
            return Throttled(f"{self.place} limits the rate of requests")
        if response is not None:
            return ChainUnavailable(f"{self.place} answers HTTP {response.status_code}")
        if isinstance(fault, requests.Timeout):
            return ChainUnavailable(f"{self.place} is silent for {self.node.timeout_secs:g} s")
        return ChainUnavailable(f"{self.place} cannot be reached")

    def _back_off(self, attempt: int, deadline: Deadline) -> None:
        longest = FIRST_BACKOFF * 2 ** (attempt - 1)
        deadline.sleep(longest * (0.5 + self._jitter.random() / 2))


class _MovedOn(Exception):
    """The head changed between two calls of one batch."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


def revert_reason(payload: bytes | None, message: str = "") -> str:
    """
    Return the reason in revert data: text, a panic code, or a selector in hex.

    Without data the node's own words have to do.
    """
    if payload:
        if payload[:4] == ERROR_STRING:
            try:
                return str(decode(["string"], payload[4:])[0])
            except (DecodingError, UnicodeDecodeError):
                return "0x" + payload.hex()
        if payload[:4] == PANIC and len(payload) == 36:
            return f"panic 0x{payload[-1]:02x}"
        return "0x" + payload.hex()
    for prefix in ("execution reverted: ", "VM Exception while processing transaction: revert "):
        if message.startswith(prefix):
            return message.removeprefix(prefix)
    words = message.lower()
    return "" if words in {"execution reverted", "revert"} else message


def _outcome(answer: Any) -> Any:
    if not isinstance(answer, dict):
        raise CorruptAnswer("an answer is not an object")
    fault = answer.get("error")
    if fault is None:
        return answer.get("result")
    if not isinstance(fault, dict):
        return RpcFault(0, str(fault), None)
    payload = _revert_payload(fault.get("data"))
    code = fault.get("code")
    number = code if isinstance(code, int) else 0
    return RpcFault(number, str(fault.get("message", "")), payload)


def _revert_payload(found: Any) -> bytes | None:
    """Return revert data: a hex string, or `result` of an object (Ganache's gas estimate)."""
    if isinstance(found, dict):
        found = found.get("result")
    if not isinstance(found, str) or not found.startswith("0x"):
        return None
    try:
        return bytes.fromhex(found[2:])
    except ValueError:
        return None


def _refused_batch(place: str, answer: Any) -> ChainUnavailable:
    fault = answer.get("error") if isinstance(answer, dict) else None
    message = str(fault.get("message", "")) if isinstance(fault, dict) else "no batch"
    if "rate" in message.lower() or "limit" in message.lower():
        return Throttled(f"{place} limits requests: {message}")
    return ChainUnavailable(f"{place} refuses batches: {message}")


def _says(fault: RpcFault, words: Sequence[str]) -> bool:
    said = fault.message.lower()
    return any(word in said for word in words)


def _not_sent(fault: RpcFault) -> Fault:
    """
    Return what an error at a send means.

    A gateway may report a fault of its own after it has forwarded the bytes, so what is not
    known to be a refusal is none.
    """
    if _says(fault, NONCE_WORDS):
        return NonceTaken(f"the node refuses the transaction: {fault.message}")
    if _says(fault, REFUSED_WORDS):
        return SendRefused(f"the node refuses the transaction: {fault.message}")
    return ChainUnavailable(f"the node may have the transaction or not: {fault.message}")


def _check_rate(fault: RpcFault) -> None:
    if fault.code == -32005 or _says(fault, ("rate limit", "too many requests")):
        raise Throttled(f"the node limits requests: {fault.message}")


def answered(answer: Any) -> Any:
    """Return an answer that is no refusal."""
    if isinstance(answer, RpcFault):
        _check_rate(answer)
        raise ChainUnavailable(f"the node refuses a read: {answer.message}")
    return answer


def number(answer: Any) -> int:
    """Return the hex number that an answer is."""
    if not isinstance(answer, str) or not answer.startswith("0x"):
        raise CorruptAnswer(f"expected a hex number, was {answer!r}")
    try:
        return int(answer, 16)
    except ValueError as fault:
        raise CorruptAnswer(f"expected a hex number, was {answer!r}") from fault


def _bytes(answer: Any) -> bytes:
    if not isinstance(answer, str) or not answer.startswith("0x"):
        raise CorruptAnswer("expected hex bytes from the lens")
    try:
        return bytes.fromhex(answer[2:])
    except ValueError as fault:
        raise CorruptAnswer("expected hex bytes from the lens") from fault


def _block(answer: Any) -> Block:
    if not isinstance(answer, dict):
        raise ChainUnavailable("the node has no such block")
    if answer.get("baseFeePerGas") is None:
        raise WrongChain("the chain has no base fee (EIP-1559), which this keeper needs")
    return Block(
        number=number(answer.get("number")),
        hash=str(answer.get("hash")),
        parent_hash=str(answer.get("parentHash")),
        at=number(answer.get("timestamp")),
        base_fee=number(answer["baseFeePerGas"]),
    )


def _receipt(tx_hash: str, answer: Any) -> Receipt | None:
    if answer is None:
        return None
    if not isinstance(answer, dict) or answer.get("blockNumber") is None:
        return None
    return Receipt(
        tx_hash=tx_hash,
        succeeded=number(answer.get("status")) == 1,
        block_number=number(answer["blockNumber"]),
        block_hash=str(answer.get("blockHash")),
        gas_used=number(answer.get("gasUsed")),
        effective_gas_price=number(answer.get("effectiveGasPrice")),
    )
