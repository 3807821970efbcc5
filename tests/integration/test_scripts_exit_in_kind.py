# SPDX-License-Identifier: MIT
"""From a price that dies to claims that are redeemed, as people and a keeper do it."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from keeper import exits
from keeper.journal import Journal
from keeper.lifecycle import TxState
from keeper.risk import assess
from tests.keeper_node import Desk
from tests.script_world import DAY_SECS, ETHER, deployed, noticed, replayed, spoken

said, complaint = spoken("exit_in_kind")
pytestmark = [
    pytest.mark.node,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

DEPOSITOR, OTHER = 5, 6


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """A vault of 40, 20 of each of two, hedged with 15 as margin and 5 sold."""
    from scripts.deposit import deposit

    with deployed("anvil", tmp_path_factory.mktemp("deployments")) as world:
        for index in (DEPOSITOR, OTHER):
            deposit(world.deployment, world.account(index), 20 * ETHER)
        world.rebalance(margin_assets=15 * ETHER, size=-39 * ETHER)
        world.pass_time(601)
        world.rebalance(size=5 * ETHER, spot_assets=-5 * ETHER)
        world.pass_time(60)
        yield world


@pytest.fixture
def world(system, monkeypatch):
    from scripts import deployments

    monkeypatch.setattr(deployments, "read", lambda chain_id: system.deployment)
    with system.undone():
        yield system


def kill_price(world):
    """Let the feed answer zero, and return what it said before."""
    from scripts import calls

    answer = int(world.at("AssetFeed").latestRoundData()[1])
    calls.send(world.account(0), world.at("AssetFeed").set_answer, 0, doing="the feed")
    return answer


def wait(world, seconds):
    world.node.request("evm_increaseTime", seconds)
    world.node.request("evm_mine")


def run_keeper(world, folder, done):
    """Let a keeper that looks after exits work until `done`, and return his desk."""
    desk = Desk(world, folder)
    desk.write(
        world.node.url,
        more="[jobs]\ntick_secs = 0.5\nmargin_watch_secs = 5\n"
        '[upkeep]\ndo = ["exits"]\nevery_secs = 0.5\ndeadline_secs = 20\n',
    )
    with desk.started("run", "--live") as process:
        ends = time.monotonic() + 90
        while time.monotonic() < ends and not done():
            time.sleep(0.2)
        process.terminate()
        process.communicate(timeout=60)
    return desk


def test_exit_in_kind__announced_and_the_price_is_good__keeper_retracts(world, capsys, tmp_path):
    answer = kill_price(world)
    said(capsys, "announce")
    world.refresh(answer)
    leaving = world.at("ExitInKind")
    run_keeper(world, tmp_path, lambda: int(leaving.announced_at()) == 0)
    assert leaving.announced_at() == 0


def test_exit_in_kind__price_dies_and_comes_back__keeper_settles_claims_are_redeemed(
    world, capsys, tmp_path
):
    assert "not in kind: there is a good price" in said(capsys, "status")
    assert "there is a good price" in complaint(capsys, "announce")
    answer = kill_price(world)
    assert "nobody has announced" in said(capsys, "status")
    assert "not announced" in complaint(capsys, "exit", "all")
    assert "days, if no price comes" in said(capsys, "announce")
    wait(world, 3 * DAY_SECS + 1)
    assert "(oracle: asset feed zero)" in said(capsys, "status").partition("open in kind until")[2]
    asset, quote = world.at("Asset"), world.at("Quote")
    depositor, vault = world.account(DEPOSITOR), world.at("HedgeVault")
    had = int(asset.balanceOf(depositor)), int(quote.balanceOf(depositor))
    out = said(capsys, "exit", "all")
    assert "its part of what is idle" in out
    assert "claims, not settled yet" in out
    assert int(vault.balanceOf(depositor)) == 0
    got = int(asset.balanceOf(depositor)) - had[0], int(quote.balanceOf(depositor)) - had[1]
    assert 10 * ETHER < got[0] < 11 * ETHER  # a good half of the 20 that are idle
    assert got[1] > 0
    assert "oracle: asset feed zero" in complaint(capsys, "settle")
    assert "no claims that are worth shares" in complaint(capsys, "redeem")

    world.refresh(answer)
    leaving, book = world.at("ExitInKind"), world.at("HedgeBook")
    desk = run_keeper(
        world,
        tmp_path,
        lambda: int(leaving.hollow_shares()) == 0 and int(book.state()[0]) > 2,
    )
    assert int(leaving.hollow_shares()) == 0
    with closing(Journal(desk.journal, world.node.chain_id)) as journal:
        done = {tx.purpose for tx in journal.transactions() if tx.state is TxState.FINAL}
    assert done >= {"settle", "rebalance"}  # it settles, then hedges
    assert "good for " in said(capsys, "status")
    assert "Redeemed." in said(capsys, "redeem")
    shares = int(vault.balanceOf(depositor))
    worth = got[0] + got[1] * 10**12 * 10**8 // answer + int(vault.convertToAssets(shares))
    assert 19 * ETHER < worth < 20 * ETHER


def test_exit_in_kind__what_the_dashboard_reads__is_what_the_contracts_say(world, capsys):
    """Folded from events, to the unit, in the same words as the script's."""
    from scripts import exit_in_kind, status

    answer = kill_price(world)
    said(capsys, "announce")
    wait(world, 3 * DAY_SECS + 1)
    for index, amount in ((DEPOSITOR, 5), (OTHER, 7)):
        shares = amount * 10 ** int(world.at("HedgeVault").decimals())
        vault, found = noticed(world)
        left = found.exits[vault.vault]
        account = world.account(index)
        paid = exit_in_kind.preview(world.deployment, account, shares)
        assert exits.paid_in_kind(left, vault, shares) == paid
        said(capsys, "exit", str(amount), str(index))
    now = head_at()
    vault, found = noticed(world)
    left = found.exits[vault.vault]
    assert exits.is_open(left, exits.price_of(vault), now)
    assert exits.when(left, exits.price_of(vault), now) == exit_in_kind.when(world.deployment)
    check(world, left)
    nav, price_wad = assess(vault).nav, vault.price_wad
    truly = int(world.at("ExitInKind").settled_supply(price_wad))
    assert exits.settled_supply(left, vault, nav) == pytest.approx(truly, rel=10**-9)
    assert truly < vault.total_supply
    told = status.exit_lines(world.deployment, left.hollow)
    assert told[1].startswith("  unsettled    12 shares")
    world.refresh(answer)
    said(capsys, "settle")
    said(capsys, "redeem")
    vault, found = noticed(world)
    left = found.exits[vault.vault]
    assert left.round == 1
    check(world, left)


