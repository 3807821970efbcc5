# SPDX-License-Identifier: MIT
"""What the dashboard says of a vault's owner and of exits in kind, while they happen."""

from __future__ import annotations

import pytest

from tests.browser import PHONE, window
from tests.live_dashboard import DEPOSITOR, paths, said
from tests.script_world import DAY_SECS

pytestmark = [pytest.mark.node, pytest.mark.slow]


def test_proposal__made_and_cancelled__comes_and_goes_without_a_reload(chromium, site, system):
    from scripts import timelock

    world = system[0]
    call = timelock.call_of(world.deployment, "HedgeBook", "set_hedge_ratio", 9_500)
    with window(chromium) as shown:
        page = shown.page
        page.goto(site + paths(world)["vault"])
        proposal = timelock.propose(world.deployment, world.account(0), call)
        page.wait_for_selector("#owner >> text=HedgeBook.set_hedge_ratio(ratio_bps 95.00")
        assert "Change how much of the price risk is removed" in said(page)
        assert "a timelock of 2 days" in said(page)
        assert "Proposed to the owner" in page.inner_text("#vault-heading")
        assert shown.barriers() == []
        shown.page.set_viewport_size(PHONE)
        shown.wait_until_it_fits()
        timelock.cancel(world.deployment, world.account(0), proposal)
        page.wait_for_selector("#owner >> text=Nothing is proposed.")


def test_exit_in_kind__price_dies__announcement_claims_and_settlement(chromium, site, system):
    from scripts import calls, exit_in_kind

    world, depositor = system[0], system[0].account(DEPOSITOR)
    answer = int(world.at("AssetFeed").latestRoundData()[1])
    with window(chromium) as shown:
        page = shown.page
        page.goto(site + paths(world)["vault"])
        calls.send(world.account(0), world.at("AssetFeed").set_answer, 0, doing="the feed")
        exit_in_kind.announce(world.deployment, depositor)
        page.wait_for_selector("#exits >> text=in kind from 20")
        world.node.request("evm_increaseTime", 3 * DAY_SECS + 1)
        world.node.request("evm_mine")
        page.wait_for_selector("#exits >> text=open in kind until 20")
        page.goto(site + paths(world)["depositor"])
        assert "claims on the venues" in said(page)  # what leaving would bring
        exit_in_kind.exit_in_kind(world.deployment, depositor, 10**21)
        page.wait_for_selector("text=Claims of exits in kind")
        assert "number 0 1.0000 not settled yet" in said(page)
        assert shown.barriers() == []
        page.set_viewport_size(PHONE)
        shown.wait_until_it_fits()
        world.refresh(answer)
        page.goto(site)
        page.wait_for_selector("text=nothing else goes on before somebody settles")
        assert exit_in_kind.settle(world.deployment, depositor)
        page.goto(site + paths(world)["depositor"])
        page.wait_for_selector("text=good for ")
