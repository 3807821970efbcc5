# SPDX-License-Identifier: MIT
"""Leave through the queue with the script's functions, and as a person does."""

from __future__ import annotations

import pytest

from tests.script_world import DAY_SECS, ETHER, deployed, replayed, spoken

said, complaint = spoken("redeem")
pytestmark = [
    pytest.mark.node,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

DEPOSITOR, OTHER, HOUR = 5, 6, 3_600


@pytest.fixture(scope="module", params=["anvil", "ganache"])
def system(request, tmp_path_factory):
    """A vault of 40, 20 of each of two, hedged with 30 as margin."""
    from scripts import calls

    with deployed(request.param, tmp_path_factory.mktemp("deployments")) as world:
        asset, vault = world.at("Asset"), world.at("HedgeVault")
        for index in (DEPOSITOR, OTHER):
            account = world.account(index)
            calls.send(account, asset.approve, vault.address, 20 * ETHER, doing="the approval")
            calls.send(account, vault.deposit, 20 * ETHER, account, doing="the deposit")
        world.rebalance(margin_assets=30 * ETHER, size=-39 * ETHER)
        yield world


@pytest.fixture
def world(system, monkeypatch):
    """The deployed system, where `main` finds it; what a test does to the chain is undone."""
    from scripts import deployments

    monkeypatch.setattr(deployments, "read", lambda chain_id: system.deployment)
    with system.undone():
        yield system


def test_redeem__request_to_claim__all_of_it(world, capsys):
    vault, asset = world.at("HedgeVault"), world.at("Asset")
    depositor, other = world.account(DEPOSITOR), world.account(OTHER)
    assert "Requested." in said(capsys, "request", "1", str(OTHER))
    out = said(capsys, "request", "all")
    assert "or less: no less than 19." in out
    assert "It waits 3,600 seconds and for the price after them, behind 1 request worth 1.0" in out
    assert "liquid now are 10 tETH, the rest comes from margin." in out
    assert "not due for another 3,60" in out
    assert "1 before it, worth 1.0" in out
    assert vault.balanceOf(depositor) == 0
    assert vault.allowance(depositor, world.at("RedemptionQueue").address) == 0
    assert "queue: nothing is due" in complaint(capsys, "process")
    world.node.request("evm_increaseTime", HOUR + 1)
    world.node.request("evm_mine")
    assert "not due before the price feed reports again" in said(capsys, "status")
    world.refresh()
    assert ": due" in said(capsys, "status")
    out = said(capsys, "process")
    assert "Filled: 2." in out
    assert "Reserved   20." in out
    before = int(asset.balanceOf(depositor))
    assert "Done: 20." in said(capsys, "claim")
    assert int(asset.balanceOf(depositor)) - before > 20 * ETHER
    assert "nothing is reserved" in complaint(capsys, "claim")
    assert int(asset.balanceOf(other)) < 1_000 * ETHER
    assert world.at("RedemptionQueue").reserved_assets() > ETHER


def test_redeem__cancel__after_its_delay(world, capsys):
    vault, depositor = world.at("HedgeVault"), world.account(DEPOSITOR)
    held = int(vault.balanceOf(depositor))
    assert "no request that waits" in complaint(capsys, "cancel")
    said(capsys, "request", "5")
    assert "may be cancelled in 86," in complaint(capsys, "cancel")
    world.pass_time(DAY_SECS)
    assert "Cancelled." in said(capsys, "cancel")
    assert vault.balanceOf(depositor) == held


def test_redeem__bad_input__one_clear_line(world, capsys):
    assert "say what" in complaint(capsys)
    assert "say what" in complaint(capsys, "request")
    assert "say what" in complaint(capsys, "leave", "1")
    assert "has only 19." in complaint(capsys, "request", "21")
    assert "at least 0.01 shares" in complaint(capsys, "request", "0.009")
    assert "has no shares" in complaint(capsys, "request", "1", "7")
    assert "not an amount" in complaint(capsys, "request", "-1")


def test_redeem__without_a_price__the_run_says_why(world, capsys):
    from scripts import calls

    said(capsys, "request", "1")
    world.pass_time(HOUR + 1)
    calls.send(world.account(0), world.at("AssetFeed").set_answer, 0, doing="the feed")
    assert "oracle: asset feed zero" in complaint(capsys, "process")


def test_verify_deployment__after_the_queue_was_used__finds_nothing_wrong(world, capsys):
    from scripts.verify_deployment import verify

    said(capsys, "request", "5")
    world.pass_time(HOUR + 1)
    said(capsys, "process")
    findings = verify(world.deployment)
    assert [str(f) for f in findings if f.grade == "WRONG"] == []
    assert {f.name for f in findings} >= {"RedemptionQueue", "FlowRules"}


def test_audit__after_the_queue_was_used__is_proven(world, capsys):
    """Requested, filled, claimed; asked again and still waiting."""
    said(capsys, "request", "5")
    said(capsys, "request", "3", str(OTHER))
    world.pass_time(HOUR + 1)
    said(capsys, "process")
    said(capsys, "claim")
    said(capsys, "request", "2")
    verdict = replayed(world)
    assert verdict.faults == ()
    assert verdict.ledger.request_count == 3
    assert verdict.ledger.pending_shares == verdict.ledger.requests[2].shares > 0
    assert verdict.ledger.reserved_assets > 0
