# SPDX-License-Identifier: MIT
"""
Gas on receipts, held exactly to ``tests/gas_snapshot.json``.

A change of a figure is a change to look at: `HEDGEVAULT_GAS=write` takes the
new figures into the snapshot, and the difference goes into the commit. The
table is printed with ``-s``, beside the targets of design 7 for one venue.

Time on the node is fixed, so that what depends on seconds costs the same in
each run. The oracle reads three feeds, packed as real aggregators are.
"""

from __future__ import annotations

import json
import os

import pytest

from tests.script_world import ETHER, ROOT, deployed

pytestmark = [
    pytest.mark.node,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

SNAPSHOT = ROOT / "tests" / "gas_snapshot.json"
REWRITE = "HEDGEVAULT_GAS"
GENESIS_AT = 1_750_000_000  # Unix seconds
BLOCK_SECS = 12
USDC = 10**6
MAX_UINT = 2**256 - 1

# design 7: a base and so much for each venue; there is one here
TARGETS = {
    "deposit": 150_000 + 40_000,
    "withdraw from idle": 150_000 + 40_000,
    "rebalance": 230_000 + 50_000,
    "rebalance with margin": 270_000 + 50_000,
    "rebalance with spot": 340_000 + 50_000,
    "liquidate in part": 200_000,
    "liquidate in full": 200_000,
    "trade, more": 160_000,
    "deleverage three accounts": 60_000 + 3 * 35_000,
    "deleverage five accounts": 60_000 + 5 * 35_000,
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deployments")
    with deployed("anvil", folder, timestamp=GENESIS_AT) as world:
        world.node.request("anvil_setBlockTimestampInterval", BLOCK_SECS)
        yield {
            **vault_figures(world),
            **queue_figures(world),
            **venue_figures(world),
            **deleveraging_figures(world),
        }


def pass_time(world, seconds):
    """Jump ahead; `evm_increaseTime` does nothing while blocks have a fixed distance."""
    now = int(world.node.request("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    world.node.request("evm_setNextBlockTimestamp", now + seconds)
    world.node.request("evm_mine")
    world.refresh()


def sent(account, method, *arguments):
    """Send a call and return the gas on its receipt."""
    from scripts import calls

    return int(calls.send(account, method, *arguments, doing="a measured call").gas_used)


def vault_figures(world):
    figures = {}
    asset, vault = world.at("Asset"), world.at("HedgeVault")
    first, second = world.account(5), world.account(6)
    for account in (first, second):
        sent(account, asset.approve, vault.address, MAX_UINT)
    # The first of everything writes words that are zero; the second is what users pay.
    sent(first, vault.deposit, 40 * ETHER, first)
    world.rebalance(margin_assets=20 * ETHER, size=-40 * ETHER)
    figures["deposit"] = sent(second, vault.deposit, 20 * ETHER, second)
    figures["withdraw from idle"] = sent(first, vault.withdraw, ETHER, first, first)
    pass_time(world, 3_600)
    figures["rebalance"] = int(world.rebalance(size=-10 * ETHER).gas_used)
    pass_time(world, 3_600)
    plan = {"margin_assets": 5 * ETHER, "size": -5 * ETHER}
    figures["rebalance with margin"] = int(world.rebalance(**plan).gas_used)
    pass_time(world, 3_600)
    figures["rebalance with spot"] = int(settled(world).gas_used)
    idle = int(vault.idle_assets())
    figures["withdraw from margin"] = sent(first, vault.withdraw, idle + ETHER, first, first)
    figures |= owner_figures(world)
    pass_time(world, 86_400)
    as_owner(world, "HedgeBook", "set_hedge_ratio", 9_500)
    return figures


def owner_figures(world):
    """One call of the owner through its timelock, taken back at the end with its delay."""
    from scripts import timelock

    lock, account = world.at("Timelock"), world.account(0)
    with world.undone():
        words = timelock.call_of(world.deployment, "HedgeBook", "set_hedge_ratio", 9_500).words()
        delay = int(lock.get_minimum_delay())
        proposed = sent(account, lock.schedule, *words, delay)
        pass_time(world, delay)
        executed = sent(account, lock.execute, *words)
    return {"propose": proposed, "execute set_hedge_ratio": executed}


def as_owner(world, *wanted):
    """Call as the timelock without its delay, which would move the clock of what comes later."""
    from scripts import timelock

    call, lock = timelock.call_of(world.deployment, *wanted), world.deployment["Timelock"].address
    transaction = {"from": lock, "to": call.target, "data": "0x" + call.payload.hex()}
    world.node.request("anvil_setBalance", lock, hex(ETHER))
    world.node.request("anvil_impersonateAccount", lock)
    world.node.request("eth_sendTransaction", transaction)


def queue_figures(world):
    """Requests of one owner, out of idle; the first of each kind is left out."""
    from scripts import calls

    figures = {}
    vault, queue = world.at("HedgeVault"), world.at("RedemptionQueue")
    owner = world.account(6)
    shares = 10 * int(queue.MIN_SHARES())

    def sent(method, *arguments):
        return int(calls.send(owner, method, *arguments, doing="a measured call").gas_used)

    sent(vault.approve, queue.address, MAX_UINT)
    sent(vault.deposit, 20 * ETHER, owner)
    sent(queue.request, shares, 0)
    figures["request"] = sent(queue.request, shares, 0)
    for _ in range(60):
        sent(queue.request, shares, 0)
    pass_time(world, int(queue.DELAY()) + BLOCK_SECS)
    sent(queue.process, 1)
    figures["fill one request"] = sent(queue.process, 1)
    figures["fill ten requests"] = sent(queue.process, 10)
    figures["fill fifty requests"] = sent(queue.process, 50)
    figures["claim"] = sent(queue.claim, owner)
    return figures


def settled(world):
    """Move the price down, realise the short's profit by a buy-back and sell spot to match."""
    return world.rebalance(size=2 * ETHER, spot_assets=-2 * ETHER)


def venue_figures(world):
    from scripts import calls

    figures = {}
    quote, venue = world.at("Quote"), world.at("PerpVenue")
    trader, liquidator = world.account(4), world.account(9)
    world.refresh(2_500 * 10**8)

    def sent(account, method, *arguments):
        return int(calls.send(account, method, *arguments, doing="a measured call").gas_used)

    sent(trader, quote.mint, trader, 10**6 * USDC)
    sent(trader, quote.approve, venue.address, MAX_UINT)
    sent(liquidator, quote.mint, liquidator, USDC)
    sent(liquidator, quote.approve, venue.address, MAX_UINT)
    sent(liquidator, venue.deposit, 0, USDC)
    figures["venue deposit"] = sent(trader, venue.deposit, 0, 29_000 * USDC)
    figures["trade, opening"] = sent(trader, venue.trade, 0, 90 * ETHER, MAX_UINT)
    figures["trade, more"] = sent(trader, venue.trade, 0, 10 * ETHER, MAX_UINT)
    # 100 ETH at 2,500 need 5.05 % at 2,300: equity of about 9,000 is under 11,615
    world.refresh(2_300 * 10**8)
    figures["liquidate in part"] = sent(liquidator, venue.liquidate, trader)
    world.refresh(1_900 * 10**8)
    figures["liquidate in full"] = sent(liquidator, venue.liquidate, trader)
    sent(liquidator, quote.mint, liquidator, 10**6 * USDC)
    sent(liquidator, venue.deposit, 0, 50_000 * USDC)
    figures["take over"] = sent(liquidator, venue.take_over, 90 * ETHER, MAX_UINT)
    figures["take over, the rest"] = sent(liquidator, venue.take_over, 10 * ETHER, MAX_UINT)
    return figures


def deleveraging_figures(world):
    """Batches of one call: the vault and two shorts, then five other shorts."""
    venue, book = world.at("PerpVenue"), world.at("HedgeBook")
    as_owner(world, "InsuranceFund", "register", venue.address, 1)  # winners bear the loss
    figures = {}
    for name, places in (("three", (5, 6)), ("five", (2, 3, 5, 6, 7))):
        world.refresh(2_500 * 10**8)
        failing, winners = world.account(4), [world.account(place) for place in places]
        for i, account in enumerate([failing, *winners]):
            margin = (29_000 + 5_000 * i) * USDC
            size = 100 * ETHER if account == failing else -10 * ETHER
            enter(world, account, margin, size)
        world.refresh(1_900 * 10**8)
        calls_to(world, 9, (venue, "liquidate", failing))
        price = world.at("PriceOracle").read().dict()["price_wad"]
        margins = {each: venue.margin(each, price).dict() for each in (*winners, book.address)}
        order = sorted(
            (each for each, margin in margins.items() if margin["delta"] < 0),
            key=lambda each: margins[each]["delta"] / margins[each]["equity"],
        )
        assert len(order) == {"three": 3, "five": 5}[name]
        (receipt,) = calls_to(world, 9, (venue, "deleverage", 1, order))
        assert len(receipt.events["AccountDeleveraged"]) == len(order)
        figures[f"deleverage {name} accounts"] = int(receipt.gas_used)
    return figures


def enter(world, account, margin, size):
    """Deposit quote and trade."""
    quote, venue = world.at("Quote"), world.at("PerpVenue")
    calls_to(
        world,
        account,
        (quote, "mint", account, margin),
        (quote, "approve", venue.address, MAX_UINT),
        (venue, "deposit", 0, margin),
        (venue, "trade", 0, size, MAX_UINT if size > 0 else 0),
    )


def calls_to(world, account, *wanted):
    """Send calls of an account, or of the test account with that number; return receipts."""
    from scripts import calls

    sender = world.account(account) if isinstance(account, int) else account
    return [
        calls.send(sender, getattr(contract, method), *arguments, doing=method)
        for contract, method, *arguments in wanted
    ]


def test_gas__each_function__as_in_the_snapshot(measured):
    print(f"\n{'function':<24}{'gas':>10}{'target':>10}")
    for name, gas in measured.items():
        target = TARGETS.get(name)
        over = "  over" if target is not None and gas > target else ""
        print(f"{name:<24}{gas:>10,}{f'{target:,}' if target else '':>10}{over}")
    if os.environ.get(REWRITE) == "write":
        SNAPSHOT.write_text(json.dumps(measured, indent=2) + "\n")
    assert measured == json.loads(SNAPSHOT.read_text())
