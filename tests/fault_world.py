# SPDX-License-Identifier: MIT
"""
Faults between a keeper and its chain, and a keeper in a process that may be killed at any write.

Each run: a vault that is to be hedged, then margin that is to be topped up, and faults at random
meanwhile; after them the keeper is left alone. A run without faults says what is intended.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from random import Random

import sqlalchemy as sa

from keeper import database
from keeper import lease as leases
from keeper.chain import Chain, Node
from keeper.deadline import Deadline
from keeper.errors import Fault, JournalUnavailable
from keeper.guard import Safety
from keeper.journal import Journal
from keeper.policy import Policy
from keeper.risk import assess
from keeper.runner import Keeper
from keeper.sending import Fees, Orders
from keeper.signer import signer_from_key
from keeper.snapshot import Address
from keeper.strategy import Hold
from tests.keeper_node import Proxy, keeper_key

GWEI = 10**9
ONLY = os.environ.get("FAULT_KINDS", "").split(",") if os.environ.get("FAULT_KINDS") else None
CONFIRMATIONS = 9  # reorganisations of up to 8 blocks are not the end
PATIENCE_SECS = 60.0
QUIET_TICKS = 14  # in which a keeper that is left alone must have done everything
TIMEOUT_SECS = {"anvil": 0.4, "ganache": 3.0}  # which needs a second on a busy machine


class Silent:
    def _line(self, event, **fields):
        pass

    info = warning = error = _line


@dataclass
class Tally:
    """What a series of runs came to."""

    runs: int = 0
    faults: Counter = field(default_factory=Counter)
    intended: int = 0
    done: int = 0
    doubled: int = 0
    lost: int = 0

    def __str__(self):
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        return (
            f"{self.runs} runs, {self.faults.total()} faults ({kinds}); rebalances intended "
            f"{self.intended}, done {self.done}, doubled {self.doubled}, lost {self.lost}"
        )


@cache
def signer_of(chain_id: int):
    return signer_from_key(keeper_key(), chain_id)


_feeds: dict[str, tuple[str, dict]] = {}  # by the node's URL


def feeds_of(world):
    """Return the owner, and the feeds by name."""
    if world.node.url not in _feeds:
        names = ("AssetFeed", "AssetFeedWitness", "QuoteFeed")
        _feeds[world.node.url] = world.account(0).address, {name: world.at(name) for name in names}
    return _feeds[world.node.url]


# A keeper in a process


def nothing_armed(chain, journal):
    pass


def never_over(report, journal):
    return False


def ended(child: int) -> int:
    """Wait for a process; return how it ended: its exit code."""
    ends = time.monotonic() + PATIENCE_SECS
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > ends:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


class Process:
    """Makes a keeper in a child of this process; nothing of it is left when it ends."""

    def __init__(self, world, folder: Path, url: str) -> None:
        self.world, self.path, self.url = world, folder / "journal.sqlite", url
        at = world.deployment.contracts
        self.lens, self.vault = (
            Address(at[name].address.lower()) for name in ("VaultLens", "HedgeVault")
        )
        self.signer = signer_of(world.node.chain_id)
        self.wall, self.head_max_age_secs = time.time, None

    def keeper(self, *, live=True, confirmations=CONFIRMATIONS, log=None, lease=None):
        node = Node(
            rpc_url=self.url, chain_id=self.world.node.chain_id, lens=self.lens,
            timeout_secs=TIMEOUT_SECS[self.world.node.kind],
            attempts=1, head_max_age_secs=self.head_max_age_secs,
        )  # fmt: skip
        chain = Chain(node, log=Silent(), wall=self.wall)
        journal = Journal(self.path, self.world.node.chain_id)
        orders = Orders(
            vaults=(self.vault,), policy=Policy(), live=live,
            safety=Safety(max_sends_an_hour=1_000),
            fees=Fees(
                max_fee=500 * GWEI, priority_fee=GWEI, max_gas=3_000_000, gas_margin_bps=5_000,
                replace_after_secs=0.05,
            ),
            kill_file=self.path.with_name("stop"), confirmations=confirmations,
            receipt_wait_secs=0.05,
        )  # fmt: skip
        keeper = Keeper(
            chain=chain,
            journal=journal,
            orders=orders,
            signer=self.signer,
            lease=lease,
            wall=self.wall,
            log=log or Silent(),
        )
        return keeper, chain, journal

    def warm_up(self) -> None:
        """Do here once what every child would do again: imports, tables, caches."""
        keeper, chain, journal = self.keeper(live=False)
        keeper.tick(Deadline(5.0))
        chain.close()
        journal.close()

    def run(self, ticks: int, arm: Callable = nothing_armed, over: Callable = never_over) -> int:
        """Run some ticks, or until it is over; return how the process ended: its exit code."""
        return ended(self.start(ticks, arm, over))

    def start(
        self, ticks: int, arm: Callable = nothing_armed, over: Callable = never_over, *,
        gate: int | None = None,
    ) -> int:  # fmt: skip
        """Begin to run some ticks, as one of several behind a gate; return the process."""
        child, standby = os.fork(), gate is not None
        if child == 0:
            code = 1
            try:
                if standby:
                    os.read(gate, 1)
                database.LOCK_SECS = 0.2
                leases.LEAST_PATIENCE_SECS = 0.3
                with leases.held(self.path, 0.3, standby=True) if standby else nullcontext() as it:
                    keeper, chain, journal = self.until_it_opens(it) if it else self.keeper()
                    arm(chain, journal)
                    for _ in range(ticks):
                        with suppress(Fault):
                            if over(keeper.tick(Deadline(5.0)), journal):
                                break
                        time.sleep(0.05 if standby else 0.0)
                code = 0
            except BaseException as error:  # noqa: BLE001
                os.write(2, f"{error!r}\n".encode())
            finally:
                os._exit(code)
        return child

    def until_it_opens(self, lease):
        """Return a keeper, as a service manager does when one that has stopped holds a lock."""
        while True:
            with suppress(JournalUnavailable):
                return self.keeper(lease=lease)
            time.sleep(0.05)

    def rows(self):
        with closing(Journal(self.path, self.world.node.chain_id)) as journal:
            return journal.transactions()


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def killed_after_write(count):
    """Kill after so many commits: planned, signed, send counted, accepted, mined, final."""

    def arm(chain, journal):
        left, writing = [count], journal._database.writing

        @contextmanager
        def counting():
            with writing() as db:
                yield db
            left[0] -= 1
            if left[0] == 0:
                die()

        journal._database.writing = counting

    return arm


def killed_at_send(before):
    def arm(chain, journal):
        send = chain.send

        def deadly(signed):
            if not before:
                send(signed)
            die()

        chain.send = deadly

    return arm


def disk_full_after(pages):
    """Let the journal grow by so many pages and no more, as a disk that is full does."""

    def limit(connection, _record):
        (now,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={now + pages}")

    def arm(chain, journal):
        engine = journal._database._engine
        engine.dispose()
        sa.event.listen(engine, "connect", limit)

    return arm


# Faults of the way to the node


def replies(timeout_secs: float) -> dict[str, Callable]:
    """Return what a sick node answers, by name; each is given a call to the well one."""

    def hang(forward):
        time.sleep(1.5 * timeout_secs)
        answer = forward()
        return answer.status_code, answer.content

    def truncated(forward):
        content = forward().content
        return 200, content[: len(content) // 2]

    def changed(change):
        def reply(forward):
            found = json.loads(forward().content)
            for answer in found if isinstance(found, list) else [found]:
                change(answer)
            return 200, json.dumps(found).encode()

        return reply

    def other_id(answer):
        answer["id"] = 10**6 + (answer["id"] or 0)

    def other_chain(answer):
        if answer["id"] == 0 and "result" in answer:
            answer["result"] = "0x1"

    return {
        "HTTP 500": lambda forward: (500, b"internal error"),
        "HTTP 429": lambda forward: (429, b"slow down"),
        "HTTP 429 for a second": lambda forward: (429, b"slow down", {"Retry_After": "1"}),
        "HTML": lambda forward: (200, b"<html>gateway</html>"),
        "hang": hang,
        "truncated": truncated,
        "wrong id": changed(other_id),
        "wrong chain": changed(other_chain),
        "reset": "drop",
        "answer lost": "lose the answer",
    }


class Stale:
    """Answers each kind of read as it was answered first."""

    def __init__(self):
        self.first = {}

    def __call__(self, methods):
        def reply(forward):
            if "eth_sendRawTransaction" in methods:
                answer = forward()
                return answer.status_code, answer.content
            if methods not in self.first:
                self.first[methods] = forward().content
            return 200, self.first[methods]

        return reply


@contextmanager
def sick(proxy: Proxy, answer: Callable, requests: int) -> Iterator[None]:
    """Answer so the next requests, from a moment on."""
    left = [requests]

    def meddle(methods):
        if left[0] <= 0:
            return None
        left[0] -= 1
        return answer(methods)

    proxy.meddle = meddle
    try:
        yield
    finally:
        proxy.meddle = lambda methods: None


# Faults of the chain


def head(world) -> int:
    return int(world.node.request("eth_blockNumber"), 16)


def foreign(world, rng):
    """Another process with the same key sends something."""
    keeper = signer_of(world.node.chain_id).address
    world.node.request("eth_sendTransaction", {"from": keeper, "to": keeper, "value": "0x0"})


def time_leaps(world, rng):
    world.node.request("evm_increaseTime", rng.choice([1, 30, 300, 700]))
    world.node.request("evm_mine")


@contextmanager
def unmined(world) -> Iterator[None]:
    """Keep what is sent in the pool."""
    world.node.request("evm_setAutomine", False)
    try:
        yield
    finally:
        world.node.request("evm_setAutomine", True)


def evicted(world):
    for sender in world.node.request("txpool_content")["pending"].values():
        for tx in sender.values():
            world.node.request("anvil_dropTransaction", tx["hash"])


def publish(world, price):
    """Set the asset's price past Brownie, which waits for ever for what a reorganisation took."""
    owner, feeds = feeds_of(world)
    for name, feed in feeds.items():
        data = feed.set_answer.encode_input(10**8 if name == "QuoteFeed" else price * 10**8)
        call = {"from": owner, "to": feed.address, "data": data, "gas": hex(500_000)}
        world.node.request("eth_sendTransaction", call)


