# SPDX-License-Identifier: MIT
"""
Time of an idle tick against the bare request, side by side on Anvil; prints, asserts no time.

    make bench
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import requests

from keeper.chain import Chain, Node
from keeper.deadline import Deadline
from keeper.guard import Safety
from keeper.journal import Journal
from keeper.policy import Policy
from keeper.reading import lens_call
from keeper.runner import Keeper
from keeper.sending import Fees, Orders
from keeper.snapshot import Address
from tests.keeper_node import HEDGEVAULT, KEY_ENV, Desk, keeper_key

ROUNDS = 60


class Silent:
    """A logger that says nothing."""

    def _line(self, event: str, **fields: object) -> None:
        pass

    info = warning = error = _line


def median_ms(run, rounds=ROUNDS) -> float:
    """Return the median time of a call in milliseconds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1_000


def measure(world, count: int) -> None:
    """Compare the bare HTTP request with a whole tick over `count` vaults."""
    lens, vault = (Address(world.at(name).address.lower()) for name in ("VaultLens", "HedgeVault"))
    chain = Chain(
        Node(
            rpc_url=world.node.url, chain_id=world.node.chain_id, lens=lens, head_max_age_secs=None
        )
    )  # fmt: skip
    folder = Path(tempfile.mkdtemp())
    orders = Orders(
        vaults=(vault,) * count, policy=Policy(), safety=Safety(), live=False,
        fees=Fees(max_fee=10**11, priority_fee=10**9, max_gas=3_000_000, gas_margin_bps=5_000),
        kill_file=folder / "stop", confirmations=1, receipt_wait_secs=1.0,
    )  # fmt: skip
    journal = Journal(folder / "journal.sqlite", world.node.chain_id)
    keeper = Keeper(chain=chain, journal=journal, orders=orders, signer=None, log=Silent())
    pages = [[vault] * min(25, count - i) for i in range(0, count, 25)]
    calls = [("eth_chainId", []), ("eth_getBlockByNumber", ["latest", False])]
    calls += [("eth_call", [lens_call(lens, page), "latest"]) for page in pages]
    body = json.dumps(
        [{"jsonrpc": "2.0", "id": i, "method": m, "params": p} for i, (m, p) in enumerate(calls)]
    )
    session = requests.Session()
    headers = {"Content-Type": "application/json"}
    bare = median_ms(lambda: session.post(world.node.url, data=body, headers=headers).content)
    read = median_ms(lambda: chain.read(orders.vaults, None, [], Deadline(10.0)))
    tick = median_ms(lambda: keeper.tick(Deadline(10.0)))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    print(
        f"{count:4d} vaults: bare request {bare:6.2f} ms, read and decode {read:6.2f} ms "
        f"({read / bare:.2f} x), whole tick with journal {tick:6.2f} ms ({tick / bare:.2f} x), "
        f"memory {memory:.0f} MB"
    )
    journal.close()
    chain.close()
    session.close()


def desk_command(world) -> list[str]:
    """Return the command that hedges the vault, so that what follows is idle."""
    desk = Desk(world, Path(tempfile.mkdtemp()))
    return [str(HEDGEVAULT), "once", "--live", "--config", str(desk.path)]


def environment() -> dict[str, str]:
    """Return the environment with the keeper's key."""
    return {**os.environ, KEY_ENV: keeper_key()}


def test_idle_tick__beside_the_bare_request() -> None:
    """Print the figures."""
    from scripts.deposit import deposit
    from tests.script_world import ETHER, deployed

    warnings.simplefilter("ignore")
    with deployed("anvil", Path(tempfile.mkdtemp())) as world:
        deposit(world.deployment, world.account(5), 50 * ETHER)
        subprocess.run(desk_command(world), check=True, capture_output=True, env=environment())
        for count in (1, 25, 200):
            measure(world, count)
