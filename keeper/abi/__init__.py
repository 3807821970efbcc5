# SPDX-License-Identifier: MIT
"""
Interfaces of the deployed contracts as the compiler gives them, shipped with the package.

The files are written by `python -m scripts.export_abi`; a test compares them with the compiler's.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

CONTRACTS = (
    "ExitInKind",
    "HedgeBook",
    "HedgeVault",
    "InsuranceFund",
    "LiquidityPool",
    "PerpVenue",
    "PriceOracle",
    "RedemptionQueue",
    "SpotMarket",
    "Timelock",
    "VaultLens",
)

# Code that exceeds a contract is in several; the first answers for all, its interface is theirs.
PARTS = {
    "HedgeBook": ("HedgeBook", "BookControl"),
    "PerpVenue": ("PerpVenue", "VenueRecovery", "Deleverager", "VenueBackstop", "VenueWindUp"),
}


@cache
def load(contract: str) -> list[dict[str, Any]]:
    """Return the ABI of one of `CONTRACTS`."""
    text = resources.files(__name__).joinpath(f"{contract}.json").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = json.loads(text)
    return entries


def type_of(field: Mapping[str, Any]) -> str:
    """Return the canonical type of an ABI field, structs written out."""
    kind: str = field["type"]
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(type_of(part) for part in field["components"])
    return f"({inner}){kind.removeprefix('tuple')}"


def named(field: Mapping[str, Any], value: Any) -> Any:
    """Return structs as mappings and addresses in lower case."""
    if field["type"] == "tuple":
        parts = field["components"]
        return {part["name"]: named(part, item) for part, item in zip(parts, value, strict=True)}
    return value.lower() if field["type"] == "address" else value


def call_data(contract: str, function: str, *arguments: Any) -> bytes:
    """Return the data of a call."""
    entry = _function(contract, function, len(arguments))
    types = [type_of(field) for field in entry["inputs"]]
    return keccak(text=f"{function}({','.join(types)})")[:4] + encode(types, arguments)


def answer(contract: str, function: str, words: bytes) -> Any:
    """Return what a view gave: one value, or a tuple of them."""
    fields = _function(contract, function, None)["outputs"]
    values = decode([type_of(field) for field in fields], words)
    read = tuple(named(field, value) for field, value in zip(fields, values, strict=True))
    return read[0] if len(read) == 1 else read


def joined(abis: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the interfaces of several contracts as one, without constructors, sorted."""
    entries = {
        (entry["type"], entry["name"], tuple(type_of(field) for field in entry["inputs"])): entry
        for abi in abis
        for entry in abi
        if "name" in entry
    }
    return [entries[key] for key in sorted(entries)]


@cache
def _function(contract: str, function: str, arguments: int | None) -> dict[str, Any]:
    """Return the entry of a function; those of one name differ in how much they ask for."""
    for entry in load(contract):
        if entry["type"] != "function" or entry["name"] != function:
            continue
        if arguments is None or len(entry["inputs"]) == arguments:
            return entry
    raise LookupError(f"{contract} has no function {function} of {arguments} arguments")
