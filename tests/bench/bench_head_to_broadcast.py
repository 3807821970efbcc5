# SPDX-License-Identifier: MIT
"""
Head to broadcast beside the bare read, signature and send, part by part; asserts no time.

The bare path asks and sends what the keeper does, with the same signer; it does not decide,
simulate or write. What the keeper may not leave out is measured alone: one request that simulates,
and two commits that wait for the disk. Their sum with the bare path is the floor. The second table
is of a node some way off, where each request costs its way and little else does.

    make bench
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import requests
from eth_keys.backends import get_default_backend_class

from keeper.chain import Envelope
from keeper.deadline import Deadline
from keeper.plan import calldata
from keeper.policy import Memory
from keeper.reading import Reading
from keeper.rpc import encode_calls
from keeper.snapshot import Address
from keeper.strategy import decide
from tests.bench.bench_keeper_operations import Desk
from tests.integration.test_keeper_replicas import until
from tests.keeper_node import Proxy

TURNS = 15  # a tenth more each: what the limits of turnover and size let pass
HEADERS = {"Content-Type": "application/json"}
AWAY_SECS = 0.03  # a node over the internet
GAS, FEE = 3_000_000, 10**11

Times = dict[str, list[float]]  # seconds, by part


class Stopwatch:
    """Notes when each part of a keeper's tick ended."""

    def __init__(self, desk: Desk) -> None:
        self.marks: dict[str, float] = {}
        for owner, name in ((desk.chain, "simulate"), (desk.signer, "sign"), (desk.chain, "send")):
            setattr(owner, name, self._noting(name, getattr(owner, name)))

    def _noting(self, name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*args: Any) -> Any:
            self.marks[f"{name} begins"] = time.perf_counter()
            try:
                return run(*args)
            finally:
                self.marks[f"{name} ends"] = time.perf_counter()

        return noting

    def between(self, start: str, end: str) -> float:
        return self.marks[end] - self.marks[start]


def timed(run: Callable[[], Any]) -> float:
    """Return the seconds that something takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def by_keeper(desk: Desk, watch: Stopwatch, times: Times) -> None:
    """Let the keeper rebalance; note its parts until the node has answered to the bytes."""
    started = time.perf_counter()
    report = desk.keeper.tick(Deadline(10.0))
    assert [tx.succeeded for tx in report.sent] == [True]
    parts = {
        "read and decode": report.stages["read"] + report.stages["resolve"],
        "decide": report.stages["decide"],
        "guard; write decision and plan": report.stages["record"],
        "simulate": watch.between("simulate begins", "simulate ends"),
        "sign": watch.between("sign begins", "sign ends"),
        "write signature and count": watch.between("sign ends", "send begins"),
        "send": watch.between("send begins", "send ends"),
        "all": watch.marks["send ends"] - started,
    }
    for name, secs in parts.items():
        times.setdefault(name, []).append(secs)


class Bare:
    """The same requests and the same signer, and nothing else; and what is measured alone."""

    def __init__(self, desk: Desk, url: str) -> None:
        self._desk, self._url, self._session = desk, url, requests.Session()
        self._disk = sqlite3.connect(Path(tempfile.mkdtemp()) / "commits.sqlite")
        self._disk.execute("PRAGMA journal_mode=WAL")
        self._disk.execute("PRAGMA synchronous=FULL")
        self._disk.execute("CREATE TABLE rows (value TEXT)")
        self._disk.commit()

    def post(self, *calls: Any) -> Any:
        return self._session.post(self._url, data=encode_calls(calls), headers=HEADERS).json()

    def turn(self, reading: Reading, times: Times) -> None:
        """Measure on the state that the keeper will find; leave the transaction in the pool."""
        desk, (state,) = self._desk, reading.snapshots
        call = calldata(decide(state, desk.orders.policy, Memory()).plan)
        question = desk.chain._reader.question([desk.vault], desk.signer.address, []).calls()
        asked = {"from": desk.signer.address, "to": state.vault.book, "data": "0x" + call.hex()}
        tried = ("eth_call", [asked | {"gas": hex(GAS)}, "pending"])
        envelope = Envelope(
            to=state.vault.book, calldata=call, nonce=reading.nonce, gas=GAS, max_fee=FEE,
            priority_fee=10**9,
        )  # fmt: skip

        def path() -> None:
            self.post(*question)
            signed = desk.signer.sign(envelope)
            self.post(("eth_sendRawTransaction", ["0x" + signed.raw.hex()]))

        alone = {
            "one commit": self._commit,
            "simulation, one call": lambda: self.post(tried),
            "simulation, call and search for the gas": lambda: self.post(
                tried, ("eth_estimateGas", [asked])
            ),
            "bare": path,
        }
        for name, run in alone.items():
            times.setdefault(name, []).append(timed(run))

    def _commit(self) -> None:
        with self._disk:
            self._disk.execute("INSERT INTO rows VALUES (?)", ("x" * 4_096,))

    def close(self) -> None:
        self._session.close()
        self._disk.close()


def counted(node: Any, who: Address, count: int) -> bool:
    """Return whether so many transactions of a key are mined."""
    return int(node.request("eth_getTransactionCount", who, "latest"), 16) == count


@contextmanager
def undone(node: Any) -> Iterator[None]:
    """Put the chain back to where it was."""
    before = node.request("evm_snapshot")
    yield
    node.request("evm_revert", before)


def measure(world: Any, url: str, drift: Callable[[], None]) -> tuple[Times, Times]:
    """Return the times of the keeper's parts, and of the bare path and what is measured alone."""
    ours: Times = {}
    bare: Times = {}
    desk = Desk(world, 1, live=True, url=url)
    watch, by_hand = Stopwatch(desk), Bare(desk, url)
    for turn in range(TURNS + 1):
        drift()
        if turn == 0:
            desk.orders.kill_file.touch()
            desk.keeper.tick(Deadline(10.0))  # as of a keeper that has run for a while
            desk.orders.kill_file.unlink()
        with undone(world.node):
            reading = desk.chain.read((desk.vault,), desk.signer.address, [], Deadline(10.0))
            by_hand.turn(reading, bare)
            assert until(partial(counted, world.node, desk.signer.address, reading.nonce + 1))
        by_keeper(desk, watch, ours)
    by_hand.close()
    desk.close()
    return ours, bare


