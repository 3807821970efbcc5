# SPDX-License-Identifier: MIT
"""The market on both nodes, and the replay of what it and two depositors leave behind."""

import dataclasses

import pytest

from keeper.audit_state import System
from keeper.chain import Chain, Node
from keeper.local_node import LocalNode
from keeper.replay import fetch_events, replay
from keeper.simulation.paths import jump_diffusion

pytestmark = [
    pytest.mark.node,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

STARTS_AT = 1_736_121_600  # 2025-01-06 00:00 UTC
HOURS = 10
ONE = 10**18
WAD = 10**18


@dataclasses.dataclass
class World:
    node: LocalNode
    deployment: object
    hours: list
    done: list
    market: object

    def at(self, name):
        return self.deployment[name].address.lower()

    def contract(self, name):
        from scripts.calls import contract

        return contract(self.deployment, name)

    @property
    def head(self):
        return int(self.node.request("eth_blockNumber"), 16)


@pytest.fixture(scope="module", params=["anvil", "ganache"])
def world(request, tmp_path_factory):
    """Ten hours of market; deposits in the first, an exit in the fifth; no keeper."""
    from scripts import deploy
    from scripts.accounts import signer, test_account
    from scripts.connection import connected
    from scripts.deposit import deposit
    from scripts.market import Market
    from scripts.withdraw import withdraw

    with (
        LocalNode.start(request.param, timestamp=STARTS_AT - 3_600) as node,
        connected(node.url, node.chain_id),
    ):
        deployment = deploy.deploy(folder=tmp_path_factory.mktemp("deployments"))
        market = Market(deployment, signer("trader"), 7)
        market.prepare()
        built = World(node, deployment, jump_diffusion(HOURS, 7, STARTS_AT), [], market)
        for i, hour in enumerate(built.hours):
            built.done.append(market.advance(hour))
            if i == 0:
                deposit(deployment, test_account(5), 40 * ONE)
                deposit(deployment, test_account(6), 30 * ONE)
            if i == 4:
                withdraw(deployment, test_account(5), 10 * ONE)
        yield built


@pytest.fixture
def undone(world):
    """What the test does to the chain is undone."""
    before = world.node.request("evm_snapshot")
    yield
    world.node.request("evm_revert", before)


@pytest.fixture
def chain(world):
    where = Node(rpc_url=world.node.url, chain_id=world.node.chain_id, lens=world.at("VaultLens"))
    edge = Chain(where)
    yield edge
    edge.close()


def _system(world):
    return System(
        vault=world.at("HedgeVault"),
        book=world.at("HedgeBook"),
        queue=world.at("RedemptionQueue"),
        exit=world.at("ExitInKind"),
        venues=(world.at("PerpVenue"),),
        timelock=world.at("Timelock"),
    )


def test_market__each_hour__is_one_block_at_its_close(world):
    for done in world.done:
        block = world.node.request("eth_getBlockByNumber", hex(done.block), False)
        assert int(block["timestamp"], 16) == done.hour.closes_at
        assert len(block["transactions"]) >= 4
    assert not [text for done in world.done for text in done.failed]


def test_market__last_hour__oracle_spot_and_premium_are_the_paths(world):
    hour = world.hours[-1]
    price_wad = world.contract("PriceOracle").read()[0]
    assert price_wad / WAD == pytest.approx(hour.spot, rel=1e-7)
    assets, quote = world.contract("SpotMarket").reserves()
    assert quote / 10**6 / (assets / ONE) == pytest.approx(hour.spot, rel=1e-7)
    premium = world.contract("PerpVenue").market(price_wad).dict()["premium_wad"]
    assert premium / WAD == pytest.approx(hour.basis, abs=1e-9)


def test_market__trader__stays_solvent(world):
    from scripts.accounts import signer

    price_wad = world.contract("PriceOracle").read()[0]
    margin = world.contract("PerpVenue").margin(signer("trader"), price_wad).dict()
    assert margin["delta"] != 0
    assert margin["equity"] > 2 * margin["initial"]


def test_replay__real_chain__reproduces_the_state(world, chain):
    verdict = replay(chain.batch, _system(world), 0, world.head)
    assert verdict.faults == ()
    assert verdict.ledger.supply == world.contract("HedgeVault").totalSupply()
    assert len(verdict.events) > 20


def test_replay__liquidation_settlement_and_fund__till_adds_up(world, chain, undone):
    """A long of 20 on thin margin, a fall of a fifth: everything that moves a venue's tokens."""
    from scripts.accounts import test_account
    from scripts.calls import send

    venue, quote = world.contract("PerpVenue"), world.contract("Quote")
    reckless, anyone = test_account(9), test_account(8)
    last = world.hours[-1]
    margin = round(20 * last.spot * 0.15) * 10**6
    send(reckless, quote.mint, str(reckless), margin, doing="minting")
    send(reckless, quote.approve, venue.address, margin, doing="approving")
    send(reckless, venue.deposit, 0, margin, doing="the deposit")
    send(reckless, venue.trade, 0, 20 * ONE, 10**36, doing="the trade")
    fallen = dataclasses.replace(
        last, closes_at=last.closes_at + 3_600, spot=last.spot * 0.8, perp=last.perp * 0.8
    )
    assert world.market.advance(fallen).failed == ()
    send(anyone, venue.liquidate, str(reckless), doing="the liquidation")
    send(anyone, venue.settle, doing="the settlement")
    calm = dataclasses.replace(fallen, closes_at=fallen.closes_at + 3_600, perp=fallen.spot)
    assert world.market.advance(calm).failed == ()  # trades, so that the fund has earned a fee
    send(anyone, world.contract("InsuranceFund").collect, venue.address, doing="the collection")
    verdict = replay(chain.batch, _system(world), 0, world.head)
    assert verdict.faults == ()
    names = {event.name for event in verdict.events}
    assert {"AccountLiquidated", "PoolSettled", "FundPaid"} <= names
    till = verdict.ledger.tills[world.at("PerpVenue")]
    assert till.quote_held == quote.balanceOf(venue)


@pytest.mark.parametrize(
    "name", ["Transfer", "FlowPriced", "Traded", "MarginDeposited", "LimitsSet"]
)
def test_replay__node_withholds_an_event__is_found(world, chain, name):
    system = _system(world)
    events = fetch_events(chain.batch, system.contracts(), 0, world.head)
    withheld = next(event.log for event in events if event.name == name)

    def lying(calls):
        answers = chain.batch(calls)
        for (method, _), answer in zip(calls, answers, strict=True):
            if method == "eth_getLogs":
                answer[:] = [log for log in answer if not _is(log, withheld)]
        return answers

    assert replay(lying, system, 0, world.head).faults


def _is(found, log):
    return (int(found["blockNumber"], 16), int(found["logIndex"], 16)) == (log.block, log.index)


def test_replay__flipped_byte_in_state_changing_data__is_found(world, chain):
    system = _system(world)
    events = fetch_events(chain.batch, system.contracts(), 0, world.head)
    flow = next(event.log for event in events if event.name == "FlowPriced")

    def lying(calls):
        answers = chain.batch(calls)
        for (method, _), answer in zip(calls, answers, strict=True):
            if method == "eth_getLogs":
                for log in answer:
                    if _is(log, flow):
                        log["data"] = (
                            log["data"][:60] + _flipped(log["data"][60]) + log["data"][61:]
                        )
        return answers

    faults = replay(lying, system, 0, world.head).faults
    assert any("FlowPriced: idle assets" in fault for fault in faults)


def _flipped(digit):
    return f"{int(digit, 16) ^ 1:x}"
