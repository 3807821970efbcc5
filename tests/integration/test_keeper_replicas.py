# SPDX-License-Identifier: MIT
"""Two keepers of one journal: one sends, the other takes over, and nothing is done twice."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
import requests

from keeper.journal import Journal, TxState
from keeper.risk import assess
from tests.integration.test_keeper_cycle import short, snapshot
from tests.keeper_node import NIGHTLY, Desk, Proxy
from tests.postgres_server import postgres
from tests.script_world import ETHER

__all__ = ["postgres"]
pytestmark = [
    pytest.mark.node,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
TICK_SECS = 2.0
PATIENCE_SECS = 60
BUSY_SECS = 2.0  # that a loaded machine may take on top


class Replica(Desk):
    """A keeper with a file of its own, a port, and somebody else's journal."""

    def __init__(self, world, folder, journal, url=None):
        folder.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.place = journal
        super().__init__(world, folder, url)
        where = f'path = "{journal}"'
        if not hasattr(journal, "parent"):
            where = f'url = "{journal.render_as_string(hide_password=False)}"'
        self.write(
            url or world.node.url,
            more=f"[http]\nport = {self.port}\n[journal]\n{where}\n"
            f"[jobs]\ntick_secs = {TICK_SECS}\nmargin_watch_secs = {TICK_SECS}\n",
        )

    def role(self):
        try:
            answer = requests.get(f"http://127.0.0.1:{self.port}/ready", timeout=0.5).json()
        except requests.RequestException:
            return None
        return answer["role"] if answer["good_tick_age_secs"] is not None else None

    @contextmanager
    def standing_by(self):
        """Run; what it says is read all the time, or it would hang."""
        with self.started("run", "--live", "--standby") as process:
            self.process, self.lines = process, []

            def read():
                for line in process.stderr:
                    self.lines.append(json.loads(line))

            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGCONT)
                    process.kill()
                process.wait()
                reader.join(5)


def until(what, secs=PATIENCE_SECS):
    ends = time.monotonic() + secs
    while not what():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(params=["file", pytest.param("postgresql", marks=NIGHTLY)])
def pair(request, world, tmp_path):
    """Two keepers; the first leads and has hedged, the second stands by."""
    journal = tmp_path / "shared" / "journal.sqlite"
    if request.param == "postgresql":
        journal = request.getfixturevalue("postgres").new()
    first = Replica(world, tmp_path / "first", journal)
    second = Replica(world, tmp_path / "second", journal)
    with ExitStack() as running:
        running.enter_context(first.standing_by())
        assert until(lambda: short(world) == -50 * ETHER)
        running.enter_context(second.standing_by())
        assert until(lambda: second.role() == "standby")
        assert first.role() == "leader"
        yield first, second


def move(world, price):
    """Raise the price, so that margin is to be topped up; return the nonce of the book."""
    world.refresh(price * 10**8)
    return int(world.at("HedgeBook").state()[0])


def nonce(world):
    return int(world.at("HedgeBook").state()[0])


def agree(world, place):
    """Check that journal and chain tell the same, and that nothing was done twice."""
    journal = Journal(place, world.node.chain_id)
    rows = journal.transactions()
    journal.close()
    finals = [tx for tx in rows if tx.state is TxState.FINAL]
    assert {tx.state for tx in rows} <= {TxState.FINAL, TxState.FAILED}
    assert not [tx for tx in rows if tx.succeeded is False]
    assert len(finals) == nonce(world)
    assert sorted(tx.plan_nonce for tx in finals) == list(range(len(finals)))
    return rows


def take_over(leader, standby, blow):
    """Strike the leader; return after how long the other leads."""
    leader.process.send_signal(blow)
    began = time.monotonic()
    assert until(lambda: standby.role() == "leader")
    took = time.monotonic() - began
    print(f"\ntake-over after {blow.name}: {took:.2f} s, a tick is {TICK_SECS} s")
    assert took < 2 * TICK_SECS + BUSY_SECS
    return took


def test_leader_is_gone__the_other_takes_over_within_two_ticks(pair, world, record_property):
    first, second = pair
    record_property("after_stop_secs", take_over(first, second, signal.SIGSTOP))
    before = move(world, 3_250)
    assert until(lambda: nonce(world) == before + 1)
    assert until(lambda: assess(snapshot(world).vault).margin_ratio_bps >= 67_000)

    first.process.send_signal(signal.SIGCONT)
    assert until(lambda: first.role() == "standby")
    before = move(world, 4_225)
    assert until(lambda: nonce(world) == before + 1)
    assert second.role() == "leader"  # who wakes does not take it back

    record_property("after_kill_secs", take_over(second, first, signal.SIGKILL))
    before = move(world, 5_500)
    assert until(lambda: nonce(world) == before + 1)
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(timeout=PATIENCE_SECS) == 0
    agree(world, first.place)
    assert not [line for line in first.lines if line.get("result") == "halt"]


@NIGHTLY
def test_leader_stops_with_bytes_in_its_hand_and_wakes__hedged_once(world, tmp_path, postgres):
    """It is past every check when it stops; what it then sends is fenced by the nonces."""
    journal = postgres.new()
    woken = threading.Event()
    with Proxy(world.node.url) as proxy, ExitStack() as running:
        first = Replica(world, tmp_path / "first", journal, proxy.url)
        second = Replica(world, tmp_path / "second", journal)
        stopped = []

        def meddle(methods):
            if "eth_sendRawTransaction" in methods and not stopped:
                stopped.append(first.process.send_signal(signal.SIGSTOP))
                woken.wait(PATIENCE_SECS)

        proxy.meddle = meddle
        running.enter_context(first.standing_by())
        assert until(lambda: stopped)
        running.enter_context(second.standing_by())
        assert until(lambda: short(world) == -50 * ETHER)
        assert until(lambda: second.role() == "leader")
        woken.set()  # its bytes reach the node now
        first.process.send_signal(signal.SIGCONT)
        assert until(lambda: first.role() == "standby")
        for replica in (first, second):
            replica.process.send_signal(signal.SIGTERM)
            assert replica.process.wait(timeout=PATIENCE_SECS) == 0
    assert nonce(world) == 1
    agree(world, journal)
    halted = [line for line in first.lines if line.get("result") == "halt"]
    assert halted == []
