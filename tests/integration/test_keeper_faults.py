# SPDX-License-Identifier: MIT
"""Faults at random, of the process, the journal, the way and the chain: hedged exactly once."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from random import Random

import pytest

from keeper.deadline import Deadline
from keeper.errors import Fault
from keeper.journal import TxState
from tests.fault_world import Process, Run, Tally, ended, foreign, head, publish, unmined
from tests.keeper_node import NIGHTLY, Proxy
from tests.script_world import ETHER, deployed

pytestmark = [
    pytest.mark.node,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
NIGHT = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
SEED = int(os.environ.get("FAULT_SEED", "1"))
RUNS = int(os.environ.get("FAULT_RUNS", "150" if NIGHT else "20"))


@pytest.fixture(scope="module")
def system(request, tmp_path_factory):
    """A vault with 50 assets; the keeper's key has sent something, since Ganache renumbers 0."""
    from brownie import network

    from scripts.deposit import deposit

    kind = getattr(request, "param", "anvil")
    with deployed(kind, tmp_path_factory.mktemp("deployments")) as world:
        network.main.gas_buffer(1.5)
        deposit(world.deployment, world.account(5), 50 * ETHER)
        foreign(world, None)
        for _ in range(10):  # no reorganisation takes that
            world.node.request("evm_mine")
        yield world


def one_run(world, folder, rng):
    """Return a run that is over, checked by itself."""
    folder.mkdir()
    with world.undone(), Proxy(world.node.url) as proxy:
        run = Run(world, folder, proxy, rng)
        run.go()
        rows, done = run.process.rows(), run.nonce()
        assert run.is_hedged(), (rows, run.faults)
        finals = [tx for tx in rows if tx.state is TxState.FINAL]
        assert {tx.state for tx in rows} <= {TxState.FINAL, TxState.FAILED}, run.faults
        assert [tx.plan_nonce for tx in finals] == list(range(done)), run.faults
        assert int(world.at("HedgeVault").totalAssets()) > 0
    return run, done


def check(world, folder, runs, seed):
    tally = Tally()
    _, wanted = one_run(world, folder / "calm", None)
    assert wanted == 2
    for number in range(runs):
        run, done = one_run(world, folder / str(number), Random(f"{seed} {number}"))
        tally.runs += 1
        tally.faults += run.faults
        tally.intended += wanted
        tally.done += done
        tally.doubled += max(0, done - wanted)
        tally.lost += max(0, wanted - done)
    print(f"\n{world.node.kind}, seed {seed}: {tally}")
    assert (tally.doubled, tally.lost) == (0, 0)
    return tally


def test_faults__at_random__each_rebalance_exactly_once(system, tmp_path, record_property):
    tally = check(system, tmp_path, RUNS, SEED)
    record_property("faults", str(tally))
    assert tally.faults.total() >= tally.runs


@NIGHTLY
@pytest.mark.parametrize("system", ["ganache"], indirect=True, scope="module")
def test_faults__at_random_on_ganache__each_rebalance_exactly_once(system, tmp_path):
    check(system, tmp_path, 50, SEED)


# What does not fit into a series


class Lines:
    def __init__(self):
        self.events = []

    def _line(self, event, **fields):
        self.events.append(event)

    info = warning = error = _line


@pytest.fixture
def kept(system, tmp_path):
    """A vault to be hedged, and a keeper to which two confirmations are enough."""
    with system.undone():
        for _ in range(12):
            system.node.request("evm_mine")
        process = Process(system, tmp_path, system.node.url)
        log = Lines()
        keeper, chain, journal = process.keeper(confirmations=2, log=log)
        publish(system, 2_500)

        def tick(count, *, mines=True):
            for _ in range(count):
                with suppress(Fault):
                    keeper.tick(Deadline(5.0))
                if mines:
                    system.node.request("evm_mine")
            return journal.transactions()

        tick.events = log.events
        with closing(chain), closing(journal):
            yield tick


def nonces(system):
    key = Process(system, system.folder, "").signer.address
    count = int(system.node.request("eth_getTransactionCount", key, "latest"), 16)
    return int(system.at("HedgeBook").state()[0]), count


def test_reorganisation_under_the_confirmations__noticed_and_hedged_once(system, kept):
    (tx,) = kept(4)
    before = nonces(system)
    assert (tx.state, before[0]) == (TxState.FINAL, 1)
    system.node.request("anvil_reorg", head(system) - tx.block_number + 1, [])
    assert nonces(system) == (0, before[1] - 1)
    (again,) = kept(6)
    assert "undone" in kept.events
    assert (again.state, again.tx_hash, again.sends) == (TxState.FINAL, tx.tx_hash, 2)
    assert again.block_hash != tx.block_hash
    assert nonces(system) == before


def test_reorganisation_takes_the_nonce_before_ours__filled_and_hedged_once(system, kept):
    """It was another process's; what we send waits behind the gap."""
    _, before = nonces(system)
    foreign(system, None)
    since = head(system)
    with unmined(system):
        kept(1, mines=False)
        system.node.request("anvil_reorg", head(system) - since + 1, [])
    assert nonces(system) == (0, before)
    rows = kept(10)
    assert "gap" in kept.events
    assert [(tx.purpose, tx.state, tx.account_nonce) for tx in rows] == [
        ("rebalance", TxState.FINAL, before + 1), ("fill", TxState.FINAL, before),
    ]  # fmt: skip
    assert nonces(system) == (1, before + 2)


def test_two_keepers_of_one_key_with_a_journal_each__hedged_once(system, tmp_path):
    """As when an operator starts a second one on another host: the nonces are the fence."""
    with system.undone():
        keepers = []
        for name in ("here", "there"):
            (tmp_path / name).mkdir()
            keepers.append(Process(system, tmp_path / name, system.node.url))
            keepers[-1].warm_up()
        publish(system, 2_500)
        _, before = nonces(system)
        children = [keeper.start(4) for keeper in keepers]
        assert [ended(child) for child in children] == [0, 0]
        for _ in range(8):
            for keeper in keepers:
                system.node.request("evm_mine")
                assert keeper.run(1) == 0
            for _ in range(3):
                system.node.request("evm_mine")
        rows = [keeper.rows() for keeper in keepers]
        assert {tx.state for each in rows for tx in each} <= {TxState.FINAL, TxState.FAILED}
        hashes = {tx.tx_hash for each in rows for tx in each if tx.state is TxState.FINAL}
        assert len(hashes) == 1
        assert nonces(system)[0] == 1
        reverted = {tx.tx_hash for each in rows for tx in each if tx.succeeded is False}
        assert nonces(system)[1] == before + 1 + len(reverted)
