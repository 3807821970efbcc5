# SPDX-License-Identifier: MIT
"""
JSON-RPC in words: what is asked, what an answer is, what an error of a node means.

Whatever a node says in prose becomes one line here, without the keys of the URLs it was asked by.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from keeper.errors import (
    ChainUnavailable,
    CorruptAnswer,
    Fault,
    NonceTaken,
    SendRefused,
    Throttled,
)

Call = tuple[str, list[Any]]  # method and parameters
Words = Callable[[object], str]  # a node's prose in one line

ERROR_STRING: Final = bytes.fromhex("08c379a0")  # Error(string)
PANIC: Final = bytes.fromhex("4e487b71")  # Panic(uint256)
LONGEST_WORDS: Final = 300  # characters of a node's prose
SHORTEST_KEY: Final = 6  # characters of a path; "v2" or "rpc" is none
KNOWN_WORDS: Final = ("already known", "known transaction", "already imported")
NONCE_WORDS: Final = ("nonce too low", "have the correct nonce")  # geth and Anvil, Ganache
REFUSED_WORDS: Final = (  # a node that says one of these has not taken the transaction
    "insufficient funds",
    "enough funds",
    "underpriced",
    "intrinsic gas",
    "block gas limit",
    "gas limit is too high",
    "less than block base fee",
    "less than the block's basefee",
    "max priority fee per gas higher",
    "exceeds the configured cap",
    "invalid sender",
    "invalid signature",
    "invalid chain id",
    "transaction type not supported",
)
REVERT_WORDS: Final = ("revert", "invalid opcode", "out of gas")
RATE_WORDS: Final = ("rate limit", "too many requests")


class RpcFault(Exception):
    """The error object of one answer."""

    def __init__(self, code: int, message: str, payload: bytes | None) -> None:
        self.code, self.message, self.payload = code, message, payload
        super().__init__(f"{message} ({code})")

    @property
    def reverted(self) -> bool:
        """Return whether the EVM said no, rather than the node."""
        return self.payload is not None or self.says(REVERT_WORDS)

    @property
    def throttles(self) -> bool:
        """Return whether the node asks for fewer requests."""
        return self.code == -32005 or self.says(RATE_WORDS)

    def says(self, words: Sequence[str]) -> bool:
        """Return whether one of these is in its message."""
        said = self.message.lower()
        return any(word in said for word in words)


# Prose


def secrets_of(urls: Iterable[str]) -> frozenset[str]:
    """Return what in URLs may be a key: user, password, query and longer parts of the path."""
    found: set[str] = set()
    for url in urls:
        parts = urlsplit(url)
        found |= {part for part in (parts.username, parts.password) if part}
        found |= {value for _, value in parse_qsl(parts.query) if value}
        found |= {part for part in parts.path.split("/") if len(part) >= SHORTEST_KEY}
        found |= {parts.query} if parts.query else set()
    return frozenset(found | {unquote(part) for part in found})


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return a text with a mark where a secret stood, also in JSON's spelling."""
    for secret in sorted(secrets, key=len, reverse=True):
        for spelling in (secret, json.dumps(secret)[1:-1]):
            text = text.replace(spelling, "[redacted]")
    return text


def one_line(text: object, secrets: Iterable[str] = ()) -> str:
    """Return a node's prose as one printable line of bounded length, without secrets."""
    line = redacted(" ".join(str(text).split()), secrets)
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= LONGEST_WORDS else line[:LONGEST_WORDS] + " ..."


# Requests and answers


