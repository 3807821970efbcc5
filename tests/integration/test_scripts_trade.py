# SPDX-License-Identifier: MIT
"""Trade through the script's functions, and as a person does."""

from __future__ import annotations

import pytest

from tests.script_world import ETHER, deployed, spoken

said, complaint = spoken("trade")
pytestmark = [
    pytest.mark.node,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

TRADER, USDC = 4, 10**6

# What depends on no node's ways; Ganache takes five times as long.
on_anvil = pytest.mark.parametrize("system", ["anvil"], indirect=True)


@pytest.fixture(scope="module", params=["anvil", "ganache"])
def system(request, tmp_path_factory):
    with deployed(request.param, tmp_path_factory.mktemp("deployments")) as world:
        yield world


@pytest.fixture
def world(system, monkeypatch):
    """The deployed system, where `main` finds it; the trader has 100,000 quote and 10 assets."""
    from scripts import calls, deployments

    monkeypatch.setattr(deployments, "read", lambda chain_id: system.deployment)
    with system.undone():
        trader = system.account(TRADER)
        for name, units in (("Quote", 100_000 * USDC), ("Asset", 10 * ETHER)):
            calls.send(trader, system.at(name).mint, trader, units, doing="the mint")
        yield system


def test_trade__a_traders_whole_way(world, capsys):
    """10 at 2,500.125 is 25,001.25 and a fee of 0.05 % of 25,000; the side needs 10.01 %."""
    trader, venue, quote = world.account(TRADER), world.at("PerpVenue"), world.at("Quote")
    before = quote.balanceOf(trader)
    assert "Can take    5,000 tUSDC and 0 tETH" in said(capsys, "deposit", "5000")
    out = said(capsys, "buy", "10", "2501")
    assert "buys 10 tETH at 2,500.125 on average; index 2,500" in out
    assert "Cost        pays 25,001.25 tUSDC, and a fee of 12.5 tUSDC" in out
    assert "Position    0 tETH -> 10 tETH" in out
    assert "Margin      5,000 tUSDC -> 4,986.25 tUSDC; to open 2,502.5 tUSDC" in out
    assert "Liquidated  at no price -> at 2,1" in out
    assert "Done: pays 25,013.75 tUSDC, fee included." in out
    assert venue.account(trader)[2] == 10 * ETHER
    assert quote.allowance(trader, venue.address) == 0

    world.refresh(2_600 * 10**8)
    out = said(capsys, "realise")
    assert "turns 998.75 tUSDC of profit into margin" in out
    assert "Position    10 tETH, profit 0 tUSDC" in out
    assert "buys 10 tETH" not in out

    out = said(capsys, "close")
    assert "sells 10 tETH" in out
    assert "receives 26,001.3 tUSDC, and a fee of 5.2 tUSDC" in out
    held = venue.account(trader)[1]
    assert "withdraws 5," in said(capsys, "withdraw", "all")
    assert quote.balanceOf(trader) - before == held - 5_000 * USDC > 900 * USDC
    assert "Deposited   0 tUSDC and 0 tETH" in said(capsys, "status")


def test_quote__what_was_shown__is_what_the_chain_does(world):
    """Margin after the trade to the unit but for the funding of a second."""
    from scripts import trade

    trader = world.account(TRADER)
    trade.deposit(world.deployment, trader, "quote", 50_000 * USDC)
    trade.deposit(world.deployment, trader, "asset", 2 * ETHER)
    for size in (40 * ETHER, -15 * ETHER, -45 * ETHER, 20 * ETHER):
        offer = trade.quote(world.deployment, trader, size)
        paid = trade.trade(world.deployment, trader, offer)
        assert paid == offer.cost + offer.fee
        found = trade.standing(world.deployment, trader)
        assert found.margin.delta == offer.after.margin.delta
        assert abs(found.margin.equity - offer.after.margin.equity) <= USDC // 100
        assert found.margin.initial == offer.after.margin.initial
        assert found.market.skew == offer.after.market.skew


@on_anvil
def test_withdraw__all_under_a_position__leaves_what_is_needed(world, capsys):
    from scripts import trade

    said(capsys, "deposit", "5000")
    said(capsys, "deposit", "1", "asset")
    said(capsys, "buy", "10")
    assert "can withdraw 4," in complaint(capsys, "withdraw", "5000")
    said(capsys, "withdraw", "all", "asset")
    said(capsys, "withdraw", "all")
    margin = trade.standing(world.deployment, world.account(TRADER)).margin
    assert 0 <= margin.equity - margin.initial <= 5 * USDC


@on_anvil
def test_withdraw__needed_margin__chain_would_refuse_too(world):
    """What the script says can go is no more than the chain allows, and hardly less."""
    from scripts import trade
    from scripts.calls import RefusedError

    trader = world.account(TRADER)
    trade.deposit(world.deployment, trader, "quote", 5_000 * USDC)
    trade.trade(world.deployment, trader, trade.quote(world.deployment, trader, 10 * ETHER))
    most = trade.withdrawable(world.deployment, trader, "quote")
    with pytest.raises(RefusedError, match="under initial margin"):
        trade.withdraw(world.deployment, trader, "quote", most + USDC)
    world.node.request("evm_increaseTime", 60)  # funding accrues until it is mined
    trade.withdraw(world.deployment, trader, "quote", most)


@on_anvil
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "say what: `buy 10`"),
        (("buy",), "say what: `buy 10`"),
        (("hold", "1"), "say what: `buy 10`"),
        (("deposit", "1", "4", "4"), "say what: `buy 10`"),
        (("buy", "1e3"), "is not an amount"),
        (("buy", "0"), "an amount of zero does nothing"),
        (("buy", "1", "cheap"), "is not an amount"),
        (("buy", "1", "2400"), "the fill would be 2,500.0125 on average, worse than 2,400"),
        (("sell", "1", "2600"), "worse than 2,600"),
        (("buy", "10"), "needs 2,502.5 tUSDC: deposit 2,51"),
        (("buy", "3001"), "the side is full: it has room for 3,000 tETH"),
        (("deposit", "100001"), "has only 100,000 tUSDC"),
        (("deposit", "11", "asset"), "has only 10 tETH"),
        (("withdraw", "1"), "can withdraw 0 tUSDC now"),
        (("withdraw", "all"), "can withdraw 0 tUSDC now"),
        (("close",), "has no position"),
        (("realise",), "realising is refused"),
    ],
)
def test_trade__what_cannot_work__said_before_anything_is_sent(world, capsys, words, expected):
    before = world.account(TRADER).nonce
    assert expected in complaint(capsys, *words)
    assert world.account(TRADER).nonce == before


