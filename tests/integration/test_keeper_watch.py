# SPDX-License-Identifier: MIT
"""A real keeper process as its operator watches it: scraped, alerted, stopped in any state."""

from __future__ import annotations

import fcntl
import json
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import closing, suppress

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.alert_server import Webhook, until
from tests.keeper_node import NIGHTLY, Desk, Proxy
from tests.postgres_server import PASSWORD, postgres, way_to

__all__ = ["postgres"]

pytestmark = [
    pytest.mark.node,
    pytest.mark.slow,
    # Brownie's own: a node of a certain age, and threads that wait for confirmations.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

PATIENCE_SECS = 60  # a busy machine takes seconds to start a process
STOP_SECS = 10.0
URLS = "HEDGEVAULT_TEST_ALERT_URLS"


@pytest.fixture
def hook():
    with Webhook() as hook:
        yield hook


@pytest.fixture
def proxy(world):
    with Proxy(world.node.url) as proxy:
        yield proxy


class Watched(Desk):
    """A keeper that serves metrics and alerts a webhook."""

    def __init__(self, world, folder, url, hook):
        self.hook = hook
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        super().__init__(world, folder, url)
        self.write(
            url,
            chain='clock = "head"\nrequest_timeout_secs = 15',
            more=f"[http]\nport = {self.port}\n"
            "[jobs]\ntick_secs = 0.3\nmargin_watch_secs = 1\n"
            f'[alerts]\nurl_env = "{URLS}"\nafter_secs = 1.5\n',
        )

    def environment(self):
        return super().environment() | {URLS: self.hook.url}

    def get(self, path):
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=5)

    def ready(self):
        try:
            return self.get("/ready").status_code == 200
        except requests.ConnectionError:
            return False

    def metrics(self):
        """Return every sample by name and labels."""
        return {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(self.get("/metrics").text)
            for sample in family.samples
        }


@pytest.fixture
def desk(world, tmp_path, proxy, hook):
    return Watched(world, tmp_path, proxy.url, hook)


def stop(process):
    """Stop a keeper; return how long that took and what it said."""
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=PATIENCE_SECS)
    return time.monotonic() - started, [json.loads(line) for line in said.splitlines()]


def test_run__node_stops_and_comes_back__scraped_and_told_once(desk, proxy, hook):
    with desk.started("run", "--live") as process:
        assert until(desk.ready, PATIENCE_SECS)
        assert desk.get("/health").status_code == 200
        assert until(lambda: desk.metrics().get(("hedgevault_transactions", "final")) == 1, 30)
        good = desk.metrics()
        assert good["hedgevault_head_age_seconds",] < 10**9
        assert good["hedgevault_tick_stage_seconds_count", "send"] >= 1
        vault = desk.world.at("HedgeVault").address.lower()
        assert until(lambda: desk.metrics()["hedgevault_vault_drift_bps", vault] == 0, 30)
        assert good["hedgevault_job_runs_total", "ok", "tick"] >= 1
        assert good["hedgevault_budget_used", "transactions an hour"] == 1

        proxy.meddle = lambda methods: "drop"
        assert until(lambda: hook.got, PATIENCE_SECS)
        down = desk.metrics()
        assert down["hedgevault_rpc_errors_total", "ChainUnavailable"] >= 2
        assert down["hedgevault_alert_active", "node_unavailable"] == 1
        assert desk.get("/health").status_code == 200  # the keeper lives, its node does not

        proxy.meddle = lambda methods: None
        assert until(lambda: len(hook.got) == 2, PATIENCE_SECS)
        assert desk.metrics()["hedgevault_alert_active", "node_unavailable"] == 0
        assert desk.ready()
        took, said = stop(process)
    assert process.returncode == 0
    assert took < STOP_SECS
    assert hook.titles() == [
        "raised: node_unavailable (critical)",
        "resolved: node_unavailable (critical)",
    ]
    assert "cannot be reached" in hook.got[0]["message"]
    ticks = [line for line in said if line["event"] == "tick"]
    assert all({"result", "requests", "secs"} <= line.keys() for line in ticks)
    assert ticks[0]["stages"]["read"] > 0
    assert ticks[0]["killed"] is False
    assert "s3cr3t" not in json.dumps(said)


