# SPDX-License-Identifier: MIT
"""What is served, to whom, and that nobody who holds a connection holds the keeper."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from keeper import endpoints as module
from keeper.endpoints import Endpoints, routes
from keeper.errors import ConfigInvalid
from keeper.health import State
from keeper.metrics import Metrics


@pytest.fixture
def served():
    state = {"good": True}
    metrics = Metrics(version="1.2", mode="live")
    answer = lambda: State(good=state["good"], said={"why": []})  # noqa: E731
    endpoints = Endpoints("127.0.0.1", 0, routes(metrics.text, answer, answer))
    yield f"http://127.0.0.1:{endpoints.port}", state
    endpoints.close()


def test_metrics__scrape__parses(served):
    url, _state = served
    answer = requests.get(f"{url}/metrics", timeout=5)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    families = {f.name: f for f in text_string_to_metric_families(answer.text)}
    (sample,) = families["hedgevault_build"].samples
    assert sample.labels == {"version": "1.2", "mode": "live"}


@pytest.mark.parametrize("path", ["/health", "/ready", "/ready?verbose=1"])
def test_state__good_or_not__status_says_so(served, path):
    url, state = served
    good = requests.get(url + path, timeout=5)
    assert (good.status_code, good.json()) == (200, {"why": []})
    state["good"] = False
    assert requests.get(url + path, timeout=5).status_code == 503
    head = requests.head(url + path, timeout=5)
    assert (head.status_code, head.content) == (503, b"")


def test_other_paths__not_found__names_those_there_are(served):
    url, _state = served
    answer = requests.get(f"{url}/../etc/passwd", timeout=5)
    assert answer.status_code == 404
    assert json.loads(answer.content) == {"paths": ["/health", "/metrics", "/ready"]}
    assert requests.post(f"{url}/health", timeout=5).status_code == 501
    assert "Python" not in answer.headers["Server"]


def hold(url):
    host, port = url.removeprefix("http://").split(":")
    held = socket.create_connection((host, int(port)))
    held.sendall(b"GET /metrics HT")
    return held


def test_held_connections__do_not_hold_others_nor_the_end(served):
    url, _state = served
    held = [hold(url) for _ in range(5)]
    assert requests.get(f"{url}/health", timeout=5).status_code == 200
    closing = Endpoints("127.0.0.1", 0, {})
    mine = hold(f"http://127.0.0.1:{closing.port}")
    started = time.monotonic()
    closing.close()
    assert time.monotonic() - started < 1.0
    for connection in (*held, mine):
        connection.close()


def test_held_connections__too_many__are_dropped_and_threads_are_bounded(served, monkeypatch):
    url, _state = served
    before = threading.active_count()
    held = [hold(url) for _ in range(40)]
    time.sleep(0.3)
    assert threading.active_count() - before <= module.MAX_CONNECTIONS
    for connection in held:
        connection.close()
    time.sleep(0.3)
    assert requests.get(f"{url}/health", timeout=5).status_code == 200


def test_silent_client__is_dropped(monkeypatch):
    monkeypatch.setattr(module, "SILENCE_SECS", 0.2)
    endpoints = Endpoints("127.0.0.1", 0, {})
    with hold(f"http://127.0.0.1:{endpoints.port}") as held:
        held.settimeout(5)
        assert held.recv(1) == b""
    endpoints.close()


def test_endpoints__port_taken__one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigInvalid) as refused:
            Endpoints("127.0.0.1", port, {})
    assert str(refused.value) == (
        f"http: cannot listen on 127.0.0.1 port {port}: address already in use"
    )


def test_endpoints__no_such_host__one_line():
    with pytest.raises(ConfigInvalid, match=r"^http: cannot listen on nowhere\.invalid port 9: "):
        Endpoints("nowhere.invalid", 9, {})


def test_endpoints__ipv6_loopback__listens():
    try:
        endpoints = Endpoints("::1", 0, {})
    except ConfigInvalid:
        pytest.skip("this machine has no IPv6")
    assert requests.get(f"http://[::1]:{endpoints.port}/", timeout=5).status_code == 404
    endpoints.close()