def show(ours: Times, bare: Times, where: str) -> None:
    """Print medians, and how much of the bare path each is; the first turn stands for itself."""
    ms = {name: statistics.median(secs[1:]) * 1_000 for name, secs in {**ours, **bare}.items()}
    whole = ms["bare"]
    signing = get_default_backend_class().rsplit(".", 1)[-1]
    print(f"\nhead to broadcast, {where}: read, sign, send by hand {whole:.1f} ms, {signing}")
    rows = {**{f"  {name}": ms[name] for name in ours if name != "all"}, "keeper": ms["all"]}
    rows["keeper, its first send"] = ours["all"][0] * 1_000
    for name in bare:
        if name != "bare":
            rows[f"alone: {name}"] = ms[name]
    rows["floor: bare, one call, two commits"] = (
        whole + ms["simulation, one call"] + 2 * ms["one commit"]
    )
    for name, value in rows.items():
        print(f"  {name:44s} {value:7.2f} ms {value / whole:6.2f} x")


def test_head_to_broadcast__beside_the_bare_requests() -> None:
    """Print the figures."""
    from scripts.deposit import deposit
    from tests.script_world import ETHER, deployed

    warnings.simplefilter("ignore")
    for away_secs in (0.0, AWAY_SECS):
        with ExitStack() as open_ones:
            world = open_ones.enter_context(deployed("anvil", Path(tempfile.mkdtemp())))
            url, where = world.node.url, "a node beside it"
            if away_secs:
                proxy = open_ones.enter_context(Proxy(url))
                proxy.meddle = lambda methods: time.sleep(AWAY_SECS)
                url, where = proxy.url, f"a node {away_secs * 1_000:.0f} ms away"

            def drift(world: Any = world) -> None:
                world.refresh()
                held = world.at("HedgeVault").totalAssets() // ETHER
                deposit(world.deployment, world.account(5), (held // 10 or 100) * ETHER)

            show(*measure(world, url, drift), where)
