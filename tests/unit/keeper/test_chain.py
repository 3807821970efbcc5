# SPDX-License-Identifier: MIT
"""The chain's edge against a node that answers as told."""

from __future__ import annotations

import random
import sys

import pytest
from eth_abi.abi import encode

from keeper.chain import Chain, Node, Signed
from keeper.deadline import Deadline
from keeper.errors import (
    CallRefused,
    ChainUnavailable,
    CorruptAnswer,
    DeadlineExceeded,
    NodeBehind,
    NonceTaken,
    SendRefused,
    Throttled,
    Unsendable,
    WrongChain,
)
from keeper.rpc import revert_reason
from keeper.signer import signer_from_key
from tests.keeper_world import KEEPER, NOW, VAULT
from tests.rpc_server import STATE, Server, block, block_hash, lens_answer

LENS = "0x" + "11" * 20
REVERT = "0x08c379a0" + encode(["string"], ["book: cooldown"]).hex()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def chain(server):
    chain = make(server.url)
    yield chain
    chain.close()


def make(url, **changes):
    node = {"rpc_url": url, "chain_id": 31337, "lens": LENS, "timeout_secs": 0.5, "attempts": 2}
    return Chain(Node(**(node | changes)), wall=lambda: NOW + 5.0, jitter=random.Random(1))


def read(chain, watched=()):
    return chain.read([VAULT], KEEPER, list(watched), Deadline(10.0))


def test_read__good_node__one_request(server, chain):
    reading = read(chain, ["0x" + "22" * 32])
    assert reading.snapshots[0].vault == STATE.vault
    assert (reading.nonce, reading.balance, reading.block.number) == (5, 16, 100)
    assert reading.receipts == {"0x" + "22" * 32: None}
    assert (len(server.requests), chain.requests) == (1, 1)


def test_read__sixty_vaults__pages_in_one_request(server, chain):
    reading = chain.read([VAULT] * 60, KEEPER, [], Deadline(10.0))
    assert len(reading.snapshots) == 60
    assert len(server.requests) == 1
    assert sum(call["method"] == "eth_call" for call in server.requests[0]) == 3


def test_read__head_moves_between_the_calls__read_again_by_hash(server, chain):
    """The lens is a block further than the header; then all is read at that block by its hash."""

    def moves(params):
        server.head = 101
        server.answers.pop("eth_call")
        return server.call(params)

    server.answers["eth_call"] = moves
    assert read(chain).block.number == 101
    assert [params[1] for params in server.calls("eth_call")] == [
        "latest",
        {"blockHash": block_hash(101), "requireCanonical": True},
    ]


def test_read__node_takes_no_hash__by_number_and_remembered(server, chain):
    moved = []

    def call(params):
        if isinstance(params[1], dict):
            return {"code": -32700, "message": 'Cannot wrap a "object" as a json-rpc type'}
        if not moved:
            moved.append(1)
            server.head = 101
        return server.call(params)

    server.answers["eth_call"] = call
    assert read(chain).block.number == 101
    assert server.calls("eth_call")[-1][1] == hex(101)
    moved.clear()
    server.head = 100
    server.requests.clear()
    server.before = lambda number: setattr(server, "head", 101)
    read(chain)
    assert not any(isinstance(params[1], dict) for params in server.calls("eth_call"))


def test_read__head_always_elsewhere__refused(server, chain):
    server.answers["eth_call"] = lens_answer(number=7)
    with pytest.raises(ChainUnavailable, match="head moved"):
        read(chain)


BROKEN = [
    ({"eth_chainId": "0x1"}, WrongChain, "on chain 1, expected 31337", 1),
    ({"eth_call": "0x"}, WrongChain, "no VaultLens at 0x1111", 1),
    ({"eth_call": "0x1234"}, CorruptAnswer, "bytes from the lens", 1),
    ({"eth_call": {"code": 3, "message": "execution reverted"}}, CorruptAnswer, "lens reverts", 1),
    ({"eth_call": {"code": -32601, "message": "nope"}}, ChainUnavailable, "refuses the lens", 2),
    ({"eth_chainId": "31337"}, CorruptAnswer, "hex number", 1),
    ({"eth_getBlockByNumber": None}, ChainUnavailable, "no such block", 2),
    ({"eth_getBalance": {"code": -32005, "message": "limit"}}, Throttled, "limits requests", 2),
]


