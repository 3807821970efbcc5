# SPDX-License-Identifier: MIT
"""
Logs of the contracts, decoded by the ABIs that the package ships.

Works on raw words with eth-abi alone; where logs come from is the caller's affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from keeper import abi
from keeper.errors import CorruptAnswer

ADDRESS_BYTES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One log as a node gives it; `address` is lower-case hex."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    index: int  # in the block
    tx_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    A decoded log.

    `fields` holds integers, booleans, bytes, lower-case addresses, and mappings for structs.
    """

    contract: str
    name: str
    fields: Mapping[str, Any]
    log: Log

    def __getitem__(self, field: str) -> Any:
        return self.fields[field]

    def __str__(self) -> str:
        return f"block {self.log.block} log {self.log.index} {self.contract}.{self.name}"


def decode_logs(logs: Iterable[Log], contracts: Mapping[str, str]) -> list[Event]:
    """
    Return the events of `contracts` in chain order.

    Parameters
    ----------
    logs : iterable of Log
        Any order; logs of other addresses are skipped.
    contracts : mapping
        Lower-case address to name of the contract type, one of `keeper.abi.CONTRACTS`.

    Raises
    ------
    CorruptAnswer
        If a log of ours does not fit its ABI, or two logs stand at one place.
    """
    ours = sorted(
        (log for log in logs if log.address in contracts), key=lambda log: (log.block, log.index)
    )
    places = [(log.block, log.index) for log in ours]
    if len(set(places)) != len(places):
        raise CorruptAnswer("two logs stand at one place")
    return [decode_log(log, contracts[log.address]) for log in ours]


def decode_log(log: Log, contract: str) -> Event:
    """
    Return one event.

    Raises
    ------
    CorruptAnswer
        If the contract has no such event or the words do not fit it.
    """
    known = _events(contract)
    if not log.topics or log.topics[0] not in known:
        raise CorruptAnswer(f"block {log.block} log {log.index}: {contract} has no such event")
    entry = known[log.topics[0]]
    try:
        fields = _fields(entry["inputs"], log)
    except (DecodingError, ValueError, OverflowError) as error:
        place = f"block {log.block} log {log.index} {contract}.{entry['name']}"
        raise CorruptAnswer(f"{place}: {error}") from None
    return Event(contract=contract, name=entry["name"], fields=fields, log=log)


def topics_of(contract: str, *names: str) -> list[str]:
    """Return the first topics of these events, as a node is asked for them."""
    topics = {entry["name"]: topic for topic, entry in _events(contract).items()}
    return ["0x" + topics[name].hex() for name in names]


@cache
def _events(contract: str) -> dict[bytes, dict[str, Any]]:
    entries = [entry for entry in abi.load(contract) if entry["type"] == "event"]
    return {_topic(entry): entry for entry in entries}


def _topic(entry: Mapping[str, Any]) -> bytes:
    types = ",".join(abi.type_of(field) for field in entry["inputs"])
    return keccak(text=f"{entry['name']}({types})")


def _fields(inputs: Sequence[Mapping[str, Any]], log: Log) -> dict[str, Any]:
    indexed = [field for field in inputs if field["indexed"]]
    plain = [field for field in inputs if not field["indexed"]]
    if len(log.topics) != len(indexed) + 1:
        raise ValueError(f"expected {len(indexed)} indexed words, were {len(log.topics) - 1}")
    values: dict[str, Any] = {}
    for field, topic in zip(indexed, log.topics[1:], strict=True):
        values[field["name"]] = decode([abi.type_of(field)], topic)[0]
    decoded = decode([abi.type_of(field) for field in plain], log.data)
    values |= {field["name"]: value for field, value in zip(plain, decoded, strict=True)}
    return {field["name"]: abi.named(field, values[field["name"]]) for field in inputs}
