# SPDX-License-Identifier: MIT
"""
The exact engine and a real node play the same 48 hours: every state and every plan is the same.

The market is `scripts.market.Market` on Anvil and `World` in the engine; the keeper's decision
is made twice, from what the lens answers and from what the model says.
"""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from eth_account import Account

from keeper.chain import Chain, Node
from keeper.deadline import Deadline
from keeper.plan import calldata
from keeper.policy import Memory, Policy
from keeper.simulation.backtest import defaults
from keeper.simulation.backtest.engine import Engine, Run
from keeper.simulation.backtest.world import PURSE, TRADER, World, deployed_feeds
from keeper.simulation.market_file import read_hours
from keeper.simulation.paths import PathTerms, jump_diffusion
from keeper.simulation.reference.hedge_vault import Identity
from keeper.snapshot import Address, Snapshot
from keeper.strategy import Rebalance, decide
from tests.script_world import ETHER, deployed

pytestmark = [
    pytest.mark.node,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

ETH = Path(__file__).parents[3] / "shared/data/eth_binance_1h_2019-11_2025-12.csv.gz"
SEED, HOURS, DEPOSIT = 11, 49, 100 * ETHER
GAS_LIMIT, LATENCY = 2_000_000, 12
FEED_ANSWERS = 2_500 * 10**8, 2_500 * 10**8, 10**8
# Levels close together, so that two days see every kind of plan.
POLICY = Policy(
    distance_low_bps=3_600,
    distance_target_bps=4_000,
    distance_high_bps=4_400,
    settle_trigger_bps=300,
    headroom_deviations_bps=55_000,  # the outlook in the memory decides, too
    volatility_bps=11_000,
    ratio_strategy=4,
)


def file_hours():
    """Return the rebound of May 2021 from its crash, a market that calls for margin."""
    if not ETH.exists():
        pytest.skip("the shared data files are not beside this checkout")
    hours = read_hours(ETH, datetime.date(2021, 5, 19), datetime.date(2021, 5, 22))
    return hours[12 : 12 + HOURS]


def made_hours():
    """Return a path with a crash and a squeeze, for checkouts without the files."""
    terms = PathTerms(volatility=0.02, crash=-0.2, squeeze=0.7)
    return jump_diffusion(HOURS, SEED, 1_700_000_000, terms)


class Replay:
    """One system on Anvil and one in the engine, brought forward together."""

    def __init__(self, world, hours):
        from scripts.calls import contract
        from scripts.market import Market

        self.world, self.hours = world, hours
        self.contract = lambda name: contract(world.deployment, name)
        self.market = Market(world.deployment, world.account(9), SEED)
        self.keeper = world.account(1)
        self.chain = Chain(
            Node(
                rpc_url=world.node.url, chain_id=world.node.chain_id,
                lens=self.address("VaultLens"), head_max_age_secs=None,
            )
        )  # fmt: skip
        self.memory = Memory()
        self.sent, self.seen = [], []
        self.plans = self.compared = 0

    def address(self, name):
        return Address(self.contract(name).address.lower())

    def start(self):
        """Give trader and vault what they begin with, on both sides."""
        from scripts import calls

        self.market.prepare()
        trader, quote = self.world.account(9), self.contract("Quote")
        calls.send(trader, quote.mint, str(trader), PURSE * 10**6, doing="mint")
        calls.send(trader, self.contract("PerpVenue").deposit, 0, PURSE * 10**6, doing="margin")
        depositor, vault = self.world.account(5), self.contract("HedgeVault")
        asset = self.contract("Asset")
        calls.send(depositor, asset.approve, vault.address, 2**256 - 1, doing="approve")
        at = self._now()
        self.engine = self._engine(at)
        first = self.hours[0]
        assert self.market.advance(first).failed == ()
        self.engine.world.advance(first)
        data = vault.deposit.encode_input(DEPOSIT, str(depositor))
        self._mine(first.closes_at + LATENCY, depositor, vault.address, data)
        self.engine.world.vault.credit(DEPOSIT, at=first.closes_at + LATENCY)

    def _engine(self, at):
        read = self._read().vault
        names = [name for name in Identity.__slots__ if hasattr(read, name)]
        state = {n: getattr(read.state, n) for n in Identity.__slots__ if hasattr(read.state, n)}
        identity = Identity(**{name: getattr(read, name) for name in names}, **state)
        setup = replace(
            defaults.setup(), identity=identity, deposit=DEPOSIT,
            pool_quote=20_000_000 * 10**6, fund_quote=500_000 * 10**6,
        )  # fmt: skip
        index = deployed_feeds(FEED_ANSWERS, np.random.default_rng(SEED), at=at)
        model = World(
            setup, index, at=at, pegged=False,
            names=(read.venues[0].venue, self.address("LiquidityPool")),
        )  # fmt: skip
        taken = model.vault.snapshot

        def snapshot(*, at):
            self.seen.append(taken(at=at))
            return self.seen[-1]

        model.vault.snapshot = snapshot
        run = Run(policy=POLICY, latency_blocks=1)
        return Engine(model, run, watching=False, on_sent=self.sent.append)

    def hour(self, hour):
        """Play one hour on both sides and compare after every step of it."""
        self.seen.clear()
        self.sent.clear()
        self.engine.step(hour, hour)
        done = self.market.advance(hour)
        assert done.failed == ()
        at, sent = hour.closes_at, list(self.sent)
        for ours in self.seen:
            if at != hour.closes_at:
                self._mine(at)
            read = self._compare(ours, at)
            decision = decide(read, POLICY, self.memory)
            self.memory = decision.memory
            if not isinstance(decision, Rebalance):
                break
            plan, expected = decision.plan, sent.pop(0)
            assert replace(plan, decision_id=b"") == replace(expected.plan, decision_id=b"")
            status = self._mine(
                expected.executed_at, self.keeper, self.address("HedgeBook"), calldata(plan)
            )
            assert status == (expected.refusal is None)
            self.plans += status
            at = expected.executed_at + self.engine.world.setup.limits.cooldown_secs
        assert not sent
        assert self.memory == self.engine._memory
        self._compare_venue()

    def _compare(self, ours, at):
        read = self._read()
        assert read.block.at == at
        state = replace(read.vault.state, audit_head=bytes(32))
        seen = replace(read.vault, total_supply=0, state=state)
        assert seen == ours
        self.compared += 1
        return read

    def _compare_venue(self):
        """Compare account and market as stored: entry, funding index, claims, open interest."""
        venue, model = self.contract("PerpVenue"), self.engine.world.venue
        book, trader = self.contract("HedgeBook").address, str(self.world.account(9))
        for owner, name in ((book, self.address("HedgeBook")), (trader, TRADER)):
            assert tuple(venue.account(owner)) == tuple(model.account(name))
        assert tuple(venue.state()) == tuple(model.state())
        assert tuple(venue.reserves()) == tuple(model.reserves())
        assert tuple(self.contract("SpotMarket").reserves()) == self.engine.world.spot.reserves()

    def _read(self) -> Snapshot:
        vaults = [self.address("HedgeVault")]
        return self.chain.read(vaults, None, [], Deadline(10.0)).snapshots[0]

    def _now(self):
        from scripts.chain_time import head_at

        return head_at()

    def _mine(self, at, account=None, to=None, data=b""):
        """Mine one block at that time, with one transaction if one is given; whether it passed."""
        from scripts.chain_time import one_block, request
        from scripts.market import _receipt

        tx_hash = None
        with one_block("anvil", at):
            if account is not None:
                nonce = int(request("eth_getTransactionCount", str(account), "latest"), 16)
                fields = {
                    "to": self.contract("HedgeVault").address if to is None else str(to),
                    "data": data, "value": 0, "gas": GAS_LIMIT, "gasPrice": 10**11,
                    "nonce": nonce, "chainId": self.world.node.chain_id,
                }  # fmt: skip
                fields["to"] = checksummed(fields["to"])
                raw = Account.sign_transaction(fields, account.private_key).raw_transaction
                tx_hash = request("eth_sendRawTransaction", "0x" + bytes(raw).hex())
        return tx_hash is None or int(_receipt(tx_hash)["status"], 16) == 1


def checksummed(address):
    from eth_utils import to_checksum_address

    return to_checksum_address(address)


@pytest.mark.parametrize("path", [file_hours, made_hours])
def test_engine__48_hours_on_anvil__the_same_to_the_unit(path, tmp_path):
    hours = path()
    with deployed("anvil", tmp_path, timestamp=hours[0].closes_at - 3_000) as world:
        replay = Replay(world, hours)
        try:
            replay.start()
            for hour in hours[1:]:
                replay.hour(hour)
        finally:
            replay.chain.close()
    assert replay.compared >= HOURS - 1
    assert replay.plans >= 5
    assert len(replay.engine.tally.reasons) >= 2
    assert replay.engine.tally.liquidations == (path is made_hours)
