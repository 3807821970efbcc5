# SPDX-License-Identifier: MIT
"""
One block as several nodes see it: who can be believed about it, and what they say.

Every node that is well is asked once, at its own head. Where heads differ, those ahead are asked
again at the newest block that enough nodes have, by its hash. What the majority says is believed;
nodes that fail, lag or dissent rest. Without a majority nothing is believed, and nobody rests, so
that no failover turns a disagreement into a decision.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeGuard

from keeper.agreement import agreed, common_head, default_quorum, difference
from keeper.deadline import Deadline
from keeper.endpoint import Endpoint, named
from keeper.errors import (
    ChainUnavailable,
    CorruptAnswer,
    Disagreement,
    Fault,
    NodeBehind,
    Throttled,
    WrongChain,
)
from keeper.heads import Heads
from keeper.pool import Pool
from keeper.reading import (
    MovedOn,
    PageReverts,
    Question,
    Reading,
    Receipt,
    Tag,
    hash_of,
    lens_call,
)
from keeper.rpc import Call, RpcFault, answered
from keeper.snapshot import Address, Block

FUTURE_TOLERANCE: Final = 60  # seconds that a node's clock may be ahead of ours
LOCAL_CHAINS: Final = (31337, 1337)  # what Anvil and Ganache call themselves
FIRST_BACKOFF: Final = 0.25  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Which nodes, which chain, and how patient to be. URLs may hold keys."""

    rpc_url: str = field(repr=False)
    chain_id: int
    lens: Address
    timeout_secs: float = 5.0  # for the whole of a request
    attempts: int = 3
    head_max_age_secs: float | None = 120.0  # None: the chain's time is not the world's
    other_rpc_urls: tuple[str, ...] = field(default=(), repr=False)
    quorum: int | None = None  # of nodes that must agree; None: half of them, rounded up
    max_lag_blocks: int = 3  # behind the quorum, until a node rests
    max_requests_a_sec: float | None = None  # to each node
    send_url: str | None = field(default=None, repr=False)
    send_private: bool = True  # what goes to `send_url` goes nowhere else

    @property
    def agreeing(self) -> int:
        """Return how many nodes must agree."""
        return self.quorum or default_quorum(len(self.urls))

    def alone(self, url: str) -> Node:
        """Return one of the nodes as the only one."""
        return replace(self, rpc_url=url, other_rpc_urls=(), quorum=None, send_url=None)

    @property
    def urls(self) -> tuple[str, ...]:
        """Return the nodes to read from, the preferred first."""
        return (self.rpc_url, *self.other_rpc_urls)