def head_at():
    from scripts import chain_time

    return chain_time.head_at()


def check(world, left):
    """Hold what was folded against the contract's own views."""
    from scripts import exit_in_kind

    leaving = world.at("ExitInKind")
    assert left.hollow == int(leaving.hollow_shares())
    assert left.round == int(leaving.round())
    assert left.announced_at == int(leaving.announced_at())
    for index in (DEPOSITOR, OTHER):
        account = world.account(index)
        told = exits.claims_of(left, account.address.lower())
        assert told == exit_in_kind.claims(world.deployment, account)


def test_exit_in_kind__announced_then_a_price_was_seen__announce_anew(world, capsys):
    answer = kill_price(world)
    said(capsys, "announce")
    world.refresh(answer)
    from scripts.deposit import deposit

    deposit(world.deployment, world.account(OTHER), ETHER)  # the book sees the price
    kill_price(world)
    wait(world, 3 * DAY_SECS + 1)
    assert "a good price was seen since the announcement" in said(capsys, "status")
    assert "a good price was seen" in complaint(capsys, "exit", "all")


def test_exit_in_kind__then_verified_and_audited(world, capsys):
    from scripts.verify_deployment import verify

    answer = kill_price(world)
    said(capsys, "announce")
    wait(world, 3 * DAY_SECS + 1)
    said(capsys, "exit", "5")
    said(capsys, "exit", "7", str(OTHER))
    world.refresh(answer)
    assert "Settled." in said(capsys, "settle")
    said(capsys, "redeem")
    kill_price(world)
    said(capsys, "announce")
    wait(world, 3 * DAY_SECS + 1)
    said(capsys, "exit", "1")
    findings = verify(world.deployment)
    assert [str(f) for f in findings if f.grade == "WRONG"] == []
    verdict = replayed(world)
    assert verdict.faults == ()
    assert verdict.ledger.exit_round == 1
    assert verdict.ledger.hollow_shares == 10 ** int(world.at("HedgeVault").decimals())
    assert verdict.ledger.exit_rounds[0].shares > 0


def test_exit_in_kind__bad_input__one_clear_line(world, capsys):
    assert "say what" in complaint(capsys)
    assert "say what" in complaint(capsys, "exit")
    assert "say what" in complaint(capsys, "leave")
    assert "has no shares" in complaint(capsys, "exit", "1", "7")
    assert "has only" in complaint(capsys, "exit", "21")
    assert "nothing to settle" in complaint(capsys, "settle")
    assert "not announced" in complaint(capsys, "retract")
    kill_price(world)
    said(capsys, "announce")
    assert "asset feed zero" in complaint(capsys, "retract")
