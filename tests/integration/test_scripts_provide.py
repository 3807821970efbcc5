# SPDX-License-Identifier: MIT
"""Provide liquidity through the script's functions, and as a person does."""

from __future__ import annotations

import pytest

from tests.script_world import DAY_SECS, ETHER, deployed, spoken

said, complaint = spoken("provide")
pytestmark = [
    pytest.mark.node,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

PROVIDER, HOUR, USDC = 3, 3_600, 10**6


@pytest.fixture(scope="module", params=["anvil", "ganache"])
def system(request, tmp_path_factory):
    with deployed(request.param, tmp_path_factory.mktemp("deployments")) as world:
        yield world


@pytest.fixture
def world(system, monkeypatch):
    """The deployed system, where `main` finds it; what a test does to the chain is undone."""
    from scripts import deployments

    monkeypatch.setattr(deployments, "read", lambda chain_id: system.deployment)
    with system.undone():
        yield system


def stand(world):
    world.node.request("evm_increaseTime", 60)
    world.node.request("evm_mine")


def test_provide__a_providers_whole_way(world, capsys):
    provider, pool = world.account(PROVIDER), world.at("LiquidityPool")
    out = said(capsys, "request", "1000")
    assert "pays   1,000 tUSDC into escrow" in out
    assert "receives  1,000 shares when the request is executed, or fewer: no fewer than 970" in out
    assert "Requested  1,000 tUSDC that enter: not due for another 3,600 seconds" in out
    assert pool.quote_escrowed() == 1_000 * USDC
    assert world.at("Quote").allowance(provider, pool.address) == 0
    assert "not due for another" in complaint(capsys, "execute")
    world.node.request("evm_increaseTime", HOUR)
    world.node.request("evm_mine")
    assert "not due before the price feed reports again" in complaint(capsys, "execute")
    world.refresh()
    assert "due, for another 10," in said(capsys, "status")
    assert "The price is noted. Execute in 60 seconds" in said(capsys, "execute")
    assert "pool: price has not stood" in complaint(capsys, "execute")
    stand(world)
    assert "Shares     1,000; all of the account's are worth 1,000 tUSDC" in said(capsys, "execute")

    out = said(capsys, "leave", "all")
    assert "receives  1,000 tUSDC and 0 tETH" in out
    assert "no less than 970 tUSDC" in out
    assert "they bear losses and earn nothing" in out
    assert pool.shares_of(provider) == 0
    world.pass_time(HOUR)
    said(capsys, "execute")
    stand(world)
    before = world.at("Quote").balanceOf(provider)
    said(capsys, "execute")
    assert world.at("Quote").balanceOf(provider) - before == 1_000 * USDC
    assert said(capsys, "status").strip() == "Shares     0"


def test_provide__cancelled__all_comes_back(world, capsys):
    provider, pool = world.account(PROVIDER), world.at("LiquidityPool")
    before = world.at("Quote").balanceOf(provider)
    said(capsys, "request", "10")
    assert "has a request already" in complaint(capsys, "request", "10")
    world.pass_time(DAY_SECS)
    assert "too old, it can only be cancelled" in complaint(capsys, "execute")
    assert "Cancelled." in said(capsys, "cancel")
    assert world.at("Quote").balanceOf(provider) == before
    assert pool.quote_escrowed() == 0
    assert "has requested nothing" in complaint(capsys, "cancel")
    assert "has requested nothing" in complaint(capsys, "execute")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "say what: `request 1000`"),
        (("request",), "say what: `request 1000`"),
        (("buy", "1"), "say what: `request 1000`"),
        (("request", "1e3"), "is not an amount"),
        (("request", "1000001"), "has only 1,000,000 tUSDC"),
        (("request", "0.5"), "a provider holds at least 1 shares"),
        (("leave", "all"), "has no shares of this pool"),
    ],
)
def test_provide__what_cannot_work__said_before_anything_is_sent(
    world, capsys, arguments, expected
):
    before = world.account(PROVIDER).nonce
    assert expected in complaint(capsys, *arguments)
    assert world.account(PROVIDER).nonce == before


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("20000001", "has only 20,000,000 shares"),
        ("19999999.5", "keeps at least 1 shares, or none: `leave all`"),
    ],
)
def test_leave__too_much_or_too_little_left__says_so(world, capsys, amount, expected):
    """Account 0 has seeded the pool."""
    assert expected in complaint(capsys, "leave", amount, "0")


def test_provide__price_is_stale__oracles_reason(world, capsys):
    world.node.request("evm_increaseTime", DAY_SECS)
    world.node.request("evm_mine")
    assert "oracle: asset feed stale" in complaint(capsys, "request", "10")
    assert "Shares     0" in said(capsys, "status")


def test_worth_of__inventory_at_pool_and_venue__as_it_is_paid(world):
    """The quote is what an exit at the same price pays, to the unit."""
    from scripts import calls, provide

    owner, one = world.account(0), 20_000_000 * USDC
    long, liquidator = world.account(5), world.account(4)
    asset, venue, pool = world.at("Asset"), world.at("PerpVenue"), world.at("LiquidityPool")
    calls.send(long, asset.approve, venue.address, 60 * ETHER, doing="the approval")
    calls.send(long, venue.deposit, 60 * ETHER, 0, doing="the margin")
    limit = 2**256 - 1
    calls.send(long, venue.trade, 0, 250 * ETHER, limit, doing="the trade")
    world.refresh(2_050 * 10**8)
    calls.send(liquidator, venue.liquidate, long, doing="the liquidation")
    assert venue.reserves()[2] > 0
    calls.send(owner, pool.request_remove, one // 4, 0, owner, doing="the request")
    world.pass_time(HOUR)
    provide.note_price(world.deployment, owner)
    stand(world)
    quote, assets = provide.worth_of(world.deployment, one // 4)
    before = [world.at(name).balanceOf(owner) for name in ("Quote", "Asset")]
    provide.execute(world.deployment, owner, "exit")
    after = [world.at(name).balanceOf(owner) for name in ("Quote", "Asset")]
    assert assets > 0
    assert after[1] - before[1] == assets
    # funding of the seconds in between, and the lower value of the request
    assert quote - 2 * USDC <= after[0] - before[0] <= quote + 2 * USDC


def test_provide__first_of_all__at_once(world, tmp_path):
    from scripts import calls, deploy, provide

    base = deploy.local_settings()
    second = deploy.deploy(base.model_copy(update={"seeds": None}), folder=tmp_path)
    owner, token = world.account(0), calls.contract(second, "Quote")
    calls.send(owner, token.mint, owner, 50 * USDC, doing="the mint")
    provide.request(second, owner, 50 * USDC)
    assert calls.contract(second, "LiquidityPool").shares_of(owner) == 50 * USDC


def test_provide__public_network_and_no__nothing_is_sent(world, monkeypatch, capsys):
    from brownie import accounts as brownie_accounts

    from scripts import accounts

    monkeypatch.setattr(accounts, "LOCAL_CHAIN_IDS", frozenset())
    monkeypatch.setattr(brownie_accounts, "load", lambda name: world.account(PROVIDER))
    questions = []
    monkeypatch.setattr("builtins.input", lambda question: questions.append(question) or "n")
    before = world.account(PROVIDER).nonce
    assert "nothing was sent" in complaint(capsys, "request", "10", "alice")
    assert questions == ["Send? [y/N] "]
    assert world.account(PROVIDER).nonce == before
