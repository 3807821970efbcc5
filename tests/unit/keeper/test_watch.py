# SPDX-License-Identifier: MIT
"""Where alert URLs come from, and what systemd is told."""

from __future__ import annotations

import socket

import pytest

from keeper import systemd
from keeper.config import load_config
from keeper.errors import ConfigInvalid
from keeper.watch import alert_urls

GOOD = """
[chain]
rpc_url = "http://127.0.0.1:8545"
chain_id = 31337
lens = "0x1111111111111111111111111111111111111111"
[[vaults]]
address = "0x2222222222222222222222222222222222222222"
"""
URL = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


@pytest.fixture
def load(tmp_path):
    def load(section):
        path = tmp_path / "hedgevault.toml"
        path.write_text(f"{GOOD}\n[alerts]\n{section}\n")
        return load_config(path)

    return load


def test_alert_urls__none_named__none(load):
    assert alert_urls(load("")) == []


def test_alert_urls__environment__one_a_line(load, monkeypatch):
    monkeypatch.setenv("WHERE_TO", f"{URL}\n json://127.0.0.1 \n\n")
    assert alert_urls(load('url_env = "WHERE_TO"')) == [URL, "json://127.0.0.1"]


def test_alert_urls__file__beside_the_configuration(load, tmp_path):
    (tmp_path / "alerts.urls").write_text(f"# the risk desk\n{URL}\n")
    assert alert_urls(load('url_file = "alerts.urls"')) == [URL]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ('url_env = "NOT_SET"', "alerts.url_env: NOT_SET holds no URL"),
        ('url_file = "missing"', "missing: no such file or directory"),
        ('url_file = "empty"', "empty holds no URL"),
        ('url_file = "latin"', "latin: is not UTF-8 text"),
    ],
)
def test_alert_urls__mistake__names_the_field(load, tmp_path, section, words):
    (tmp_path / "empty").write_text("# nobody yet\n")
    (tmp_path / "latin").write_bytes(b"slack://\xff")
    with pytest.raises(ConfigInvalid) as refused:
        alert_urls(load(section))
    assert str(refused.value).startswith("alerts.url_")
    assert str(refused.value).endswith(words)


@pytest.mark.parametrize("abstract", [False, True])
def test_notify__socket_of_systemd__gets_the_line(tmp_path, monkeypatch, abstract):
    name = "@hedgevault-test" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0"))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        systemd.notify("READY=1")
        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "vsock:2:1"])
def test_notify__nobody_listens__nothing_happens(monkeypatch, address):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    systemd.notify("WATCHDOG=1")