# A run


class Run:
    """One vault through a series of faults."""

    def __init__(self, world, folder: Path, proxy: Proxy, rng: Random | None) -> None:
        self.world, self.proxy, self.rng = world, proxy, rng
        self.process = Process(world, folder, proxy.url)
        self.faults: Counter[str] = Counter()
        self.price = 0
        self.first_block = head(world)
        self.process.warm_up()

    def go(self) -> None:
        """Hedge, then top up margin, with faults before and after each."""
        for price in (2_500, 3_250):
            self.price = price
            publish(self.world, price)
            for _ in range(self.rng.randint(1, 2) if self.rng else 0):
                self.fault()
            self.settle()

    def settle(self) -> None:
        """Leave the keeper alone while blocks come."""
        publish(self.world, self.price)  # a reorganisation may have taken it

        def over(report, journal):
            for _ in range(CONFIRMATIONS // 2):
                self.world.node.request("evm_mine")
            calm = all(isinstance(v.decision, Hold) for v in report.verdicts)
            return calm and not journal.in_flight()

        assert self.process.run(QUIET_TICKS, over=over) == 0

    def is_hedged(self) -> bool:
        keeper, chain, journal = self.process.keeper()
        try:
            reading = chain.read(keeper._orders.vaults, None, [], Deadline(5.0))
        finally:
            chain.close()
            journal.close()
        risk = assess(reading.snapshots[0].vault)
        return risk.drift_bps < 150 and (risk.margin_ratio_bps or 0) >= 67_000

    def nonce(self) -> int:
        return int(self.world.at("HedgeBook").state()[0])

    def fault(self) -> None:
        """Let one of them happen."""
        rng, anvil = self.rng, self.world.node.kind == "anvil"
        answers = replies(TIMEOUT_SECS[self.world.node.kind])
        kinds = [
            *answers, *["kill after a write"] * 6, "kill before the send", "kill after the send",
            "locked journal", "disk full", "clock skew", "two keepers", "time leaps",
            "same key elsewhere", "nonce taken at the send",
        ]  # fmt: skip
        if anvil:
            kinds += ["stale head", *["reorganisation"] * 3, "eviction", "fee spike", "underpriced"]
            kinds += ["node restart"]
        kind = rng.choice([kind for kind in kinds if kind in (ONLY or kinds)])
        self.faults[kind] += 1
        if kind in answers:
            reply = answers[kind]
            with sick(self.proxy, lambda methods: reply, rng.randint(1, 4)):
                self.process.run(3)
        else:
            getattr(self, "_" + kind.replace(" ", "_"))()

    def _stale_head(self):
        with sick(self.proxy, Stale(), 6):
            self.process.run(3)

    def _kill_after_a_write(self):
        assert self.process.run(4, killed_after_write(self.rng.randint(1, 9))) in (0, -9)

    def _kill_before_the_send(self):
        assert self.process.run(2, killed_at_send(before=True)) in (0, -9)

    def _kill_after_the_send(self):
        assert self.process.run(2, killed_at_send(before=False)) in (0, -9)

    def _locked_journal(self):
        self.process.run(1)
        with closing(sqlite3.connect(self.process.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert self.process.run(2) == 0

    def _disk_full(self):
        assert self.process.run(3, disk_full_after(self.rng.randint(0, 6))) == 0

    def _clock_skew(self):
        """The host's clock leaps, while a head's age counts or not; later it is right again."""
        process, rng, began = self.process, self.rng, time.time()
        skew, after, calls = rng.choice([-7_200, -90, 90, 7_200]), rng.randint(0, 12), count()
        true = int(
            self.world.node.request("eth_getBlockByNumber", "latest", False)["timestamp"], 16
        )
        process.wall = lambda: true + time.time() - began + (skew if next(calls) >= after else 0)
        process.head_max_age_secs = rng.choice([None, 120.0])
        try:
            assert process.run(3) == 0
        finally:
            process.wall, process.head_max_age_secs = time.time, None

    def _two_keepers(self):
        """Of one journal and key; the first may stop for a while, or be killed."""
        gate, opens = os.pipe()  # no process is made while another asks: threads answer in this one
        keepers = [self.process.start(20, gate=gate) for _ in range(2)]
        os.write(opens, b"go")
        time.sleep(self.rng.random() / 4)
        blow = self.rng.choice([None, signal.SIGSTOP, signal.SIGKILL])
        if blow:
            os.kill(keepers[0], blow)
            time.sleep(0.6)
            os.kill(keepers[0], signal.SIGCONT)
        codes = [ended(keeper) for keeper in keepers]
        os.close(gate)
        os.close(opens)
        assert codes == [-9 if blow is signal.SIGKILL else 0, 0], (codes, blow)

    def _node_restart(self):
        """It is gone for a while, and with it what waited in its pool."""
        with unmined(self.world):
            self.process.run(self.rng.randint(1, 2))
            with self.proxy.down():
                evicted(self.world)
                self.process.run(2)
            self.process.run(1)

    def _time_leaps(self):
        self.process.run(1)
        time_leaps(self.world, self.rng)
        publish(self.world, self.price)

    def _same_key_elsewhere(self):
        foreign(self.world, self.rng)
        self.process.run(1)

    def _nonce_taken_at_the_send(self):
        done = []

        def answer(methods):
            if "eth_sendRawTransaction" in methods and not done:
                done.append(foreign(self.world, self.rng))

        with sick(self.proxy, answer, 100):
            self.process.run(2)

    def _reorganisation(self):
        self.process.run(self.rng.randint(1, 3))
        # Anvil keeps no state of blocks before a snapshot that it went back to.
        depth = min(self.rng.randint(1, 8), head(self.world) - self.first_block)
        self.world.node.request("anvil_reorg", depth, [])
        self.process.run(1)

    def _eviction(self):
        with unmined(self.world):
            self.process.run(self.rng.randint(1, 2))
            evicted(self.world)
            self.process.run(1)

    def _fee_spike(self):
        """The base fee of the next block is over what was bid."""
        with unmined(self.world):
            self.process.run(1)
            self.world.node.request("anvil_setNextBlockBaseFeePerGas", hex(50 * GWEI))
            self.world.node.request("evm_mine")
            time.sleep(0.06)
            self.process.run(2)
        self.world.node.request("evm_mine")
        self.world.node.request("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
        self.world.node.request("evm_mine")

    def _underpriced(self):
        """The pool refuses what replaces, as one with another minimum does."""
        error = {"code": -32000, "message": "replacement transaction underpriced"}

        def answer(methods):
            if "eth_sendRawTransaction" not in methods:
                return None
            body = json.dumps({"jsonrpc": "2.0", "id": 0, "error": error}).encode()
            return lambda forward: (200, body)

        with sick(self.proxy, answer, 100):
            self.process.run(2)
