# SPDX-License-Identifier: MIT
"""A signer in a process of its own: what it signs is what was asked, or it is not sent."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import pytest
from eth_account import Account

from keeper.chain import Envelope
from keeper.doctor import Mark, examine_signer
from keeper.errors import SignerFault
from keeper.local_node import LocalNode
from keeper.remote_signer import RemoteSigner
from keeper.signer import signer_from_key
from tests.keeper_node import keeper_key, signer_process

KEY = keeper_key()
ADDRESS = Account.from_key(KEY).address.lower()
OTHER = "0x" + "11" * 32
TO = "0x" + "ab" * 20
ENVELOPE = Envelope(
    to=TO, calldata=bytes(range(256)), nonce=7, gas=300_000, max_fee=3 * 10**9, priority_fee=10**9
)


@pytest.fixture(scope="module")
def processes():
    with signer_process("web3signer") as web3signer, signer_process("clef") as clef:
        yield {"web3signer": web3signer, "clef": clef}


@pytest.fixture
def told(processes):
    """Return the URL of a signer that does something wrong."""
    return lambda kind, **orders: f"{processes[kind]}?{urlencode(orders)}"


@pytest.fixture
def signer():
    made = []

    def make(url, address=ADDRESS, timeout_secs=5.0):
        made.append(RemoteSigner(url, address, 31337, timeout_secs))
        return made[-1]

    yield make
    for remote in made:
        remote.close()


@pytest.mark.parametrize("kind", ["web3signer", "clef"])
def test_sign__as_either_speaks__the_bytes_of_a_local_key(kind, signer, told):
    local, remote = signer_from_key(KEY, 31337), signer(told(kind))
    for envelope in (ENVELOPE, replace(ENVELOPE, nonce=0, priority_fee=0, calldata=b"")):
        assert remote.sign(envelope) == local.sign(envelope)
    assert remote.accounts() == [ADDRESS]
    found = examine_signer(remote)
    assert (found.mark, found.found) == (Mark.GOOD, f"has account {ADDRESS}")


def test_sign__anvil_with_its_own_account__the_bytes_of_a_local_key(signer):
    with LocalNode.start("anvil", chain_id=31337) as node:
        remote = signer(node.url)
        signed = remote.sign(ENVELOPE)
        assert ADDRESS in remote.accounts()
        remote._method = "account_signTransaction"  # it finds the other name
        assert remote.sign(ENVELOPE) == signed
    assert signed == signer_from_key(KEY, 31337).sign(ENVELOPE)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("chainId=0x1", "chain id is 1, asked was 31337"),
        ("nonce=0x8", "nonce is 8, asked was 7"),
        ("maxPriorityFeePerGas=0x1", "priority fee is 1, asked was 1000000000"),
        ("maxFeePerGas=0xffffffffff", "fee cap is 1099511627775, asked was 3000000000"),
        ("gas=0x5208", "gas is 21000, asked was 300000"),
        ("to=0x" + "cd" * 20, "receiver is 0x" + "cd" * 20),
        ("value=0x1", "value is 1, asked was 0"),
        ("data=0x01", "data is 0x01, asked was 0x000102"),
        ("accessList=1", "access list is"),
        ("legacy=1", "the transaction is not of type 2"),
        (f"key={OTHER}", f"with the key of {Account.from_key(OTHER).address.lower()}, not of"),
        ("raw=0x02c0", "the transaction has 0 fields"),
        ("raw=0x02ff", "the bytes are no transaction"),
        ("raw=0x02", "the bytes are no transaction"),
    ],
)
def test_sign__something_else__refused_in_words(order, words, signer, told):
    with pytest.raises(SignerFault) as fault:
        signer(told("web3signer", **dict([order.split("=")]))).sign(ENVELOPE)
    assert "signs something else: " in str(fault.value)
    assert words in str(fault.value)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("kind", "orders", "words"),
    [
        ("clef", {"reject": "person"}, "refuses to sign: Request denied"),
        ("web3signer", {"reject": "lines", "status": 400}, "refuses to sign: no way"),
        ("web3signer", {"raw": "none"}, "answers with no signed transaction"),
        ("web3signer", {"hang": 1}, "gives no whole answer in 0.5 s"),
    ],
)
def test_sign__refused_or_silent__one_line_without_secrets(kind, orders, words, signer, told):
    with pytest.raises(SignerFault) as fault:
        signer(told(kind, **orders), timeout_secs=0.5 if "hang" in orders else 5.0).sign(ENVELOPE)
    assert str(fault.value).startswith("the signer at 127.0.0.1:")
    assert words in str(fault.value)
    assert "\n" not in str(fault.value)
    assert "s3cr3t" not in str(fault.value)


def test_sign__wrong_account__refused_and_the_doctor_says_which_there_are(signer, told):
    other, url = Account.from_key(OTHER).address.lower(), told("web3signer")
    with pytest.raises(SignerFault, match="refuses to sign: No signer for that address"):
        signer(url, other).sign(ENVELOPE)
    found = examine_signer(signer(url, other))
    assert (found.mark, found.found) == (Mark.BAD, f"has no account {other}, it has {ADDRESS}")


def test_sign__nobody_there__one_line(signer):
    nobody = signer("http://127.0.0.1:9")
    with pytest.raises(SignerFault, match=r"the signer at 127\.0\.0\.1:9 cannot be reached"):
        nobody.sign(ENVELOPE)
    assert examine_signer(nobody).mark is Mark.BAD