class Reader:
    """Reads whole ticks through a pool of nodes."""

    def __init__(
        self, node: Node, pool: Pool, *, wall: Callable[[], float], jitter: random.Random
    ) -> None:
        self._node, self._pool = node, pool
        self._quorum = node.agreeing
        self._wall, self._jitter = wall, jitter
        self._heads = Heads()
        self._genesis: str | None = None

    def read(
        self,
        vaults: Sequence[Address],
        sender: Address | None,
        watched: Sequence[str],
        deadline: Deadline,
    ) -> Reading:
        """
        Read head, vaults, account and receipts at one block, with one request to each node.

        Raises
        ------
        ChainUnavailable
            After all attempts: too few nodes, wrong ones, some that lag or disagree.
        CorruptAnswer
            If an answer of the only node cannot be.
        """
        last: ChainUnavailable | None = None
        for attempt in range(self._node.attempts):
            if last is not None:
                self._back_off(attempt, last, deadline)
            deadline.check("reading the chain")
            question = self.question(vaults, sender, watched)
            try:
                asked = self._pool.ready(everybody=last is not None)
                return self._read_once(asked, question, deadline)
            except Fault as fault:
                self._pool.count(fault)
                if isinstance(fault, WrongChain) or not isinstance(fault, ChainUnavailable):
                    raise
                last = fault
        raise last or ChainUnavailable("no attempt is allowed")

    def question(
        self, vaults: Sequence[Address], sender: Address | None, watched: Sequence[str]
    ) -> Question:
        """Return what to ask the nodes now."""
        return Question(
            chain_id=self._node.chain_id,
            lens=self._node.lens,
            vaults=vaults,
            who=sender or self._node.lens,
            watched=watched,
            earlier=self._heads.newest,
        )

    def _read_once(
        self, asked: Sequence[Endpoint], question: Question, deadline: Deadline
    ) -> Reading:
        secs = deadline.remaining()
        found = self._ask(dict.fromkeys(asked), question, secs)
        heads = self._heads_of(found)
        target = common_head(list(heads.values()), self._quorum, self._heads.highest)
        readings = {e: r for e, r in found.items() if e in heads and _is_at(r, target)}
        above = [e for e in heads if e not in readings and heads[e] >= target]
        if above:
            again = self._read_at(target, above, _any_hash(readings), question, secs)
            readings |= {e: r for e, r in again.items() if isinstance(r, Reading)}
            if not readings:
                raise _why_none(again.values())
        self._check_height(target, readings)
        group = self._believe(readings)
        for endpoint in heads:
            if endpoint in group or heads[endpoint] < target:
                self._pool.welcome(endpoint)
        return self._joined(group, readings)

    def _check_height(self, target: int, readings: Mapping[Endpoint, Reading]) -> None:
        try:
            self._heads.check(target, _any_hash(readings))
        except NodeBehind:
            for endpoint in readings:
                endpoint.genesis = None  # perhaps it was started anew: the next reading tells
            raise

    def _ask(
        self, asked: Mapping[Endpoint, Tag | None], question: Question, secs: float
    ) -> dict[Endpoint, Reading | MovedOn | Fault]:
        """Return what each node says, at the head or at the block of its tag."""
        questions = {e: replace(question, genesis=e.genesis is None) for e in asked}
        calls = {e: questions[e].calls(tag) for e, tag in asked.items()}
        found = self._pool.ask_all(calls, secs=secs, enough=min(self._quorum, len(calls)))
        return {e: self._reading(e, questions[e], answers) for e, answers in found.items()}

    def _reading(
        self, endpoint: Endpoint, question: Question, found: list[Any] | Fault
    ) -> Reading | MovedOn | Fault:
        if isinstance(found, Fault):
            return found
        try:
            reading = question.reading(found)
            self._check_age(reading.block)
            self._check_genesis(reading)
        except MovedOn as moved:
            return moved
        except PageReverts as reverts:
            return self._wrong_vaults(endpoint, reverts)
        except Fault as fault:
            return fault
        return reading

    def _heads_of(self, found: Mapping[Endpoint, Reading | MovedOn | Fault]) -> dict[Endpoint, int]:
        """
        Return the heads of the nodes that can be believed; the others rest.

        Raises
        ------
        Fault
            If they are fewer than the quorum: the only node's own, or all of them in one line.
        """
        faults = {e: f for e, f in found.items() if isinstance(f, Fault)}
        heads = {e: _number_of(f) for e, f in found.items() if not isinstance(f, Fault)}
        falling = sorted(heads.values(), reverse=True)
        if len(falling) >= self._quorum:
            least = falling[self._quorum - 1] - self._node.max_lag_blocks
            for endpoint in [e for e in heads if heads[e] < least]:
                behind = falling[self._quorum - 1] - heads.pop(endpoint)
                faults[endpoint] = NodeBehind(f"{behind} blocks behind the others")
        for endpoint, fault in faults.items():
            self._pool.rest(endpoint, fault)
        if len(heads) < self._quorum:
            raise self._too_few(len(heads), faults)
        return heads

    def _too_few(self, count: int, faults: Mapping[Endpoint, Fault]) -> Fault:
        if len(self._pool.endpoints) == 1:
            return next(iter(faults.values()))
        all_of_them = len(self._pool.endpoints)
        words = f"{count} of {all_of_them} nodes can be read, {self._quorum} must agree"
        return ChainUnavailable("; ".join([words, *(named(f, e) for e, f in faults.items())]))

    def _read_at(
        self,
        target: int,
        asked: Sequence[Endpoint],
        block_hash: str | None,
        question: Question,
        secs: float,
    ) -> dict[Endpoint, Reading | MovedOn | Fault]:
        """
        Read a block again by its hash, or by number from nodes that cannot.

        Whoever fails here need not rest: a pruned node is well and cannot look back.
        """
        if block_hash is None and asked[0].by_hash:
            (header,) = self._pool.ask_one(asked[0], [Tag(number=target).header()])
            block_hash = hash_of(answered(header)) or None
        tags = {e: Tag(number=target, hash=block_hash if e.by_hash else None) for e in asked}
        found = self._ask(tags, question, secs)
        refused = [e for e in asked if tags[e].hash and isinstance(found[e], Fault)]
        if refused:
            again = self._ask({e: Tag(number=target) for e in refused}, question, secs)
            for endpoint, reading in again.items():
                if isinstance(reading, Reading) and reading.block.hash == block_hash:
                    endpoint.by_hash = False
            found |= again
        return found

    def _believe(self, readings: Mapping[Endpoint, Reading]) -> list[Endpoint]:
        """Return the nodes that agree; those that dissent rest."""
        group = agreed(readings, self._quorum)
        for endpoint, reading in readings.items():
            if endpoint not in group:
                words = difference(readings[group[0]], reading)
                self._pool.rest(endpoint, Disagreement(f"not what the others say: {words}"))
        self._pool.prefer(group)
        return group

    def _joined(self, group: Sequence[Endpoint], readings: Mapping[Endpoint, Reading]) -> Reading:
        """Return the first reading of those that agree, linked to what was seen before."""
        first = readings[group[0]]
        if self._genesis is None:
            # of a group, since nodes of another chain with this id must not be compared away
            said = [g for e in group if (g := readings[e].genesis) is not None]
            self._genesis = max(said, key=said.count, default=None)
        for endpoint in group:
            if readings[endpoint].genesis == self._genesis:
                endpoint.genesis = self._genesis
        receipts = {
            tx_hash: self.canonical(group[0], receipt)
            for tx_hash, receipt in first.receipts.items()
        }
        return replace(
            first,
            receipts=receipts,
            pending_nonce=max(readings[endpoint].pending_nonce for endpoint in group),
            genesis=self._genesis,
            replaced_from=self._heads.note(first.block, first.earlier),
        )

    def canonical(self, endpoint: Endpoint, receipt: Receipt | None) -> Receipt | None:
        """Return a receipt if its block is the one that the chain has at that height now."""
        if receipt is None:
            return None
        header: Call = ("eth_getBlockByNumber", [hex(receipt.block_number), False])
        (answer,) = self._pool.ask_one(endpoint, [header])
        return receipt if hash_of(answered(answer)) == receipt.block_hash else None

    def _wrong_vaults(self, endpoint: Endpoint, reverts: PageReverts) -> Fault:
        """Return which vaults of a page the lens cannot read, asked one by one in one request."""
        page: Sequence[Address] = reverts.page
        if len(page) > 1:
            calls: list[Call] = [
                ("eth_call", [lens_call(self._node.lens, [vault]), "latest"]) for vault in page
            ]
            try:
                answers = self._pool.ask_one(endpoint, calls)
            except (ChainUnavailable, CorruptAnswer) as fault:
                return fault
            page = [v for v, a in zip(page, answers, strict=True) if isinstance(a, RpcFault)]
        names = ", ".join(page) or "all of them together"
        reason = f" ({reverts.reason})" if reverts.reason else ""
        return CorruptAnswer(f"the lens reverts{reason} for {names}: is each a HedgeVault?")

    def _check_genesis(self, reading: Reading) -> None:
        """Hold a node's block 0 against the one believed; a pruned node has none."""
        if reading.genesis is None or self._genesis is None:
            return
        if reading.genesis != self._genesis:
            raise WrongChain(
                f"another chain {self._node.chain_id}: it began with block {reading.genesis}, "
                f"expected {self._genesis}; if it was started anew, start the keeper again"
            )

    def _check_age(self, block: Block) -> None:
        if self._node.head_max_age_secs is None:
            return
        age = self._wall() - block.at
        if age > self._node.head_max_age_secs:
            allowed = f"{self._node.head_max_age_secs:g}"
            hint = '; a chain that mines on demand wants chain.clock = "head"'
            raise NodeBehind(
                f"the head is {age:.0f} s old, allowed are {allowed} s"
                + (hint if self._node.chain_id in LOCAL_CHAINS else "")
            )
        if age < -FUTURE_TOLERANCE:
            raise NodeBehind(f"the head is {-age:.0f} s in the future: check the clocks")

    def _back_off(self, attempt: int, last: ChainUnavailable, deadline: Deadline) -> None:
        """Wait before the next attempt; give up if the node wants a longer wait than there is."""
        longest = FIRST_BACKOFF * 2 ** (attempt - 1)
        wait = longest * (0.5 + self._jitter.random() / 2)
        asked = last.retry_after_secs if isinstance(last, Throttled) else 0.0
        if asked >= deadline.remaining():
            raise last
        deadline.sleep(max(wait, asked))


def _is_at(found: Reading | MovedOn | Fault, block_number: int) -> TypeGuard[Reading]:
    return isinstance(found, Reading) and found.block.number == block_number


def _number_of(found: Reading | MovedOn) -> int:
    return found.block.number if isinstance(found, Reading) else found.number


def _why_none(found: Iterable[Reading | MovedOn | Fault]) -> Fault:
    moved = ChainUnavailable("the head moved while it was read at one block")
    return next((f for f in found if isinstance(f, Fault)), moved)


def _any_hash(readings: Mapping[Endpoint, Reading]) -> str | None:
    return next((reading.block.hash for reading in readings.values()), None)