@pytest.mark.parametrize("taken", [True, False])
def test_run__killed_and_started_again_while_the_node_is_down__told_once(desk, proxy, hook, taken):
    """Once in all, also when no target had taken it before the kill."""
    proxy.meddle = lambda methods: "drop"
    hook.status = 200 if taken else 503
    for _ in range(2):
        with desk.started("run", "--live") as process:
            assert until(lambda: hook.got if hook.status == 200 else hook.tries, PATIENCE_SECS)
            time.sleep(2.5)  # longer than an alert's patience
            process.kill()
            process.communicate()
        hook.status = 200
    assert hook.titles() == ["raised: node_unavailable (critical)"]
    proxy.meddle = lambda methods: None
    with desk.started("run", "--live"):
        assert until(lambda: len(hook.got) == 2, PATIENCE_SECS)
    assert hook.titles()[1] == "resolved: node_unavailable (critical)"


def hang_at(proxy, method):
    """Let the node accept a request of this kind and never answer."""
    hanging = []

    def meddle(methods):
        if method in methods:
            hanging.append(method)
            time.sleep(14)
            return "drop"
        return None

    proxy.meddle = meddle
    return hanging


@pytest.mark.parametrize("method", ["eth_call", "eth_sendRawTransaction"])
def test_stop__node_hangs_alert_target_hangs_scraper_holds__within_ten_seconds(
    desk, proxy, hook, method
):
    hook.hanging.set()
    (desk.folder / "hedgevault.stop").touch()  # an alert at once
    with desk.started("run", "--live") as process:
        assert until(lambda: hook.tries, PATIENCE_SECS)
        hanging = hang_at(proxy, method)
        (desk.folder / "hedgevault.stop").unlink()
        held = socket.create_connection(("127.0.0.1", desk.port))
        held.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert until(lambda: hanging, PATIENCE_SECS)
        took, said = stop(process)
        held.close()
    assert took < STOP_SECS
    assert process.returncode == 0
    # Closing its connection wakes the request that hung: a line or two may come after this one.
    assert "stopped" in [line["event"] for line in said]
    told = [line["alert"] for line in said if "stage" in line]
    lost = [line["title"] for line in said if line.get("result") == "lost"]
    assert lost[0] == "raised: kill_switch (warning)"
    assert len(lost) == len(told)  # nothing vanishes: what no target took is in the log


def test_stop__journal_is_locked__within_ten_seconds(desk):
    with desk.started("run") as process:
        assert until(desk.ready, PATIENCE_SECS)
        with closing(sqlite3.connect(desk.journal, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(1.0)  # longer than a tick's interval: it waits for the lock
            took, said = stop(process)
    assert took < STOP_SECS
    assert process.returncode == 0
    assert said[-1]["event"] == "stopped"


def test_stop__nobody_reads_the_log__within_ten_seconds(desk):
    """The pipe is full, so every thread that says something hangs."""
    with desk.started("run") as process:
        fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4_096)
        assert until(desk.ready, PATIENCE_SECS)
        count = -1.0
        while count != (count := desk.metrics()["hedgevault_job_runs_total", "ok", "tick"]):
            time.sleep(1.5)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE_SECS)
        took = time.monotonic() - started
    assert process.returncode == 1  # by the last resort
    assert took < STOP_SECS


def test_run__port_taken__one_line(desk):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", desk.port))
        taken.listen()
        result = desk("run")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == (
        f"hedgevault: http: cannot listen on 127.0.0.1 port {desk.port}: address already in use"
    )