@pytest.mark.parametrize(("answers", "kind", "words", "requests"), BROKEN)
def test_read__broken_answer__one_clear_line(server, chain, answers, kind, words, requests):
    server.answers |= answers
    with pytest.raises(kind) as fault:
        read(chain)
    assert words in str(fault.value)
    assert "\n" not in str(fault.value)
    assert len(server.requests) == requests


@pytest.mark.parametrize(
    ("at", "words"),
    [(NOW - 200, "head is 205 s old, allowed are 120 s"), (NOW + 100, "95 s in the future")],
)
def test_read__head_out_of_time__behind(server, chain, at, words):
    server.at = at
    with pytest.raises(NodeBehind, match=words):
        read(chain)


def test_read__chain_in_its_own_time__age_does_not_matter(server):
    chain = make(server.url, head_max_age_secs=None)
    server.at = 1_000
    assert read(chain).block.at == 1_000
    chain.close()


def test_read__head_goes_back__behind(server, chain):
    read(chain)
    server.head = 99
    with pytest.raises(NodeBehind, match="from 100 to 99"):
        read(chain)


def test_read__no_base_fee__refused(server, chain):
    server.answers["eth_getBlockByNumber"] = lambda _: block(100) | {"baseFeePerGas": None}
    with pytest.raises(WrongChain, match="no base fee"):
        read(chain)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (429, "slow down", Throttled, "limits the rate"),
        (502, "bad gateway", ChainUnavailable, "answers HTTP 502"),
        (200, "<html>", ChainUnavailable, "does not speak JSON-RPC"),
        (200, "[null]", ChainUnavailable, "does not speak JSON-RPC"),
        (200, "[]", CorruptAnswer, "got 0 answers"),
        (200, '{"error": {"code": 1, "message": "no"}}', ChainUnavailable, "refuses batches: no"),
    ],
)
def test_read__broken_transport__one_clear_line(server, chain, status, body, kind, words):
    server.status, server.body = status, body
    with pytest.raises(kind, match=words):
        read(chain)


