# SPDX-License-Identifier: MIT
"""Take over what the backstop holds, through the script, as a person does."""

from __future__ import annotations

import pytest

from tests.script_world import ETHER, deployed, spoken

said, complaint = spoken("take_over")
pytestmark = [
    pytest.mark.node,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

FAILING, OTHER, TRADER, USDC = 2, 3, 4, 10**6  # the last is who trades where nobody is named


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A system whose backstop holds the larger part of a long of 50; K = 20."""
    with (
        deployed("anvil", tmp_path_factory.mktemp("deployments")) as system,
        pytest.MonkeyPatch.context() as patched,
    ):
        from scripts import calls, deployments, trade

        patched.setattr(deployments, "read", lambda chain_id: system.deployment)
        for index, size, quote in ((OTHER, -30, 100_000), (FAILING, 50, 13_000)):
            account = system.account(index)
            mint = system.at("Quote").mint
            calls.send(account, mint, account, quote * USDC, doing="the mint")
            trade.deposit(system.deployment, account, "quote", quote * USDC)
            offer = trade.quote(system.deployment, account, size * ETHER, 2**200 if size > 0 else 0)
            trade.trade(system.deployment, account, offer)
        account = system.account(TRADER)
        calls.send(account, mint, account, 50_000 * USDC, doing="the mint")
        trade.deposit(system.deployment, account, "quote", 50_000 * USDC)
        yield system


def test_take_over__a_takers_whole_way(world, capsys):
    from scripts import calls

    assert "For sale    nothing" in said(capsys)
    assert "the backstop holds nothing" in complaint(capsys, "1")
    world.refresh(2_300 * 10**8)
    venue, taker = world.at("PerpVenue"), world.account(TRADER)
    calls.send(world.account(0), venue.liquidate, world.account(FAILING), doing="the liquidation")
    held = venue.offer()[0]
    assert held > 20 * ETHER
    out = said(capsys)
    assert " tETH long" in out
    assert "index + premium of 0.0200%, discount 0.00" in out
    assert "holds no more than" in complaint(capsys, "51")
    assert "refused" in complaint(capsys, "1", "2299")  # under the index
    out = said(capsys, "10", "2301")
    assert "Done: pays 23,0" in out
    assert "Position    10 tETH" in out
    assert venue.account(taker)[2] == 10 * ETHER
    assert venue.offer()[0] == held - 10 * ETHER
    said(capsys, "all")
    assert venue.account(taker)[2] == held
    assert venue.offer()[0] == 0