def test_run__systemd__is_told_of_start_life_and_stop(desk, tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_SECS)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with desk.started("run") as process:
            assert manager.recv(100) == b"READY=1"
            assert manager.recv(100) == b"WATCHDOG=1"
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=PATIENCE_SECS)
        lines = []
        manager.settimeout(1)
        while not lines or lines[-1] != b"STOPPING=1":
            lines.append(manager.recv(100))
    assert set(lines[:-1]) <= {b"WATCHDOG=1"}
    assert json.loads(said.splitlines()[-1])["event"] == "stopped"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with six megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    mounted = subprocess.run(["mount", *words], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@NIGHTLY
def test_run__disk_of_the_journal_is_full__watches_on_and_hedges_when_there_is_room(
    desk, hook, small_disk
):
    text = desk.path.read_text() + f'[journal]\npath = "{small_disk / "journal.sqlite"}"\n'
    desk.path.write_text(text)
    vault = desk.world.at("HedgeVault").address.lower()
    drift = ("hedgevault_vault_drift_bps", vault)
    with desk.started("run", "--live") as process:
        assert until(lambda: desk.ready() and desk.metrics().get(drift) == 0, PATIENCE_SECS)
        filler = small_disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4_096)):
                pass
        assert until(lambda: "raised: journal_unavailable (critical)" in hook.titles(), 60)
        desk.world.refresh(3_250 * 10**8)
        before = desk.metrics()["hedgevault_head_block",]
        ratio = ("hedgevault_vault_margin_ratio_bps", vault)
        assert until(lambda: desk.metrics()[ratio] < 67_000, 30)  # it sees what happens
        nonce = int(desk.world.at("HedgeBook").state()[0])
        assert until(lambda: desk.metrics()["hedgevault_head_block",] >= before, 5)
        assert nonce == 1  # and does nothing about it
        assert "free disk space" in hook.got[0]["message"]
        filler.unlink()
        assert until(lambda: desk.metrics()[ratio] >= 67_000, 30)
        assert until(lambda: "resolved: journal_unavailable (critical)" in hook.titles(), 30)
        _, said = stop(process)
    assert process.returncode == 0
    assert {line["event"] for line in said} >= {"tick", "alert", "stopped"}


@NIGHTLY
def test_run__postgresql_says_nothing__watches_on_hedges_when_it_answers_and_stops_in_time(
    desk, hook, postgres
):
    with way_to(postgres.new()) as (way, url):
        where = url.render_as_string(hide_password=False)
        desk.path.write_text(desk.path.read_text() + f'[journal]\nurl = "{where}"\n')
        vault = desk.world.at("HedgeVault").address.lower()
        ratio = ("hedgevault_vault_margin_ratio_bps", vault)
        with desk.started("run", "--live") as process:
            assert until(
                lambda: desk.ready() and desk.metrics().get(ratio, 0) >= 67_000, PATIENCE_SECS
            )
            way.open.clear()
            desk.world.refresh(3_250 * 10**8)
            assert until(lambda: desk.metrics()[ratio] < 67_000, 60)  # it sees what happens
            assert until(lambda: "raised: journal_unavailable (critical)" in hook.titles(), 60)
            assert any("check the database server" in told["message"] for told in hook.got)
            assert int(desk.world.at("HedgeBook").state()[0]) == 1  # and does nothing about it

            way.open.set()
            assert until(lambda: desk.metrics()[ratio] >= 67_000, 60)
            assert until(lambda: "resolved: journal_unavailable (critical)" in hook.titles(), 30)
            way.open.clear()
            time.sleep(1.0)
            took, said = stop(process)
    assert took < STOP_SECS
    assert (process.returncode, said[-1]["event"]) == (0, "stopped")
    assert PASSWORD not in json.dumps(said)
    waits = [line["secs"] for line in said if line["event"] == "tick" and line["result"] != "ok"]
    print(f"\nticks without an answer: {len(waits)}, the longest {max(waits):.1f} s")
