# SPDX-License-Identifier: MIT
"""`hedgevault dashboard`: where it listens, and what it asks the keeper."""

from __future__ import annotations

import json
import socket
from http import HTTPStatus

import pytest
from typer.testing import CliRunner

from keeper.cli import USAGE, app
from keeper.config import load_config
from keeper.endpoints import JSON, Endpoints
from keeper.web.command import _is_one, _own_words
from keeper.words import Level
from tests.dashboard_world import World, served, text_of


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def test_port__is_taken__one_line(world):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        result = CliRunner().invoke(
            app, ["dashboard", "--config", str(world.config_path), "--port", port]
        )
    assert result.exit_code == USAGE
    assert result.stderr == (
        f"hedgevault: cannot listen on 127.0.0.1 port {port}: address already in use\n"
    )


def test_host__that_is_not_here__one_line(world):
    result = CliRunner().invoke(
        app, ["dashboard", "--config", str(world.config_path), "--host", "192.0.2.1"]
    )
    assert result.exit_code == USAGE
    assert result.stderr.count("\n") == 1


def test_configuration__missing__one_line(tmp_path):
    result = CliRunner().invoke(app, ["dashboard", "--config", str(tmp_path / "none.toml")])
    assert (result.exit_code, result.stderr.count("\n")) == (USAGE, 1)


def test_names__given__are_answered(world):
    with served(world.config_path, names=("Dash.Example.org",)) as url:
        assert text_of(url, headers={"Host": "dash.example.org"})[0] == 200
        assert text_of(url, headers={"Host": "dash.example.com"})[0] == 421


@pytest.mark.parametrize(
    ("host", "one"),
    [("0.0.0.0", False), ("::", False), ("10.1.2.3", True), ("box", True), ("", False)],
)
def test_host__that_stands_for_all__is_no_name(host, one):
    assert _is_one(host) is one


def with_http(world, port):
    text = world.config_path.read_text(encoding="utf-8")
    world.config_path.write_text(f"{text}\n[http]\nport = {port}\n", encoding="utf-8")
    return load_config(world.config_path)


def test_own_words__not_configured__says_so(world):
    (said,) = _own_words(load_config(world.config_path))
    assert said.level is Level.UNKNOWN
    assert "[http] has no port" in said.words


def test_own_words__keeper_does_not_answer__says_so(world):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    (said,) = _own_words(with_http(world, port))
    assert said.level is Level.ACT
    assert "does not answer" in said.words


def test_own_words__keeper_answers__its_words(world):
    def answer(**said):
        return lambda: (HTTPStatus.OK, JSON, json.dumps(said).encode())

    routes = {
        "/health": answer(healthy=False, late={"tick": "70 s"}),
        "/ready": answer(ready=False, why=["no head has been read yet"], mode="live"),
    }
    endpoints = Endpoints("127.0.0.1", 0, routes)
    try:
        said = " ".join(remark.words for remark in _own_words(with_http(world, endpoints.port)))
    finally:
        endpoints.close()
    assert "not ready: no head has been read yet" in said
    assert "Jobs are late: tick: 70 s" in said
