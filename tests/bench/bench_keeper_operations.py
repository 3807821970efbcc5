# SPDX-License-Identifier: MIT
"""
Requests, CPU and memory of an idle tick by vaults; take-over time.

    make bench
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import ExitStack
from pathlib import Path

from keeper.chain import Chain, Node
from keeper.deadline import Deadline
from keeper.guard import Safety
from keeper.journal import Journal
from keeper.policy import Policy
from keeper.runner import Keeper
from keeper.sending import Fees, Orders
from keeper.signer import signer_from_key
from keeper.snapshot import Address
from tests.bench.bench_keeper_tick import Silent
from tests.integration.test_keeper_replicas import TICK_SECS, Replica, take_over, until
from tests.keeper_node import keeper_key
from tests.postgres_server import Server, folder_of_programs

TICKS = 20


class Desk:
    """A keeper in this process, with its chain and journal."""

    def __init__(self, world, count: int, *, live: bool, url: str | None = None) -> None:
        lens, self.vault = (
            Address(world.at(name).address.lower()) for name in ("VaultLens", "HedgeVault")
        )
        url = url or world.node.url
        node = {"rpc_url": url, "chain_id": world.node.chain_id, "lens": lens}
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


MANY = """
import sys
from dataclasses import replace
from keeper import cli
orders, many = cli._orders, int(sys.argv.pop(1))
def multiplied(config, *, live):
    found = orders(config, live=live)
    return replace(found, vaults=found.vaults * many)
cli._orders = multiplied
cli.main()
"""  # one vault stands for many, which the configuration refuses


def of_the_process(world, count: int) -> None:
    """Print the memory and CPU of `hedgevault run` with metrics and an alert target."""
    desk = Replica(
        world, Path(tempfile.mkdtemp()) / "keeper", Path(tempfile.mkdtemp()) / "j.sqlite"
    )
    text = desk.path.read_text(encoding="utf-8").replace(
        f"tick_secs = {TICK_SECS}", "tick_secs = 0.5"
    )
    desk.path.write_text(text + '[alerts]\nurl_env = "BENCH_ALERTS"\n', encoding="utf-8")
    command = [sys.executable, "-c", MANY, str(count), "run", "--config", str(desk.path)]
    environment = desk.environment() | {"BENCH_ALERTS": "json://127.0.0.1:9"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        assert until(lambda: desk.role() == "leader")
        before, began = cpu_secs(process.pid), time.perf_counter()
        time.sleep(30.0)
        used, took = cpu_secs(process.pid) - before, time.perf_counter() - began
        said = dict(line.split(":") for line in status_of(process.pid) if ":" in line)
        now, peak = (int(said[name].split()[0]) / 1_024 for name in ("VmRSS", "VmHWM"))
        process.terminate()
    print(
        f"{count:4d} vaults: the process has {now:.0f} MB, at most {peak:.0f} MB; "
        f"CPU {used / took:.1%} at a tick each half second"
    )


def status_of(pid: int) -> list[str]:
    """Return what the system says of a process."""
    return Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()


def cpu_secs(pid: int) -> float:
    """Return the time that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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


def test_operations__by_vaults_and_take_over() -> None:
    """Print the figures."""
    from scripts.deposit import deposit
    from tests.script_world import ETHER, deployed

    warnings.simplefilter("ignore")
    with deployed("anvil", Path(tempfile.mkdtemp())) as world:
        deposit(world.deployment, world.account(5), 50 * ETHER)
        for count in (1, 20, 200):
            by_vaults(world, count)
        for count in (1, 20, 200):
            of_the_process(world, count)
        take_overs(world, Path(tempfile.mkdtemp()) / "journal.sqlite", "file")
        programs = folder_of_programs()
        if programs is not None:
            server = Server(programs)
            take_overs(world, server.new(), "PostgreSQL")
            server.close()
