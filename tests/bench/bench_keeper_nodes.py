# SPDX-License-Identifier: MIT
"""
Idle tick and send with one node and with three, beside the bare requests; prints, asserts no time.

    make bench
"""

from __future__ import annotations

import json
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
from keeper.local_node import LocalNode
from keeper.policy import Policy
from keeper.rpc import encode_calls
from keeper.runner import Keeper
from keeper.sending import Fees, Orders
from keeper.signer import signer_from_key
from keeper.snapshot import Address
from tests.bench.bench_keeper_tick import Silent, median_ms
from tests.keeper_node import keeper_key

SENDS = 30
HEADERS = {"Content-Type": "application/json"}


def body_of(chain: Chain, vaults: tuple[Address, ...], who: Address) -> bytes:
    """Return the body of a tick's own request."""
    return encode_calls(chain._reader.question(vaults, who, []).calls())


def envelope(to: Address, nonce: int) -> Envelope:
    """Return a transaction that does nothing."""
    return Envelope(to=to, calldata=b"", nonce=nonce, gas=30_000, max_fee=10**10, priority_fee=1)


def nonce_of(node: LocalNode, who: Address) -> int:
    return int(node.request("eth_getTransactionCount", who, "latest"), 16)


def measure_tick(world, urls: list[str]) -> None:
    """Compare the bare request to one node with a tick over all of `urls`."""
    lens, vault = (Address(world.at(name).address.lower()) for name in ("VaultLens", "HedgeVault"))
    node = Node(
        rpc_url=urls[0], other_rpc_urls=tuple(urls[1:]), chain_id=world.node.chain_id, lens=lens,
        head_max_age_secs=None,
    )  # fmt: skip
    folder = Path(tempfile.mkdtemp())
    chain, signer = Chain(node), signer_from_key(keeper_key(), world.node.chain_id)
    journal = Journal(folder / "journal.sqlite", world.node.chain_id)
    orders = Orders(
        vaults=(vault,), policy=Policy(), safety=Safety(), live=False,
        fees=Fees(max_fee=10**11, priority_fee=10**9, max_gas=3_000_000, gas_margin_bps=5_000),
        kill_file=folder / "stop", confirmations=1, receipt_wait_secs=1.0,
    )  # fmt: skip
    keeper = Keeper(chain=chain, journal=journal, orders=orders, signer=signer, log=Silent())
    body, session = body_of(chain, (vault,), signer.address), requests.Session()
    bare = median_ms(lambda: session.post(urls[0], data=body, headers=HEADERS).content)
    read = median_ms(lambda: chain.read((vault,), signer.address, [], Deadline(10.0)))
    tick = median_ms(lambda: keeper.tick(Deadline(10.0)))
    asked = chain.requests
    keeper.tick(Deadline(10.0))
    print(
        f"{len(urls)} nodes: bare request {bare:5.2f} ms, read {read:5.2f} ms "
        f"({read / bare:.2f} x), idle tick with journal {tick:5.2f} ms ({tick / bare:.2f} x), "
        f"{chain.requests - asked} requests"
    )
    measure_send(world, chain, signer, session, urls[0])
    for thing in (journal, chain, session):
        thing.close()


def measure_send(world, chain: Chain, signer, session: requests.Session, url: str) -> None:
    """Compare sign and send by the bare request with sign and send by the keeper."""
    times: dict[str, list[float]] = {"bare": [], "keeper": []}
    nonce = nonce_of(world.node, signer.address)
    for i in range(2 * SENDS):
        started = time.perf_counter()
        signed = signer.sign(envelope(signer.address, nonce + i))
        if i % 2:
            chain.send(signed)
        else:
            call = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction"}
            call |= {"params": ["0x" + signed.raw.hex()]}
            answer = session.post(url, data=json.dumps(call), headers=HEADERS).json()
            assert answer["result"] == signed.tx_hash
        times["keeper" if i % 2 else "bare"].append(time.perf_counter() - started)
    bare, ours = (sorted(found)[SENDS // 2] * 1_000 for found in times.values())
    print(f"  sign and send: bare {bare:5.2f} ms, keeper {ours:5.2f} ms ({ours / bare:.2f} x)")


def test_nodes__beside_the_bare_requests() -> None:
    """Print the figures."""
    from scripts.deposit import deposit
    from tests.script_world import ETHER, deployed

    warnings.simplefilter("ignore")
    with ExitStack() as open_ones, deployed("anvil", Path(tempfile.mkdtemp())) as world:
        deposit(world.deployment, world.account(5), 50 * ETHER)
        others = [
            open_ones.enter_context(LocalNode.start("anvil", chain_id=world.node.chain_id))
            for _ in range(2)
        ]
        for count in (1, 3):
            state = world.node.request("anvil_dumpState")
            for other in others:
                other.request("anvil_loadState", state)
            measure_tick(world, [node.url for node in [world.node, *others]][:count])