def test_read__answer_nested_too_deep__one_clear_line(server, chain):
    """With Python's own limit, as a keeper has it; libraries of the tests raise it."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000)
    server.status, server.body = 200, "[" * 100_000
    try:
        with pytest.raises(ChainUnavailable, match="does not speak JSON-RPC"):
            read(chain)
    finally:
        sys.setrecursionlimit(limit)


def test_read__nobody_there__tries_again_then_says_so():
    chain = make("http://127.0.0.1:9")
    with pytest.raises(ChainUnavailable, match=r"the node at 127\.0\.0\.1:9 cannot be reached"):
        read(chain)
    assert chain.requests == 2
    chain.close()


def test_read__silent_node__time_out(server, chain):
    server.hang = 2.0
    with pytest.raises(ChainUnavailable, match=r"no whole answer in 0\.5 s"):
        read(chain)


def test_read__recovers_within_its_attempts(server, chain):
    server.status = 503
    server.before = lambda number: setattr(server, "status", 200 if number > 1 else 503)
    assert read(chain).block.number == 100


def test_read__deadline_over__asks_nothing(server, chain):
    with pytest.raises(DeadlineExceeded):
        chain.read([VAULT], KEEPER, [], Deadline(0.0))
    assert server.requests == []


def test_place__key_in_the_url__is_not_shown():
    chain = make("http://127.0.0.1:9/v2/SECRET?key=SECRET")
    with pytest.raises(ChainUnavailable) as fault:
        read(chain)
    assert "SECRET" not in str(fault.value)
    chain.close()


def test_send__once_whatever_happens(server, chain):
    signed = Signed(tx_hash="0x" + "33" * 32, raw=b"\x02")
    server.status = 503
    with pytest.raises(ChainUnavailable):
        chain.send(signed)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        # geth and Anvil
        ("nonce too low", NonceTaken),
        ("nonce too low: next nonce 5, tx nonce 4", NonceTaken),
        ("insufficient funds for gas * price + value", SendRefused),
        ("Insufficient funds for gas * price + value", SendRefused),
        ("transaction underpriced", SendRefused),
        ("replacement transaction underpriced", SendRefused),
        ("intrinsic gas too low", SendRefused),
        ("exceeds block gas limit", SendRefused),
        ("max fee per gas less than block base fee", SendRefused),
        ("tx fee (9.00 ether) exceeds the configured cap (1.00 ether)", SendRefused),
        ("invalid sender", SendRefused),
        # Ganache
        ("the tx doesn't have the correct nonce. account has nonce of: 5 tx has nonce of: 4",
         NonceTaken),
        ("sender doesn't have enough funds to send tx.", SendRefused),
        # says nothing about whether it has been forwarded
        ("internal error", ChainUnavailable),
        ("request timed out", ChainUnavailable),
        ("txpool is full", ChainUnavailable),
        ("unknown account", ChainUnavailable),
    ],
)  # fmt: skip
def test_send__node_says_no__told_apart(server, chain, answer, kind):
    server.answers["eth_sendRawTransaction"] = {"code": -32000, "message": answer}
    with pytest.raises(kind) as fault:
        chain.send(Signed(tx_hash="0x" + "33" * 32, raw=b"\x02"))
    assert type(fault.value) is kind
    assert answer in str(fault.value)


def test_send__another_hash__corrupt(server, chain):
    server.answers["eth_sendRawTransaction"] = "0x" + "44" * 32
    with pytest.raises(CorruptAnswer):
        chain.send(Signed(tx_hash="0x" + "33" * 32, raw=b"\x02"))


@pytest.mark.parametrize("words", ["already known", "ALREADY_EXISTS: already known",
                                   "known transaction: 0x12"])  # fmt: skip
def test_send__already_known__is_well(server, chain, words):
    server.answers["eth_sendRawTransaction"] = {"code": -32000, "message": words}
    chain.send(Signed(tx_hash="0x" + "33" * 32, raw=b"\x02"))


@pytest.mark.parametrize("code", [None, "-32000", True, [1]])
def test_batch__code_that_is_no_number__is_still_an_error(server, chain, code):
    server.answers["eth_getBalance"] = {"code": code, "message": "odd"}
    with pytest.raises(ChainUnavailable, match="refuses a read: odd"):
        read(chain)


REFUSALS = [
    # geth and Anvil
    {"code": 3, "message": "execution reverted: book: cooldown", "data": REVERT},
    # Ganache, eth_call
    {
        "code": -32000,
        "message": "VM Exception while processing transaction: revert book: cooldown",
        "data": REVERT,
    },
    # Ganache, eth_estimateGas
    {"code": -32000, "message": "VM Exception ... revert", "data": {"result": REVERT}},
    # a node that keeps the data to itself
    {"code": -32000, "message": "execution reverted: book: cooldown"},
]


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas"])
def test_simulate__refused__the_reason(server, chain, method, refusal):
    server.answers["eth_call"] = "0x"
    server.answers[method] = refusal
    with pytest.raises(CallRefused) as refused:
        chain.simulate(KEEPER, LENS, b"\x01", 10**6)
    assert refused.value.reason == "book: cooldown"


def test_simulate__good__gas_with_one_request(server, chain):
    server.answers["eth_call"] = "0x"
    assert chain.simulate(KEEPER, LENS, b"\x01", 10**6) == 200_000
    assert len(server.requests) == 1


def asked(server):
    """Return the calls of the last request, each with the gas it was given."""
    return [
        (call["method"], int(call["params"][0].get("gas", "0x0"), 16))
        for call in server.requests[-1]
    ]


def test_simulate__shape_seen_before__tried_with_what_was_enough(server, chain):
    server.answers["eth_call"] = "0x"
    chain.simulate(KEEPER, LENS, b"abcd1", 10**6)
    server.answers["eth_estimateGas"] = REFUSALS[0]
    assert chain.simulate(KEEPER, LENS, b"abcd2", 10**6) == 200_000
    assert asked(server) == [("eth_call", 10**6), ("eth_call", 200_000)]
    assert len(server.requests) == 2


@pytest.mark.parametrize(("to", "data"), [(LENS, b"abcd11"), (LENS, b"abce1"), (KEEPER, b"abcd1")])
def test_simulate__another_shape__estimated(server, chain, to, data):
    server.answers["eth_call"] = "0x"
    chain.simulate(KEEPER, LENS, b"abcd1", 10**6)
    chain.simulate(KEEPER, to, data, 10**6)
    assert asked(server) == [("eth_call", 10**6), ("eth_estimateGas", 0)]


def test_simulate__no_longer_enough__estimated_anew_and_kept(server, chain):
    def takes(gas):
        server.answers["eth_estimateGas"] = hex(gas)
        server.answers["eth_call"] = lambda params: (
            "0x" if int(params[0]["gas"], 16) >= gas else {"code": 3, "message": "out of gas"}
        )

    found = []
    for gas in (200_000, 300_000, 250_000):
        takes(gas)
        found.append(chain.simulate(KEEPER, LENS, b"abcd1", 10**6))
    assert found == [200_000, 300_000, 300_000]


def test_simulate__shape_seen_before_would_revert__the_reason(server, chain):
    server.answers["eth_call"] = "0x"
    chain.simulate(KEEPER, LENS, b"abcd1", 10**6)
    server.answers["eth_call"] = REFUSALS[0]
    with pytest.raises(CallRefused, match="cooldown"):
        chain.simulate(KEEPER, LENS, b"abcd1", 10**6)
    assert len(server.requests) == 2


def test_simulate__more_gas_than_allowed__not_taken_for_enough(server, chain):
    server.answers["eth_call"] = "0x"
    assert chain.simulate(KEEPER, LENS, b"abcd1", 199_999) == 200_000
    server.answers["eth_estimateGas"] = hex(150_000)
    assert chain.simulate(KEEPER, LENS, b"abcd1", 199_999) == 150_000


@pytest.mark.parametrize("words", ["BlockOutOfRangeError", "gas required exceeds allowance (7)"])
def test_simulate__node_cannot__is_no_revert_and_no_broken_node(server, chain, words):
    server.answers["eth_call"] = {"code": -32602, "message": words}
    with pytest.raises(Unsendable, match="cannot simulate") as refused:
        chain.simulate(KEEPER, LENS, b"\x01", 10**6)
    assert not isinstance(refused.value, CallRefused)


def test_simulate__too_many_requests__throttled(server, chain):
    server.answers["eth_call"] = {"code": -32005, "message": "slow down"}
    with pytest.raises(Throttled):
        chain.simulate(KEEPER, LENS, b"\x01", 10**6)


def test_faults__of_contract_and_node__counted_once_by_class(server, chain):
    server.answers["eth_call"] = REFUSALS[0]
    with pytest.raises(CallRefused):
        chain.simulate(KEEPER, LENS, b"\x01", 10**6)
    server.answers["eth_sendRawTransaction"] = {"code": -32000, "message": "nonce too low"}
    with pytest.raises(NonceTaken):
        chain.send(Signed(tx_hash="0x" + "44" * 32, raw=b"\x01"))
    server.status = 502
    for ask in (chain.known, chain.receipt):
        with pytest.raises(ChainUnavailable):
            ask("0x" + "44" * 32)
    with pytest.raises(ChainUnavailable):
        read(chain)  # in two attempts
    assert chain.faults == {"CallRefused": 1, "NonceTaken": 1, "ChainUnavailable": 4}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big"), "panic 0x11"),
        (bytes.fromhex("12345678"), "0x12345678"),
        (bytes.fromhex("08c379a0ff"), "0x08c379a0ff"),
        (b"", ""),
    ],
)
def test_revert_reason__other_shapes(payload, reason):
    assert revert_reason(payload, "execution reverted") == reason


def test_signer__fills_every_field_and_signs_for_the_chain():
    from eth_account import Account
    from eth_account.typed_transactions import TypedTransaction
    from hexbytes import HexBytes

    from keeper.chain import Envelope

    key = "0x" + "01" * 32
    signer = signer_from_key(key, 31337)
    signed = signer.sign(
        Envelope(to=LENS, calldata=b"\x01", nonce=4, gas=10**5, max_fee=9, priority_fee=2)
    )
    assert Account.recover_transaction(signed.raw).lower() == signer.address
    fields = TypedTransaction.from_bytes(HexBytes(signed.raw)).as_dict()
    assert (fields["chainId"], fields["nonce"], fields["gas"]) == (31337, 4, 10**5)
    assert (fields["maxFeePerGas"], fields["maxPriorityFeePerGas"]) == (9, 2)
