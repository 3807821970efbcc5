# SPDX-License-Identifier: MIT
"""
What is unusual about a node, and what the keeper does about it.

Every probe only reads: `eth_call` of a few bytes of code that no chain keeps, answers to questions
about nothing, and what the client says it is. Nothing is sent, on no network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from eth_abi.abi import encode

from keeper.chain import Chain
from keeper.config import Config
from keeper.deadline import Deadline
from keeper.errors import CorruptAnswer, Fault, KeeperError
from keeper.remote_signer import RemoteSigner
from keeper.rpc import ERROR_STRING, RpcFault, answered, revert_reason
from keeper.rpc import number as hex_number
from keeper.snapshot import Address

ASK_BLOCK: Final = "0x43600052426020524860405260606000f3"  # returns number, time, base fee
PROBE_REASON: Final = "doctor: probe"
NO_HASH: Final = "0x" + "11" * 32
PROBE_DEADLINE_SECS: Final = 30.0


class Mark(StrEnum):
    """How a finding is to be taken."""

    GOOD = "good"
    NOTE = "note"  # unusual, and the keeper adapts
    BAD = "bad"  # the keeper cannot work like this


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    mark: Mark
    found: str
    adapts: str = ""


def examine(chain: Chain, config: Config, sender: Address | None) -> list[Finding]:
    """Return all findings, the most basic first; stops where going on makes no sense."""
    try:
        client, findings = _reach(chain)
    except Fault as fault:
        return [Finding(what="node", mark=Mark.BAD, found=str(fault))]
    probes: list[Callable[[], Iterator[Finding]]] = [
        lambda: _identity(chain, config),
        lambda: _head(chain, config),
        lambda: _fees(chain, config),
        lambda: _reverts(chain),
        lambda: _pending(chain),
        lambda: _by_hash(chain),
        lambda: _client(client, chain, sender),
        lambda: _vaults(chain, config, sender),
    ]
    for probe in probes:
        try:
            findings += probe()
        except KeeperError as fault:
            findings.append(Finding(what="probe", mark=Mark.BAD, found=str(fault)))
    return findings


def examine_signer(signer: RemoteSigner) -> Finding:
    """Return whether the remote signer is there and has the account."""
    try:
        accounts = signer.accounts()
    except Fault as fault:
        return Finding(what="signer", mark=Mark.BAD, found=str(fault))
    if signer.address in accounts:
        return Finding(what="signer", mark=Mark.GOOD, found=f"has account {signer.address}")
    words = f"has no account {signer.address}, it has {', '.join(accounts) or 'none'}"
    return Finding(what="signer", mark=Mark.BAD, found=words)


def examine_sender(chain: Chain, config: Config) -> list[Finding]:
    """Return whether the endpoint that only takes signed bytes is there, and of which chain."""
    private = config.chain.send_mode == "private"
    adapts = "nothing is sent elsewhere, also when it fails" if private else "falls back to nodes"
    try:
        (answer,) = chain.batch([("eth_chainId", [])])
        if isinstance(answer, RpcFault):
            words = f"does not say its chain: {answer.message}"
            return [Finding(what="send", mark=Mark.NOTE, found=words, adapts=adapts)]
        found = hex_number(answer)
    except Fault as fault:
        return [Finding(what="send", mark=Mark.BAD, found=str(fault))]
    right = found == config.chain.chain_id
    words = f"chain {found}" if right else f"chain {found}, configured is {config.chain.chain_id}"
    mark = Mark.GOOD if right else Mark.BAD
    return [Finding(what="send", mark=mark, found=words, adapts=adapts)]


def _block(answer: Any) -> dict[str, Any]:
    block = answered(answer)
    if not isinstance(block, dict):
        raise CorruptAnswer("the node has no such block")
    return block


def _reach(chain: Chain) -> tuple[str, list[Finding]]:
    started = time.perf_counter()
    (client,) = chain.batch([("web3_clientVersion", [])])
    millis = (time.perf_counter() - started) * 1_000
    name = "unknown" if isinstance(client, RpcFault) else str(client)
    found = [Finding(what="node", mark=Mark.GOOD, found=f"{name}, answers in {millis:.1f} ms")]
    chain.batch([("eth_chainId", []), ("eth_blockNumber", [])])  # raises when it cannot
    words = "several calls in one request work"
    found.append(Finding(what="batches", mark=Mark.GOOD, found=words))
    return name, found


def _identity(chain: Chain, config: Config) -> Iterator[Finding]:
    chain_id, version = chain.batch([("eth_chainId", []), ("net_version", [])])
    found = hex_number(answered(chain_id))
    right = found == config.chain.chain_id
    yield Finding(
        what="chain id",
        mark=Mark.GOOD if right else Mark.BAD,
        found=f"{found}" if right else f"{found}, configured is {config.chain.chain_id}",
    )
    if str(version) != str(found):
        yield Finding(
            what="network id",
            mark=Mark.NOTE,
            found=f"net_version says {version}",
            adapts="signs and checks with eth_chainId only",
        )


def _head(chain: Chain, config: Config) -> Iterator[Finding]:
    head, safe, final = chain.batch(
        [("eth_getBlockByNumber", [tag, False]) for tag in ("latest", "safe", "finalized")]
    )
    head = _block(head)
    number, age = hex_number(head.get("number")), time.time() - hex_number(head.get("timestamp"))
    limit = config.chain.head_max_age_secs
    if config.chain.clock == "head":
        mark, adapts = Mark.NOTE, "lives in the chain's own time; the head's age is not checked"
    elif -60 <= age <= limit:
        mark, adapts = Mark.GOOD, ""
    else:
        mark, adapts = Mark.BAD, f"sends nothing while the head is not within {limit:g} s"
    yield Finding(what="head", mark=mark, found=f"block {number}, {age:.0f} s old", adapts=adapts)
    if all(isinstance(b, dict) and b.get("number") == head["number"] for b in (safe, final)):
        yield Finding(
            what="finality",
            mark=Mark.NOTE,
            found="safe and finalized equal the head",
            adapts=f"counts confirmations itself ({config.chain.confirmations})",
        )
    gas_limit = hex_number(head.get("gasLimit"))
    enough = gas_limit >= config.fees.max_gas
    yield Finding(
        what="block gas limit",
        mark=Mark.GOOD if enough else Mark.BAD,
        found=f"{gas_limit}, fees.max_gas is {config.fees.max_gas}",
    )


def _fees(chain: Chain, config: Config) -> Iterator[Finding]:
    head, price, tip = chain.batch(
        [
            ("eth_getBlockByNumber", ["latest", False]),
            ("eth_gasPrice", []),
            ("eth_maxPriorityFeePerGas", []),
        ]
    )
    base = _block(head).get("baseFeePerGas")
    if base is None:
        yield Finding(what="base fee", mark=Mark.BAD, found="the chain has none (EIP-1559)")
        return
    wei, cap = hex_number(base), int(config.fees.max_fee_gwei * 10**9)
    yield Finding(
        what="base fee",
        mark=Mark.GOOD if wei <= cap else Mark.NOTE,
        found=f"{wei / 1e9:.3f} gwei, cap {config.fees.max_fee_gwei} gwei",
        adapts="" if wei <= cap else "waits until the base fee is under the cap",
    )
    yield from _prices(price, tip, wei)


def _prices(price: Any, tip: Any, base_fee: int) -> Iterator[Finding]:
    offered = None if isinstance(price, RpcFault) else hex_number(price)
    if offered is not None and offered < base_fee:
        yield Finding(
            what="gas price",
            mark=Mark.NOTE,
            found=f"eth_gasPrice of {offered / 1e9:.3f} gwei is under the base fee",
            adapts="takes the base fee from the head",
        )
    if isinstance(tip, RpcFault):
        yield Finding(
            what="priority fee",
            mark=Mark.NOTE,
            found="eth_maxPriorityFeePerGas is missing",
            adapts="pays fees.priority_fee_gwei",
        )


def _reverts(chain: Chain) -> Iterator[Finding]:
    code = "0x" + _reverting(PROBE_REASON).hex()
    called, estimated = chain.batch(
        [("eth_call", [{"data": code}, "latest"]), ("eth_estimateGas", [{"data": code}])]
    )
    for method, answer in (("eth_call", called), ("eth_estimateGas", estimated)):
        if not isinstance(answer, RpcFault):
            yield Finding(what="reverts", mark=Mark.BAD, found=f"{method} hides a revert")
            continue
        reason = revert_reason(answer.payload, answer.message)
        clear = reason == PROBE_REASON and answer.payload is not None
        common = answer.code == 3
        yield Finding(
            what=f"revert of {method}",
            mark=Mark.GOOD if clear and common else Mark.NOTE,
            found=f"code {answer.code}, " + ("with its data" if clear else "without its data"),
            adapts="" if clear and common else "tells a revert by its data, then by its words",
        )


def _reverting(reason: str) -> bytes:
    """Return code that reverts with `Error(reason)`: copy what follows the code, revert it."""
    payload = ERROR_STRING + encode(["string"], [reason])
    size = len(payload)
    return bytes([0x60, size, 0x60, 12, 0x60, 0, 0x39, 0x60, size, 0x60, 0, 0xFD]) + payload


def _pending(chain: Chain) -> Iterator[Finding]:
    latest, pending = chain.batch(
        [("eth_call", [{"data": ASK_BLOCK}, tag]) for tag in ("latest", "pending")]
    )
    if isinstance(pending, RpcFault):
        yield Finding(
            what="pending block", mark=Mark.BAD, found=f"eth_call refuses it: {pending.message}"
        )
        return
    now, then = (hex_number(str(answered(answer))[:66]) for answer in (latest, pending))
    yield Finding(
        what="pending block",
        mark=Mark.GOOD if then == now + 1 else Mark.NOTE,
        found="is the next one" if then == now + 1 else "is the head itself",
        adapts="" if then == now + 1 else "simulation sees the head's time, so it may wait a block",
    )


def _by_hash(chain: Chain) -> Iterator[Finding]:
    """Ask for the state of a block by its hash (EIP-1898)."""
    (head,) = chain.batch([("eth_getBlockByNumber", ["latest", False])])
    tag = {"blockHash": _block(head).get("hash"), "requireCanonical": True}
    (answer,) = chain.batch([("eth_call", [{"data": ASK_BLOCK}, tag])])
    can = not isinstance(answer, RpcFault)
    yield Finding(
        what="state by block hash",
        mark=Mark.GOOD if can else Mark.NOTE,
        found="works" if can else "is refused",
        adapts="" if can else "reads again by number and compares hashes",
    )


def _client(client: str, chain: Chain, sender: Address | None) -> Iterator[Finding]:
    missing = []
    methods = ("eth_getBlockReceipts", "eth_createAccessList", "txpool_status", "eth_simulateV1")
    for method, answer in zip(
        methods, chain.batch([(method, []) for method in methods]), strict=True
    ):
        if isinstance(answer, RpcFault) and "not" in answer.message.lower():
            missing += [method] if answer.code in (-32601, -32004, -32600, -32000) else []
    if missing:
        yield Finding(
            what="methods", mark=Mark.NOTE, found=f"missing: {', '.join(missing)}",
            adapts="uses none of them",
        )  # fmt: skip
    if "ganache" in client.lower():
        yield from _ganache(chain, sender)
    elif "anvil" in client.lower():
        yield Finding(
            what="replacement", mark=Mark.NOTE,
            found="Anvil takes +5 % or the cap alone, geth wants +10 % on both fees",
            adapts="replaces with +12.5 % on both fees, which either takes",
        )  # fmt: skip


def _ganache(chain: Chain, sender: Address | None) -> Iterator[Finding]:
    yield Finding(
        what="pending nonce", mark=Mark.NOTE, found="Ganache's equals the mined one",
        adapts="keeps one transaction in flight and counts from the mined nonce",
    )  # fmt: skip
    if sender is None:
        return
    (nonce,) = chain.batch([("eth_getTransactionCount", [sender, "latest"])])
    if hex_number(answered(nonce)) == 0:
        yield Finding(
            what="nonce 0", mark=Mark.NOTE, found="Ganache runs bytes with nonce 0 again if resent",
            adapts="never sends a transaction with nonce 0 a second time",
        )  # fmt: skip


def _vaults(chain: Chain, config: Config, sender: Address | None) -> Iterator[Finding]:
    deadline = Deadline(PROBE_DEADLINE_SECS)
    reading = chain.read(config.vaults, sender, [], deadline)
    yield Finding(
        what="lens",
        mark=Mark.GOOD,
        found=f"{len(reading.snapshots)} vaults at one block, 1 request",
    )
    for snapshot in reading.snapshots:
        vault = snapshot.vault
        yield Finding(
            what=f"price of {vault.vault[:10]}",
            mark=Mark.GOOD if vault.price_ok else Mark.BAD,
            found="good" if vault.price_ok else vault.price_reason,
            adapts="" if vault.price_ok else "sends nothing while the oracle gives no price",
        )
        if sender is not None:
            right = vault.keeper == sender
            yield Finding(
                what=f"keeper of {vault.vault[:10]}",
                mark=Mark.GOOD if right else Mark.BAD,
                found="is this key" if right else f"is {vault.keeper}, this key is {sender}",
            )
    if sender is not None:
        yield Finding(
            what="balance",
            mark=Mark.GOOD if reading.balance > 0 else Mark.BAD,
            found=f"{reading.balance / 1e18:.4f} ether at {sender}",
        )


def worst(findings: list[Finding]) -> Mark:
    """Return the gravest mark."""
    marks: list[Any] = [finding.mark for finding in findings]
    for mark in (Mark.BAD, Mark.NOTE):
        if mark in marks:
            return mark
    return Mark.GOOD