def test_trade__price_is_stale__oracles_reason(world, capsys):
    world.node.request("evm_increaseTime", 86_400)
    world.node.request("evm_mine")
    assert "oracle: asset feed stale" in complaint(capsys, "buy", "1")
    assert "Position    0 tETH" in said(capsys, "status")


@on_anvil
@pytest.mark.parametrize(
    "words",
    [
        ("deposit", "1", "alice"),
        ("deposit", "1", "asset", "alice"),
        ("buy", "1", "any", "alice"),
        ("withdraw", "1", "quote", "alice"),
        ("realise", "alice"),
        ("close", "alice"),
    ],
)
def test_trade__public_network_and_no__nothing_is_sent(world, monkeypatch, capsys, words):
    from brownie import accounts as brownie_accounts

    from scripts import accounts

    said(capsys, "deposit", "5000")
    said(capsys, "buy", "1")
    world.refresh(2_600 * 10**8)
    monkeypatch.setattr(accounts, "LOCAL_CHAIN_IDS", frozenset())
    monkeypatch.setattr(brownie_accounts, "load", lambda name: world.account(TRADER))
    questions = []
    monkeypatch.setattr("builtins.input", lambda question: questions.append(question) or "n")
    before = world.account(TRADER).nonce
    assert "nothing was sent" in complaint(capsys, *words)
    assert questions == ["Send? [y/N] "]
    assert world.account(TRADER).nonce == before
