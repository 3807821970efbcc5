# SPDX-License-Identifier: MIT
"""Where signed bytes go, and where they never do."""

from __future__ import annotations

import pytest

from keeper.chain import Signed
from keeper.errors import ChainUnavailable, CorruptAnswer, SendRefused, Throttled, Unreached
from tests.rpc_server import Nodes, Server

SIGNED = Signed(tx_hash="0x" + "33" * 32, raw=b"\x02")
CLOSED = "http://127.0.0.1:9"  # nobody listens


@pytest.fixture
def relay():
    relay = Server()
    yield relay
    relay.close()


@pytest.fixture
def nodes():
    nodes = Nodes(2)
    for server in nodes.servers:
        server.answers["eth_sendRawTransaction"] = SIGNED.tx_hash
    yield nodes
    nodes.close()


def reopen(nodes, **changes):
    nodes.chain.close()
    nodes.open(**changes)


def sends(*servers):
    return [len(server.calls("eth_sendRawTransaction")) for server in servers]


def test_send__healthy__to_the_first_node_only(nodes):
    nodes.chain.send(SIGNED)
    assert sends(*nodes.servers) == [1, 0]
    assert nodes.servers[0].requests == [nodes.servers[0].requests[0]]


def test_send__first_node_unreached__the_next(nodes):
    nodes.servers[0].close()
    nodes.chain.send(SIGNED)
    assert sends(nodes.servers[1]) == [1]
    nodes.servers[0] = Server()  # for the fixture to close


def test_send__first_node_throttles__the_next(nodes):
    nodes.servers[0].status = 429
    nodes.chain.send(SIGNED)
    assert sends(nodes.servers[1]) == [1]


@pytest.mark.parametrize(
    "fault", [{"drop": True}, {"hang": 3.0}, {"status": 502}, {"body": "<html>"}]
)
def test_send__node_may_have_it__nowhere_else(nodes, fault):
    reopen(nodes, timeout_secs=0.5)
    for name, value in fault.items():
        setattr(nodes.servers[0], name, value)
    with pytest.raises(ChainUnavailable):
        nodes.chain.send(SIGNED)
    assert sends(*nodes.servers) == [1, 0]


def test_send__redirect__is_not_followed(nodes):
    nodes.servers[0].status = 307
    nodes.servers[0].headers = {"Location": nodes.servers[1].url}
    with pytest.raises(ChainUnavailable, match="HTTP 307"):
        nodes.chain.send(SIGNED)
    assert sends(nodes.servers[1]) == [0]


def test_send__node_that_rests__is_not_the_first(nodes):
    nodes.servers[0].drop = True
    nodes.read()
    nodes.servers[0].drop = False
    nodes.chain.send(SIGNED)
    assert sends(*nodes.servers) == [0, 1]


def test_send__own_endpoint__and_no_other(nodes, relay):
    relay.answers["eth_sendRawTransaction"] = SIGNED.tx_hash
    reopen(nodes, send_url=relay.url)
    nodes.read()
    nodes.chain.send(SIGNED)
    assert sends(relay, *nodes.servers) == [1, 0, 0]
    assert len(relay.requests) == 1  # it is read from by nobody


PRIVATE_FAULTS = [
    ({"drop": True}, ChainUnavailable),
    ({"hang": 3.0}, ChainUnavailable),
    ({"trickle": 0.1}, ChainUnavailable),
    ({"status": 429}, Throttled),
    ({"status": 500}, ChainUnavailable),
    ({"body": "{}"}, CorruptAnswer),
    ({"answers": {"eth_sendRawTransaction": {"code": 1, "message": "insufficient funds"}}},
     SendRefused),
    ({"answers": {"eth_sendRawTransaction": {"code": 1, "message": "who knows"}}},
     ChainUnavailable),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "kind"), PRIVATE_FAULTS)
def test_send__private_endpoint_fails__nothing_falls_back(nodes, relay, fault, kind):
    for name, value in fault.items():
        setattr(relay, name, value)
    reopen(nodes, send_url=relay.url, timeout_secs=0.5)
    for _ in range(3):
        with pytest.raises(kind):
            nodes.chain.send(SIGNED)
    assert sends(*nodes.servers) == [0, 0]


def test_send__private_endpoint_is_down__nothing_falls_back(nodes):
    reopen(nodes, send_url=CLOSED)
    with pytest.raises(Unreached):
        nodes.chain.send(SIGNED)
    assert sends(*nodes.servers) == [0, 0]


def test_send__public_mode__falls_back_when_not_a_byte_has_left(nodes):
    reopen(nodes, send_url=CLOSED, send_private=False)
    nodes.chain.send(SIGNED)
    assert sends(*nodes.servers) == [1, 0]


def test_send__public_mode_and_an_endpoint_that_may_have_it__nowhere_else(nodes, relay):
    relay.drop = True
    reopen(nodes, send_url=relay.url, send_private=False)
    with pytest.raises(ChainUnavailable):
        nodes.chain.send(SIGNED)
    assert sends(*nodes.servers) == [0, 0]


# Is it known?


@pytest.mark.parametrize("who", [0, 1, 2, None])
def test_known__any_node_or_the_relay_has_it(nodes, relay, who):
    reopen(nodes, send_url=relay.url)
    everybody = [*nodes.servers, relay]
    for i, server in enumerate(everybody):
        server.answers["eth_getTransactionByHash"] = {"hash": "0x"} if i == who else None
    assert nodes.chain.known(SIGNED.tx_hash) is (who is not None)


def test_known__one_node_down_the_other_denies__is_not_known(nodes):
    nodes.servers[0].drop = True
    nodes.servers[1].answers["eth_getTransactionByHash"] = None
    assert nodes.chain.known(SIGNED.tx_hash) is False


def test_known__no_node_answers__is_no_denial(nodes, relay):
    relay.answers["eth_getTransactionByHash"] = None  # many relays know nothing
    reopen(nodes, send_url=relay.url)
    nodes.servers[0].drop = True
    nodes.servers[1].answers["eth_getTransactionByHash"] = {"code": 1, "message": "busy"}
    with pytest.raises(ChainUnavailable):
        nodes.chain.known(SIGNED.tx_hash)


# Other calls go to one node, and to the next when it fails


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 429}, {"body": "[]"}])
def test_simulate__first_node_fails__the_next(nodes, fault):
    for name, value in fault.items():
        setattr(nodes.servers[0], name, value)
    nodes.servers[1].answers["eth_call"] = "0x"
    assert nodes.chain.simulate("0x" + "11" * 20, "0x" + "22" * 20, b"\x01", 10**6) == 200_000


def test_simulate__node_says_too_many_requests__the_next(nodes):
    nodes.servers[0].answers["eth_call"] = {"code": -32005, "message": "slow down"}
    nodes.servers[1].answers["eth_call"] = "0x"
    assert nodes.chain.simulate("0x" + "11" * 20, "0x" + "22" * 20, b"\x01", 10**6) == 200_000
