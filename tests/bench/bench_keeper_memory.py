# SPDX-License-Identifier: MIT
"""
Memory over 100,000 ticks with journal, metrics, alerts and a scraper; prints, asserts nothing.

    make bench
"""

from __future__ import annotations

import gc
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests

from keeper.alarm import Alarm
from keeper.alerts import Alerts
from keeper.chain import Reading
from keeper.deadline import Deadline
from keeper.delivery import Delivery, open_targets
from keeper.endpoints import Endpoints, routes
from keeper.guard import Safety
from keeper.health import Health
from keeper.journal import Journal
from keeper.metrics import Metrics
from keeper.observer import Observer
from keeper.policy import Policy
from keeper.redaction import Redactor
from keeper.runner import Keeper
from keeper.sending import Fees, Orders
from tests.keeper_world import ETHER, VAULT, snapshot, venue

TICKS = 100_000
EVERY = 10_000
SCRAPE_EVERY = 20


class Silent:
    """A logger that says nothing."""

    def _line(self, event: str, **fields: object) -> None:
        pass

    info = warning = error = _line


class StillChain:
    """A chain on which nothing happens but blocks."""

    def __init__(self) -> None:
        self.requests = 0
        self.state = snapshot(venue(assets=35 * ETHER, delta=-100 * ETHER), idle_assets=65 * ETHER)

    def read(self, *_asked: Any) -> Reading:
        """Return the next block."""
        self.requests += 1
        block = self.state.block
        self.state = replace(self.state, block=replace(block, number=block.number + 1))
        return Reading(
            block=self.state.block, snapshots=(self.state,), nonce=1, pending_nonce=1,
            balance=ETHER, receipts={},
        )  # fmt: skip


def megabytes() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4_096 / 2**20


def make(folder: Path) -> tuple[Keeper, Observer, Metrics, Journal]:
    """Return a keeper under observation."""
    log: Any = Silent()
    journal = Journal(folder / "journal.sqlite", 31337)
    orders = Orders(
        vaults=(VAULT,), policy=Policy(), safety=Safety(),
        fees=Fees(max_fee=1, priority_fee=1, max_gas=21_000, gas_margin_bps=0),
        live=False, kill_file=folder / "stop", confirmations=1, receipt_wait_secs=1.0,
    )  # fmt: skip
    chain: Any = StillChain()
    keeper = Keeper(chain=chain, journal=journal, orders=orders, signer=None, log=log)
    urls = ["json://127.0.0.1:9"]  # loads every plugin of Apprise, as one real target does
    delivery = Delivery(open_targets(urls, field="", sender="", hide=Redactor(), log=log))
    metrics = Metrics(version="bench", mode="dry run")
    observer = Observer(
        metrics=metrics,
        alarm=Alarm(
            Alerts(after_secs=60.0, remind_secs=3_600.0), delivery, log=log, path=folder / "told"
        ),
        health=Health(head_secs=None, good_tick_secs=90.0),
        journal=journal,
        orders=orders,
        low_balance=0,
        log=log,
    )
    keeper.witness = observer
    return keeper, observer, metrics, journal


def test_memory__a_hundred_thousand_ticks() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        keeper, observer, metrics, journal = make(Path(name))
        served = Endpoints("127.0.0.1", 0, routes(metrics.text, observer.health, observer.ready))
        started, first = time.perf_counter(), None
        figures = SimpleNamespace(scrape=0)
        for count in range(1, TICKS + 1):
            keeper.tick(Deadline(10.0))
            if count % SCRAPE_EVERY == 0:
                observer.pulse()
                page = requests.get(f"http://127.0.0.1:{served.port}/metrics", timeout=5)
                figures.scrape = len(page.content)
            if count % EVERY == 0:
                gc.collect()
                now = megabytes()
                first = now if first is None else first
                print(f"{count:6d} ticks: {now:6.1f} MB, {now - first:+5.2f} MB since the first")
        each = (time.perf_counter() - started) / TICKS * 1_000
        print(f"{each:.2f} ms a tick with its journal; a scrape is {figures.scrape} bytes")
        served.close()
        journal.close()
