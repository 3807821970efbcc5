# SPDX-License-Identifier: MIT
"""
The dashboard beside a static page of the same bytes: request, first paint; how soon news arrives;
memory with 200 vaults. Prints, asserts no time. Needs a Chromium for what people see.

    make bench ARGS=tests/bench/bench_dashboard.py
"""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from tests.browser import browser, window
from tests.dashboard_world import World, many, served, state_of, write_long_history
from tests.keeper_node import HEDGEVAULT
from tests.keeper_world import VAULT

ROUNDS = 9


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class Plain(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # a window that was closed


@contextmanager
def static(page: str, assets: Path):
    """Serve a page and the dashboard's own assets as plain files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "index.html").write_text(page, encoding="utf-8")
        (folder / "static").symlink_to(assets)
        server = Plain(("127.0.0.1", 0), partial(Quiet, directory=name))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        server.server_close()
        thread.join()


def request_ms(url: str) -> float:
    session = requests.Session()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        session.get(url, timeout=10).raise_for_status()
        times.append(1_000 * (time.perf_counter() - began))
    session.close()
    return statistics.median(times)


def paint_ms(started, url: str) -> float:
    """Return the first contentful paint, each time in a new profile."""
    times = []
    for _ in range(ROUNDS):
        with window(started) as shown:
            shown.page.goto(url)
            shown.page.wait_for_function("() => performance.getEntriesByType('paint').length > 1")
            times.append(
                shown.page.evaluate(
                    "performance.getEntriesByName('first-contentful-paint')[0].startTime"
                )
            )
    return statistics.median(times)


def news_ms(started, world: World, url: str) -> float:
    """Return the time from a new block at the node to its number on the page."""
    times = []
    with window(started) as shown:
        shown.page.goto(url)
        for _ in range(ROUNDS):
            time.sleep(1.0)  # more than the page's own pause between two fetches
            number = world.node.head + 1
            world.states, began = [state_of(number)], time.perf_counter()
            world.node.head = number
            words = f"() => document.querySelector('#state').innerText.includes('block {number}')"
            shown.page.wait_for_function(words, polling=5)
            times.append(1_000 * (time.perf_counter() - began))
    return statistics.median(times)


def test_dashboard__beside_a_static_page(tmp_path):
    assets = Path(__file__).parents[2] / "keeper" / "web" / "static"
    for name, states, paths in (
        ("1 vault", [state_of()], ("/", f"/vaults/{VAULT}")),
        ("200 vaults", many(200), ("/",)),
    ):
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        world = World(folder, states)
        journal = world.journal()
        write_long_history(journal, 400, 1, states[0].vault.vault)
        journal.close()
        with browser() as started, served(world.config_path, every_secs=0.2) as url:
            for path in paths:
                page = requests.get(url + path, timeout=10).text
                with static(page, assets) as plain:
                    print(
                        f"\n{name}, {path[:7]}: {len(page) / 1_000:,.0f} kB; request "
                        f"{request_ms(url + path):.1f} ms, static {request_ms(plain):.1f} ms; "
                        f"first paint {paint_ms(started, url + path):.0f} ms, "
                        f"static {paint_ms(started, plain):.0f} ms"
                    )
            if name == "1 vault":
                print(f"news: {news_ms(started, world, url):.0f} ms with a look each 200 ms")
        world.close()


def test_dashboard__memory_with_200_vaults(tmp_path):
    world = World(tmp_path, many(200))
    journal = world.journal()
    write_long_history(journal, 500, 20, world.states[0].vault.vault)
    journal.close()
    command = [str(HEDGEVAULT), "dashboard", "--config", str(world.config_path)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--every", "0.5"], stdout=subprocess.PIPE, text=True
    )
    try:
        url = process.stdout.readline().split()[1].rstrip("/")
        for looks in (0, 100):
            for i in range(looks):
                requests.get(f"{url}/vaults/{world.states[i].vault.vault}", timeout=10)
                requests.get(f"{url}/", timeout=10)
            status = Path(f"/proc/{process.pid}/status").read_text()
            resident = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1_000
            print(f"\n200 vaults, 10,000 decisions, {2 * looks} pages: {resident:.0f} MB resident")
    finally:
        process.terminate()
        process.communicate()
        world.close()
