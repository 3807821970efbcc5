# SPDX-License-Identifier: MIT
"""The dashboard's own command over a real chain, with a keeper that has hedged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.browser import PHONE, window
from tests.keeper_node import Desk, Proxy
from tests.script_world import ETHER, World, deployed

DEPOSITOR = 5
NEWCOMER = 6
SAYS = {  # page by page, what only a whole one says
    "overview": "In order",
    "vault": "Nothing is proposed.",
    "decisions": "Rebalance",
    "decision": "The chain carried out exactly this plan: the hashes are equal.",
    "depositors": "Address",
    "depositor": "first in line",
    "venues": "1 vault",
    "venue": "Accounts, the riskiest first",
    "keeper": "ended well",
}
PAGES = tuple(SAYS)


@contextmanager
def hedged(kind: str, folder: Path) -> Iterator[tuple[World, Desk, Proxy]]:
    """Deploy a system on a node, deposit, hedge by the keeper's command, queue a tenth."""
    from brownie import network

    from scripts import redeem
    from scripts.deposit import deposit

    with deployed(kind, folder) as world, Proxy(world.node.url) as proxy:
        network.main.gas_buffer(1.5)
        world.refresh()
        vault = world.at("HedgeVault")
        deposit(world.deployment, world.account(DEPOSITOR), 50 * ETHER)
        desk = Desk(world, folder, proxy.url)
        desk.write(proxy.url, deployment=True)
        for _ in range(2):
            done = desk("once", "--live")
            assert done.returncode == 0, done.stderr
        depositor = world.account(DEPOSITOR)
        redeem.request(world.deployment, depositor, int(vault.balanceOf(depositor)) // 10)
        yield world, desk, proxy


@contextmanager
def running(desk: Desk) -> Iterator[str]:
    """Start the dashboard by its command and yield its address; it ends without a word."""
    with desk.started("dashboard", "--port", "0", "--every", "0.2") as process:
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line + process.stderr.read()
        yield found.group()
        process.terminate()
        _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")


def paths(world: World) -> dict[str, str]:
    at = {name: world.at(name).address.lower() for name in ("HedgeVault", "PerpVenue")}
    return {
        "overview": "/", "vault": f"/vaults/{at['HedgeVault']}", "decisions": "/decisions",
        "decision": "/decisions/1", "depositors": "/depositors",
        "depositor": f"/depositors/{world.account(DEPOSITOR).address}",
        "venues": "/venues", "venue": f"/venues/{at['PerpVenue']}", "keeper": "/keeper",
    }  # fmt: skip


def check_page(chromium: object, site: str, world: World, name: str, scheme: str) -> None:
    """Hold a page to what every page must be; nothing leaves the machine, and it fits a phone."""
    with window(chromium, color_scheme=scheme) as shown:
        shown.page.goto(site + paths(world)[name])
        assert SAYS[name] in said(shown.page)
        assert shown.barriers() == []
        assert shown.complaints == []
        assert shown.foreign(site) == []
        shown.page.set_viewport_size(PHONE)
        shown.wait_until_it_fits()
        assert shown.page.locator("nav a").first.is_visible()


def check_arrival(chromium: object, site: str, world: World) -> None:
    """Deposit and see it on the open page, which is not loaded anew."""
    from scripts.deposit import deposit

    with window(chromium) as shown:
        page = shown.page
        page.goto(site)
        page.evaluate("window.kept = 1")
        before = page.locator("#totals .big").first.inner_text()
        deposit(world.deployment, world.account(NEWCOMER), 2 * ETHER)
        page.wait_for_function(
            "before => document.querySelector('#totals .big').innerText !== before", arg=before
        )
        assert page.evaluate("window.kept") == 1


def said(page) -> str:
    """Return what a page says, with plain spaces."""
    return " ".join(page.inner_text("main").replace("\u00a0", " ").split())
