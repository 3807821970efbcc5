# SPDX-License-Identifier: MIT
"""
Head to broadcast beside the bare requests; requests, CPU and memory by vaults; take-over time.

    make bench
"""

from __future__ import annotations

import json
import resource
import signal
import statistics
import tempfile
import time
import warnings
from contextlib import ExitStack
from pathlib import Path

import requests

from keeper.chain import Chain, Envelope, Node
from keeper.deadline import Deadline
from keeper.guard import Safety
from keeper.journal import Journal
from keeper.plan import calldata
from keeper.policy import Policy
from keeper.rpc import encode_calls
from keeper.runner import Keeper
from keeper.sending import Fees, Orders
from keeper.signer import signer_from_key
from keeper.snapshot import Address
from tests.bench.bench_keeper_tick import Silent
from tests.integration.test_keeper_replicas import TICK_SECS, Replica, take_over, until
from tests.keeper_node import keeper_key
from tests.postgres_server import Server, folder_of_programs

SENDS = 15
TICKS = 20
HEADERS = {"Content-Type": "application/json"}


class Desk:
    """A keeper in this process, with its chain and journal."""

    def __init__(self, world, count: int, *, live: bool) -> None:
        lens, self.vault = (
            Address(world.at(name).address.lower()) for name in ("VaultLens", "HedgeVault")
        )
        node = {"rpc_url": world.node.url, "chain_id": world.node.chain_id, "lens": lens}
        folder = Path(tempfile.mkdtemp())
        self.chain = Chain(Node(**node, head_max_age_secs=None), log=Silent())
        self.journal = Journal(folder / "journal.sqlite", world.node.chain_id)
        self.signer = signer_from_key(keeper_key(), world.node.chain_id)
        self.orders = Orders(
            vaults=(self.vault,) * count, policy=Policy(), live=live,
            safety=Safety(max_sends_an_hour=10**6, max_gas_a_day=10**12),
            fees=Fees(max_fee=10**12, priority_fee=10**9, max_gas=3_000_000, gas_margin_bps=5_000),
            kill_file=folder / "stop", confirmations=1, receipt_wait_secs=1.0,
        )  # fmt: skip
        self.keeper = Keeper(
            chain=self.chain, journal=self.journal, orders=self.orders, signer=self.signer,
            log=Silent(),
        )  # fmt: skip

    def close(self) -> None:
        self.chain.close()
        self.journal.close()


def head_to_broadcast(world) -> None:
    """Compare a rebalance by the keeper with the same read, signature and send by hand."""
    session, ours, bare, stages, call = requests.Session(), [], [], [], None
    for turn in range(SENDS + 1):
        before = world.node.request("evm_snapshot")
        desk = Desk(world, 1, live=True)
        send, sent = desk.chain.send, []

        def noting(signed, send=send, sent=sent) -> None:
            send(signed)
            sent.append(time.perf_counter())

        desk.chain.send = noting
        desk.orders.kill_file.touch()
        desk.keeper.tick(Deadline(10.0))  # connections are open, caches warm; nothing is sent
        desk.orders.kill_file.unlink()
        started = time.perf_counter()
        report = desk.keeper.tick(Deadline(10.0))
        (row,) = report.sent
        ours.append(sent[0] - started)
        stages.append(report.stages)
        call = calldata(report.verdicts[0].decision.plan) if turn == 0 else call
        world.node.request("evm_revert", before)

        before = world.node.request("evm_snapshot")
        read = encode_calls(desk.chain._reader.question([desk.vault], row.sender, []).calls())
        started = time.perf_counter()
        answers = session.post(world.node.url, data=read, headers=HEADERS).json()
        signed = desk.signer.sign(
            Envelope(
                to=row.book, calldata=call, nonce=int(answers[2]["result"], 16),
                gas=row.gas_limit, max_fee=row.max_fee, priority_fee=row.priority_fee,
            )
        )  # fmt: skip
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction"}
        body["params"] = ["0x" + signed.raw.hex()]
        session.post(world.node.url, data=json.dumps(body), headers=HEADERS).json()
        bare.append(time.perf_counter() - started)
        assert until(lambda: world.node.request("eth_getTransactionReceipt", signed.tx_hash))  # noqa: B023
        world.node.request("evm_revert", before)
        desk.close()
    by_hand, keeper = (statistics.median(times[1:]) * 1_000 for times in (bare, ours))
    print(
        f"head to broadcast: read, sign, send by hand {by_hand:.1f} ms; keeper, with decision, "
        f"guard, simulation and four commits, {keeper:.1f} ms ({keeper / by_hand:.2f} x)"
    )
    parts = {name: statistics.median(s[name] for s in stages) * 1_000 for name in stages[0]}
    print("  stages: " + ", ".join(f"{name} {ms:.1f} ms" for name, ms in parts.items()))
    session.close()


def by_vaults(world, count: int) -> None:
    """Print what an idle tick costs."""
    desk = Desk(world, count, live=False)
    desk.keeper.tick(Deadline(30.0))
    asked, cpu, started = desk.chain.requests, time.process_time(), time.perf_counter()
    for _ in range(TICKS):
        desk.keeper.tick(Deadline(30.0))
    requests_each = (desk.chain.requests - asked) / TICKS
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    print(
        f"{count:4d} vaults: {requests_each:g} HTTP requests a tick, "
        f"{(time.perf_counter() - started) / TICKS * 1_000:.1f} ms, "
        f"CPU {(time.process_time() - cpu) / TICKS * 1_000:.1f} ms, peak memory of this process, "
        f"Brownie included, {memory:.0f} MB"
    )
    desk.close()


def take_overs(world, place, name: str) -> None:
    """Print how long nobody leads after the leader was stopped, and after it was killed."""
    folder = Path(tempfile.mkdtemp())
    first, second = (Replica(world, folder / number, place) for number in ("first", "second"))
    with ExitStack() as running:
        running.enter_context(first.standing_by())
        assert until(lambda: first.role() == "leader")
        running.enter_context(second.standing_by())
        assert until(lambda: second.role() == "standby")
        stopped = take_over(first, second, signal.SIGSTOP)
        first.process.send_signal(signal.SIGCONT)
        assert until(lambda: first.role() == "standby")
        killed = take_over(second, first, signal.SIGKILL)
    print(
        f"take-over, {name}, tick {TICK_SECS:g} s: {stopped:.2f} s after SIGSTOP, "
        f"{killed:.2f} s after SIGKILL"
    )


def test_operations__beside_the_bare_requests() -> None:
    """Print the figures."""
    from scripts.deposit import deposit
    from tests.script_world import ETHER, deployed

    warnings.simplefilter("ignore")
    with deployed("anvil", Path(tempfile.mkdtemp())) as world:
        deposit(world.deployment, world.account(5), 50 * ETHER)
        head_to_broadcast(world)
        for count in (1, 20, 200):
            by_vaults(world, count)
        take_overs(world, Path(tempfile.mkdtemp()) / "journal.sqlite", "file")
        programs = folder_of_programs()
        if programs is not None:
            server = Server(programs)
            take_overs(world, server.new(), "PostgreSQL")
            server.close()