def encode_calls(calls: Sequence[Call]) -> bytes:
    """Return one call as an object and several as a batch, numbered from 0."""
    asked = [
        {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        for number, (method, params) in enumerate(calls)
    ]
    return json.dumps(asked[0] if len(asked) == 1 else asked).encode()


def decode_answers(body: bytes, count: int, words: Words) -> list[Any]:
    """
    Return results, or an `RpcFault` where the node refused, in the order of the calls.

    Raises
    ------
    ValueError
        If it is no JSON-RPC.
    CorruptAnswer
        If answers are missing or belong to other calls.
    """
    try:
        found = json.loads(body)
    except RecursionError as fault:
        raise ValueError("nested too deep") from fault
    answers = found if isinstance(found, list) else [found]
    if not all(isinstance(answer, dict) for answer in answers):
        raise ValueError("an answer is not an object")
    if count > 1 and not isinstance(found, list):
        raise refused_batch(found, words)
    if len(answers) != count:
        raise CorruptAnswer(f"asked {count} calls, got {len(answers)} answers")
    by_id = {answer.get("id"): answer for answer in answers if _is_id(answer.get("id"))}
    if count == 1 and answers[0].get("error") is not None:
        by_id = {0: answers[0]}  # gateways leave out the id when they refuse
    if by_id.keys() != set(range(count)):
        raise CorruptAnswer("the answers belong to other calls")
    return [_outcome(by_id[number], words) for number in range(count)]


def _is_id(found: object) -> bool:
    return isinstance(found, int) and not isinstance(found, bool)


def refused_batch(answer: dict[str, Any], words: Words) -> ChainUnavailable:
    """Return what one error object for a whole batch means."""
    fault = answer.get("error")
    message = words(fault.get("message", "")) if isinstance(fault, dict) else "no batch"
    if "rate" in message.lower() or "limit" in message.lower():
        return Throttled(f"limits requests: {message}")
    return ChainUnavailable(f"refuses batches: {message}")


def _outcome(answer: dict[str, Any], words: Words) -> Any:
    fault = answer.get("error")
    if fault is None:
        return answer.get("result")
    if not isinstance(fault, dict):
        return RpcFault(0, words(fault), None)
    payload = _revert_payload(fault.get("data"))
    code = fault.get("code")
    number = code if isinstance(code, int) else 0
    return RpcFault(number, words(fault.get("message", "")), payload)


def _revert_payload(found: Any) -> bytes | None:
    """Return revert data: a hex string, or `result` of an object (Ganache's gas estimate)."""
    if isinstance(found, dict):
        found = found.get("result")
    if not isinstance(found, str) or not found.startswith("0x"):
        return None
    try:
        return bytes.fromhex(found[2:])
    except ValueError:
        return None


def answered(answer: Any) -> Any:
    """Return an answer that is no refusal."""
    if isinstance(answer, RpcFault):
        check_rate(answer)
        raise ChainUnavailable(f"the node refuses a read: {answer.message}")
    return answer


def check_rate(fault: RpcFault) -> None:
    """Raise `Throttled` if that is what a refusal means."""
    if fault.throttles:
        raise Throttled(f"the node limits requests: {fault.message}")


def _kind(answer: object) -> str:
    """Return what an answer is without repeating it: a gateway may say our key in it."""
    size = f" of {len(answer)} letters" if isinstance(answer, str) else ""
    return f"{type(answer).__name__}{size}"


def number(answer: Any) -> int:
    """Return the hex number that an answer is."""
    if not isinstance(answer, str) or not answer.startswith("0x"):
        raise CorruptAnswer(f"expected a hex number, was {_kind(answer)}")
    try:
        return int(answer, 16)
    except ValueError as fault:
        raise CorruptAnswer(f"expected a hex number, was {_kind(answer)}") from fault


def digest(answer: Any) -> str:
    """Return the 32 bytes, in lower-case hex, that an answer is: a hash."""
    if not isinstance(answer, str) or not re.fullmatch("0x[0-9a-fA-F]{64}", answer):
        raise CorruptAnswer(f"expected a hash, was {_kind(answer)}")
    return answer.lower()


def octets(answer: Any) -> bytes:
    """Return the hex bytes that an answer of the lens is."""
    if not isinstance(answer, str) or not answer.startswith("0x"):
        raise CorruptAnswer("expected hex bytes from the lens")
    try:
        return bytes.fromhex(answer[2:])
    except ValueError as fault:
        raise CorruptAnswer("expected hex bytes from the lens") from fault


# What errors mean


def revert_reason(payload: bytes | None, message: str = "") -> str:
    """
    Return the reason in revert data: text, a panic code, or a selector in hex.

    Without data the node's own words have to do. One line in any case.
    """
    if payload:
        if payload[:4] == ERROR_STRING:
            try:
                return one_line(decode(["string"], payload[4:])[0])
            except (DecodingError, UnicodeDecodeError):
                return one_line("0x" + payload.hex())
        if payload[:4] == PANIC and len(payload) == 36:
            return f"panic 0x{payload[-1]:02x}"
        return one_line("0x" + payload.hex())
    for prefix in ("execution reverted: ", "VM Exception while processing transaction: revert "):
        if message.startswith(prefix):
            return message.removeprefix(prefix)
    words = message.lower()
    return "" if words in {"execution reverted", "revert"} else message


def not_sent(fault: RpcFault) -> Fault:
    """
    Return what an error at a send means.

    A gateway may report a fault of its own after it has forwarded the bytes, so what is not
    known to be a refusal is none.
    """
    if fault.says(NONCE_WORDS):
        return NonceTaken(f"the node refuses the transaction: {fault.message}")
    if fault.says(REFUSED_WORDS):
        return SendRefused(f"the node refuses the transaction: {fault.message}")
    return ChainUnavailable(f"the node may have the transaction or not: {fault.message}")
