# SPDX-License-Identifier: MIT
"""
What a tick asks a node with one request, and the record that its answers become.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from keeper.errors import ChainUnavailable, WrongChain
from keeper.rpc import Call, RpcFault, answered, check_rate, digest, number, octets, revert_reason
from keeper.snapshot import (
    MAX_VAULTS,
    Address,
    Block,
    Snapshot,
    decode_vault,
    split_page,
)

SNAPSHOTS: Final = keccak(text="snapshots(address[])")[:4]
LATEST: Final = "latest"


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
    genesis: str | None = None  # hash of block 0, when it was asked for
    earlier: tuple[int, str] | None = None  # a block seen before, and the hash it has now
    replaced_from: int | None = None  # the first block known to have been replaced since the last


class MovedOn(Exception):
    """The head changed between two calls of one batch."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


class PageReverts(Exception):
    """The lens reverts for a page; which vault it is has to be asked."""

    def __init__(self, page: Sequence[Address], reason: str) -> None:
        self.page, self.reason = page, reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """The block to read at: the head, or one by its hash or, for nodes that cannot, by number."""

    number: int
    hash: str | None = None

    def of_state(self) -> Any:
        """Return the parameter of calls that read state (EIP-1898)."""
        if self.hash is None:
            return hex(self.number)
        return {"blockHash": self.hash, "requireCanonical": True}

    def header(self) -> Call:
        """Return the call for the block itself."""
        if self.hash is None:
            return ("eth_getBlockByNumber", [hex(self.number), False])
        return ("eth_getBlockByHash", [self.hash, False])


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a tick wants to know."""

    chain_id: int
    lens: Address
    vaults: Sequence[Address]
    who: Address
    watched: Sequence[str]
    earlier: int | None = None  # a block of which to ask the hash again
    genesis: bool = False  # ask for the hash of block 0

    def calls(self, tag: Tag | None = None) -> list[Call]:
        """Return the calls of the one request, at the head or at a block."""
        state = LATEST if tag is None else tag.of_state()
        head: Call = ("eth_getBlockByNumber", [LATEST, False]) if tag is None else tag.header()
        blocks = [n for n, wanted in ((self.earlier, True), (0, self.genesis)) if wanted]
        return [
            ("eth_chainId", []),
            head,
            ("eth_getTransactionCount", [self.who, state]),
            ("eth_getTransactionCount", [self.who, "pending"]),
            ("eth_getBalance", [self.who, state]),
            *(("eth_getTransactionReceipt", [tx_hash]) for tx_hash in self.watched),
            *(("eth_getBlockByNumber", [hex(n), False]) for n in blocks if n is not None),
            *(("eth_call", [lens_call(self.lens, page), state]) for page in self._pages()),
        ]

    def _pages(self) -> list[Sequence[Address]]:
        return [self.vaults[i : i + MAX_VAULTS] for i in range(0, len(self.vaults), MAX_VAULTS)]

    def reading(self, answers: Sequence[Any]) -> Reading:
        """
        Return the record.

        Raises
        ------
        MovedOn
            If the answers are not of one block.
        PageReverts
            If the lens does not answer for some vaults.
        ChainUnavailable, CorruptAnswer
            If answers cannot be used.
        """
        left = iter(answers)
        chain_id, head, nonce, pending, balance = (next(left) for _ in range(5))
        self._check_chain_id(number(answered(chain_id)))
        block = block_of(answered(head))
        receipts = {h: receipt_of(h, answered(next(left))) for h in self.watched}
        earlier = None if self.earlier is None else (self.earlier, hash_of(next(left)))
        genesis = hash_of(next(left)) if self.genesis else ""
        snapshots: list[Snapshot] = []
        for page in self._pages():
            snapshots += self._page(page, next(left), block)
        return Reading(
            block=block,
            snapshots=tuple(snapshots),
            nonce=number(answered(nonce)),
            pending_nonce=number(answered(pending)),
            balance=number(answered(balance)),
            receipts=receipts,
            genesis=genesis or None,
            earlier=earlier,
        )

    def _check_chain_id(self, chain_id: int) -> None:
        if chain_id != self.chain_id:
            raise WrongChain(f"the node is on chain {chain_id}, expected {self.chain_id}")

    def _page(self, page: Sequence[Address], answer: object, block: Block) -> list[Snapshot]:
        if isinstance(answer, RpcFault):
            check_rate(answer)
            if answer.reverted:
                raise PageReverts(page, revert_reason(answer.payload, answer.message))
            raise ChainUnavailable(f"the node refuses the lens call: {answer.message}")
        returned = octets(answer)
        if not returned:
            raise WrongChain(f"no VaultLens at {self.lens} on chain {self.chain_id}")
        at_number, at, words = split_page(returned, page)
        if (at_number, at) != (block.number, block.at):
            raise MovedOn(max(at_number, block.number))
        return [Snapshot(block=block, vault=decode_vault(w), words=w) for w in words]


def lens_call(lens: Address, page: Sequence[Address]) -> dict[str, str]:
    """Return the call object of `snapshots(page)`."""
    encoded = SNAPSHOTS + encode(["address[]"], [list(page)])
    return {"to": lens, "data": "0x" + encoded.hex()}


def block_of(answer: Any) -> Block:
    """Return a block's head."""
    if not isinstance(answer, dict):
        raise ChainUnavailable("the node has no such block")
    if answer.get("baseFeePerGas") is None:
        raise WrongChain("the chain has no base fee (EIP-1559), which this keeper needs")
    return Block(
        number=number(answer.get("number")),
        hash=digest(answer.get("hash")),
        parent_hash=digest(answer.get("parentHash")),
        at=number(answer.get("timestamp")),
        base_fee=number(answer["baseFeePerGas"]),
    )


def hash_of(answer: Any) -> str:
    """Return the hash of a block, or an empty one when the node does not have the block."""
    return digest(answer.get("hash")) if isinstance(answer, dict) else ""


def receipt_of(tx_hash: str, answer: Any) -> Receipt | None:
    """Return a receipt, or None while there is none."""
    if answer is None:
        return None
    if not isinstance(answer, dict) or answer.get("blockNumber") is None:
        return None
    return Receipt(
        tx_hash=tx_hash,
        succeeded=number(answer.get("status")) == 1,
        block_number=number(answer["blockNumber"]),
        block_hash=digest(answer.get("blockHash")),
        gas_used=number(answer.get("gasUsed")),
        effective_gas_price=number(answer.get("effectiveGasPrice")),
    )
