# SPDX-License-Identifier: MIT
"""
A key that another process keeps: Web3Signer, Clef, or a node with accounts, by JSON-RPC.

`eth_signTransaction` answers with the bytes (Web3Signer, Anvil) or with an object that has them in
`raw` (geth); Clef calls the same `account_signTransaction`. Whatever comes back is decoded and
every field compared with what was asked, the key included, before it counts as signed.
"""

from __future__ import annotations

import random
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

import rlp
from eth_account import Account
from eth_utils.crypto import keccak

from keeper.chain import Envelope, Signed
from keeper.endpoint import Endpoint, Patience, place_of
from keeper.errors import Fault, SignerFault
from keeper.rpc import RpcFault, decode_answers, secrets_of
from keeper.snapshot import Address
from keeper.wire import Answer, Wire

METHODS: Final = ("eth_signTransaction", "account_signTransaction")
LISTS: Final = ("eth_accounts", "account_list")
UNKNOWN_METHOD: Final = -32601
TYPE: Final = b"\x02"  # EIP-1559
FIELDS: Final = (
    "chain id", "nonce", "priority fee", "fee cap", "gas", "receiver", "value", "data",
    "access list",
)  # fmt: skip
NUMBERS: Final = 5  # so many of them, from the left, are numbers; and `value`


class RemoteSigner:
    """
    Signs with the key of one account of a signer.

    Parameters
    ----------
    url : str
        May hold a password; messages name host and port only.
    timeout_secs : float
        For an answer; a signer that asks a person takes as long as the person.
    """

    def __init__(self, url: str, address: Address, chain_id: int, timeout_secs: float) -> None:
        self.address = address
        self.place = place_of(url).replace("the node at", "the signer at")
        self._chain_id = chain_id
        self._method = METHODS[0]
        self._wire = Wire()
        patience = Patience(
            timeout_secs=timeout_secs,
            requests_a_sec=None,
            monotonic=time.monotonic,
            jitter=random.Random(),
        )
        self._endpoint = Endpoint(url, patience, secrets_of([url]))

    def __repr__(self) -> str:
        return f"RemoteSigner({self.address})"

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()

    def sign(self, envelope: Envelope) -> Signed:
        """
        Let the signer sign.

        Raises
        ------
        SignerFault
            If it cannot be reached, refuses, or signs something else; in words.
        """
        answer = self._ask(METHODS, [self._request(envelope)])
        if isinstance(answer, RpcFault):
            raise SignerFault(f"{self.place} refuses to sign: {answer.message}")
        raw = _octets(answer)
        if raw is None:
            raise SignerFault(f"{self.place} answers with no signed transaction")
        wrong = self._difference(raw, envelope)
        if wrong is not None:
            raise SignerFault(f"{self.place} signs something else: {wrong}")
        return Signed(tx_hash="0x" + keccak(raw).hex(), raw=raw)

    def accounts(self) -> list[Address]:
        """
        Return the accounts that the signer says it has.

        Raises
        ------
        SignerFault
            If it does not say.
        """
        answer = self._ask(LISTS, [])
        if isinstance(answer, RpcFault):
            raise SignerFault(f"{self.place} does not list its accounts: {answer.message}")
        if not isinstance(answer, list) or not all(isinstance(each, str) for each in answer):
            raise SignerFault(f"{self.place} does not list its accounts")
        return [Address(each.lower()) for each in answer]

    def _request(self, envelope: Envelope) -> dict[str, str]:
        return {
            "from": self.address,
            "to": envelope.to,
            "gas": hex(envelope.gas),
            "maxFeePerGas": hex(envelope.max_fee),
            "maxPriorityFeePerGas": hex(envelope.priority_fee),
            "nonce": hex(envelope.nonce),
            "value": "0x0",
            "data": "0x" + envelope.calldata.hex(),
            "chainId": hex(self._chain_id),
        }

    def _ask(self, methods: tuple[str, str], params: list[Any]) -> Any:
        """Ask by the name that the signer knows; the other one first if it was right before."""
        first = METHODS.index(self._method)
        answer = self._post(methods[first], params)
        if isinstance(answer, RpcFault) and answer.code == UNKNOWN_METHOD:
            other = self._post(methods[1 - first], params)
            if isinstance(other, RpcFault) and other.code == UNKNOWN_METHOD:
                return other
            self._method = METHODS[1 - first]
            return other
        return answer

    def _post(self, method: str, params: list[Any]) -> Any:
        post = self._endpoint.post([(method, params)], float("inf"))
        (found,) = self._wire.post_all([post], 1, 0.0)
        if isinstance(found, Answer) and found.status >= HTTPStatus.BAD_REQUEST:
            with suppress(ValueError, TypeError, Fault):  # some refuse with a status, too
                return decode_answers(found.body, 1, self._endpoint.words)[0]
        try:
            return self._endpoint.answers(found, 1)[0]
        except Fault as fault:
            raise SignerFault(str(fault).replace("the node at", "the signer at")) from None

    def _difference(self, raw: bytes, envelope: Envelope) -> str | None:
        """Return what is signed and was not asked, or None."""
        asked = (
            self._chain_id, envelope.nonce, envelope.priority_fee, envelope.max_fee, envelope.gas,
            bytes.fromhex(envelope.to[2:]), 0, envelope.calldata, (),
        )  # fmt: skip
        try:
            if raw[:1] != TYPE:
                return "the transaction is not of type 2"
            signed = rlp.decode(raw[1:])
            found = [_field(place, value) for place, value in enumerate(signed[: len(FIELDS)])]
            if len(signed) != len(FIELDS) + 3:
                return f"the transaction has {len(signed)} fields"
            for name, has, wanted in zip(FIELDS, found, asked, strict=True):
                if has != wanted:
                    return f"{name} is {_words(has)}, asked was {_words(wanted)}"
            key = str(Account.recover_transaction(raw)).lower()
        except Exception:  # noqa: BLE001  # of whatever decodes it
            return "the bytes are no transaction"
        return None if key == self.address else f"with the key of {key}, not of {self.address}"


def _field(place: int, value: Any) -> Any:
    if place < NUMBERS or FIELDS[place] == "value":
        return int.from_bytes(value)
    return tuple(value) if isinstance(value, list) else bytes(value)


def _words(value: Any) -> str:
    if isinstance(value, bytes):
        text = "0x" + value.hex()
        return text if len(text) <= 42 else f"{text[:42]}..."
    return str(value)


def _octets(answer: Any) -> bytes | None:
    found = answer.get("raw") if isinstance(answer, dict) else answer
    try:
        return bytes.fromhex(found.removeprefix("0x")) if isinstance(found, str) else None
    except ValueError:
        return None
