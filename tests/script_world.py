# SPDX-License-Identifier: MIT
"""A whole system on a local node, deployed by the real scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from keeper.local_node import LocalNode

ROOT = Path(__file__).resolve().parents[1]
ETHER = 10**18
CHAIN_IDS = {"anvil": 31337, "ganache": 1337}
DAY_SECS = 86_400


@dataclass(frozen=True, kw_only=True)
class World:
    """A node, the deployment on it and where its manifest is."""

    node: LocalNode
    deployment: Any
    folder: Path

    def at(self, name: str) -> Any:
        from scripts import calls

        return calls.contract(self.deployment, name)

    def account(self, index: int) -> Any:
        from scripts import accounts

        return accounts.test_account(index)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Take back at the end what happens on the chain inside."""
        from brownie import history

        snapshot = self.node.request("evm_snapshot")
        try:
            yield
        finally:
            self.node.request("evm_revert", snapshot)
            # Brownie would wait for ever for a nonce over one that it remembers.
            history.clear()

    def pass_time(self, seconds: int) -> None:
        """Move the chain's clock and publish the feeds' answers anew."""
        self.node.request("evm_increaseTime", seconds)
        self.node.request("evm_mine")
        self.refresh()

    def govern(self, name: str, method: str, *arguments: Any) -> Any:
        """Propose a call to the owner, wait for its delay, execute it, return the receipt."""
        from scripts import timelock

        account = self.account(0)
        call = timelock.call_of(self.deployment, name, method, *arguments)
        proposal = timelock.propose(self.deployment, account, call)
        self.pass_time(int(self.at("Timelock").get_minimum_delay()))
        return timelock.execute(self.deployment, account, proposal)

    def rebalance(
        self, *, margin_assets: int = 0, size: int = 0, spot_assets: int = 0, margin_quote: int = 0
    ) -> Any:
        """Send a plan of one leg as the keeper and return its receipt."""
        from scripts import calls

        book = self.at("HedgeBook")
        price_wad = int(self.at("PriceOracle").read()[0])
        limit = price_wad * (11 if size > 0 else 9) // 10
        leg = (self.at("PerpVenue").address, 0, margin_assets, margin_quote, size, limit)
        plan = (
            int(book.state()[0]),
            2**63,
            "0x" + "11" * 32,
            [leg],
            1,
            spot_assets,
            price_wad * (11 if spot_assets > 0 else 9) // 10,
        )
        return calls.send(self.account(1), book.rebalance, plan, doing="the plan")

    def refresh(self, price: int | None = None) -> None:
        """Publish `price` (8 decimals), or the old answers, in new rounds."""
        from scripts import calls

        for name in ("AssetFeed", "AssetFeedWitness", "QuoteFeed"):
            feed = self.at(name)
            answer = int(feed.latestRoundData()[1])
            if price is not None and name != "QuoteFeed":
                answer = price
            calls.send(self.account(0), feed.set_answer, answer, doing="the feed")


@contextmanager
def deployed(kind: str, folder: Path, timestamp: int | None = None) -> Iterator[World]:
    """Start a node, at that time if one is given, and deploy the local system on it."""
    from scripts import deploy
    from scripts.connection import connected

    with (
        LocalNode.start(kind, chain_id=CHAIN_IDS[kind], timestamp=timestamp) as node,
        connected(node.url, node.chain_id),
    ):
        deployment = deploy.deploy(folder=folder)
        yield World(node=node, deployment=deployment, folder=folder)


def replayed(world: World) -> Any:
    """Return what the events of a deployed system prove, as `hedgevault audit` has it."""
    from keeper.chain import Chain, Node
    from keeper.replay import replay
    from scripts.demo_audit import system_of

    node, lens = world.node, world.deployment.contracts["VaultLens"].address.lower()
    system = system_of(world.deployment)
    chain = Chain(Node(rpc_url=node.url, chain_id=node.chain_id, lens=lens))
    try:
        return replay(chain.batch, system, 0, int(node.request("eth_blockNumber"), 16))
    finally:
        chain.close()


def noticed(world: World) -> tuple[Any, Any]:
    """Return what the dashboard reads of a deployed vault: its snapshot, and what was logged."""
    from keeper.chain import Chain, Node
    from keeper.deadline import Deadline
    from keeper.web.notices import Notices

    node, at = world.node, world.deployment
    vault = at["HedgeVault"].address.lower()
    lens = at["VaultLens"].address.lower()
    chain = Chain(Node(rpc_url=node.url, chain_id=node.chain_id, lens=lens, head_max_age_secs=None))
    try:
        reading = chain.read([vault], None, [], Deadline(20.0))
        vaults = [snapshot.vault for snapshot in reading.snapshots]
        return vaults[0], Notices(chain.batch, 0).read(vaults, reading.block.number)
    finally:
        chain.close()


def brownie(
    *arguments: str, home: Path, deployments: Path, said: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Brownie as a user does, with a home directory and deployments of its own."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("brownie")), *arguments],
        cwd=ROOT,
        env={**os.environ, "HOME": str(home), "HEDGEVAULT_DEPLOYMENTS": str(deployments)},
        input=said,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def spoken(script: str) -> tuple[Callable[..., str], Callable[..., str]]:
    """
    Return what a person hears of ``scripts/<script>.py``, and what he is told when it refuses.

    Both take pytest's `capsys` and the words after ``main``; ``action=`` names another function.
    """

    def run(words: tuple[str, ...], action: str) -> None:
        getattr(import_module(f"scripts.{script}"), action)(*words)  # needs Brownie connected

    def said(capsys: Any, *words: str, action: str = "main") -> str:
        run(words, action)
        return str(capsys.readouterr().out)

    def complaint(capsys: Any, *words: str, action: str = "main") -> str:
        with pytest.raises(SystemExit) as ended:
            run(words, action)
        assert ended.value.code == 1
        return str(capsys.readouterr().err)

    return said, complaint
