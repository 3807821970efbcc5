# SPDX-License-Identifier: MIT
"""
What a vault's owner, a timelock, is asked to do, and the words for it: one table for terminal,
scripts and dashboard.

Pure. What waits is folded from the events that the timelock has logged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from keeper import abi
from keeper.audit import WAITING, fold
from keeper.events import Event
from keeper.snapshot import Address
from keeper.units import DAY_SECS
from keeper.words import Fact, Level, Remark, moment, percent, short

NO_PREDECESSOR: Final = bytes(32)
MOST_BYTES: Final = 68  # of data that is no call we know: a selector and two words
LOGGED: Final = (  # all that tells what waits
    "CallScheduled",
    "CallExecuted",
    "Cancelled",
)
# Setters that replace a whole record, and the view that tells the present one.
RECORDS: Final = {"set_limits": "limits", "set_fallback": "fallback_terms"}
MEANS: Final = {
    ("HedgeBook", "add_venue"): "let the vault hedge at another venue",
    ("HedgeBook", "lift_rebalancing_pause"): "end the pause of rebalancing",
    ("HedgeBook", "set_allotment"): "change how much of the value a venue may hold",
    ("HedgeBook", "set_fallback"): "change what anybody may do and earn when the keeper is late",
    ("HedgeBook", "set_guardian"): "change who may pause and reduce",
    ("HedgeBook", "set_hedge_ratio"): "change how much of the price risk is removed",
    ("HedgeBook", "set_hedge_ratio_bounds"): "change between what the hedge ratio may be set",
    ("HedgeBook", "set_keeper"): "change who may rebalance",
    ("HedgeBook", "set_limits"): "change the limits of a rebalance",
    ("HedgeBook", "set_vault"): "join book and vault, once",
    ("HedgeBook", "start_unwind"): "begin to close the hedge, for good",
    ("HedgeBook", "transfer_ownership"): "offer the hedge's book to another owner",
    ("HedgeVault", "lift_entry_pause"): "end the pause of deposits",
    ("HedgeVault", "set_base_charge"): "change the base charge on entry and exit",
    ("HedgeVault", "transfer_ownership"): "offer the vault to another owner",
    ("InsuranceFund", "register"): "change how much the insurance fund may pay for a venue",
    ("InsuranceFund", "transfer_ownership"): "offer the insurance fund to another owner",
    ("LiquidityPool", "set_venue"): "join pool and venue, once",
    ("LiquidityPool", "transfer_ownership"): "offer the pool to another owner",
    ("Timelock", "set_guardian"): "change who may cancel proposals",
    ("Timelock", "set_proposer"): "change who may propose",
    ("Timelock", "update_delay"): "change how long proposals wait",
}
UNKNOWN_CALL: Final = "make a call that is not known here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A call that was scheduled and neither executed nor cancelled."""

    id: bytes
    target: Address
    payload: bytes
    predecessor: bytes = NO_PREDECESSOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """
    A call that waits, in words; due at `due_at` and dead after `expires_at`, Unix seconds.

    `means` is what it is for, `call` what would be called.
    """

    id: str
    target: Address
    means: str
    call: str
    after: str  # the id of the one that must come first; empty where none must
    due_at: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who owns a system, with what waits, first due first; `delay_secs` is 0 for no timelock."""

    address: Address
    delay_secs: int = 0
    proposer: str = ""
    guardian: str = ""
    proposals: tuple[Proposal, ...] = ()


def waiting_of(events: Sequence[Event]) -> list[Waiting]:
    """Return what waits by all events of one timelock, from its deployment on."""
    states = fold(events).operations
    scheduled = {event["id"]: event for event in events if event.name == "CallScheduled"}
    return [
        Waiting(
            id=id_,
            target=Address(event["target"]),
            payload=event["payload"],
            predecessor=event["predecessor"],
        )
        for id_, event in scheduled.items()
        if states["0x" + id_.hex()] == WAITING
    ]


# Words


def state(due_at: int, expires_at: int, now: int) -> str:
    """Return in words whether what waits can be executed."""
    if now < due_at:
        return f"may be executed from {moment(due_at)}"
    if now > expires_at:
        return f"expired at {moment(expires_at)}: cancel it"
    return f"may be executed until {moment(expires_at)}"


def method_of(contract: str, payload: bytes) -> str:
    """Return the name of the function that a call is for; empty for one that is not known."""
    entry = _entry(contract, payload)
    return str(entry["name"]) if entry else ""


def means(contract: str, payload: bytes) -> str:
    """Return what a call is for, in plain words."""
    return MEANS.get((contract, method_of(contract, payload)), UNKNOWN_CALL)


def call_words(
    contract: str,
    target: str,
    payload: bytes,
    names: Mapping[str, str],
    present: Mapping[str, Any],
) -> str:
    """
    Return a call in words, such as ``HedgeBook.set_hedge_ratio(ratio_bps 95.00 %)``.

    Parameters
    ----------
    contract : str
        The target's type; empty for one that is not known.
    names : mapping
        Names of addresses, lower case.
    present : mapping
        The record that the call replaces, as it is now; of one only what changes is told.
    """
    entry = _entry(contract, payload)
    if entry is not None:
        try:
            values = decode([abi.type_of(field) for field in entry["inputs"]], payload[4:])
        except (DecodingError, OverflowError, ValueError):
            entry = None
    if entry is None:
        more = f"… ({len(payload)} bytes)" if len(payload) > MOST_BYTES else ""
        return f"{contract or target}: data 0x{payload[:MOST_BYTES].hex()}{more}"
    said = [
        _argument(field, abi.named(field, value), names, present)
        for field, value in zip(entry["inputs"], values, strict=True)
    ]
    return f"{contract}.{entry['name']}({', '.join(said)})"


def days(secs: int) -> str:
    """Return a duration in days."""
    return "a day" if secs == DAY_SECS else f"{secs / DAY_SECS:g} days"


def remarks(proposals: Iterable[Proposal], now: int) -> list[Remark]:
    """Return what a depositor should notice: what can still happen, and when."""
    alive = [each for each in proposals if now <= each.expires_at]
    told = [(each.means, state(each.due_at, each.expires_at, now)) for each in alive]
    return [
        Remark(level=Level.WATCH, words=f"Proposed to the owner: {what}; it {how}.")
        for what, how in told
    ]


def facts(owner: Owner) -> list[Fact]:
    """Return who owns a system."""
    if owner.delay_secs == 0:
        note = "an account or a contract that is not known here: it may act at once"
        return [Fact(name="Owner", value=short(owner.address), note=note)]
    delay = f"a timelock of {days(owner.delay_secs)}"
    return [
        Fact(name="Owner", value=short(owner.address), note=delay),
        Fact(name="Proposer", value=short(owner.proposer), note="proposes and cancels"),
        Fact(name="Its guardian", value=short(owner.guardian), note="may cancel all that waits"),
    ]


def _entry(contract: str, payload: bytes) -> Mapping[str, Any] | None:
    if contract not in abi.CONTRACTS:
        return None
    for entry in abi.load(contract):
        if entry["type"] == "function" and _selector(entry) == payload[:4]:
            return entry
    return None


def _selector(entry: Mapping[str, Any]) -> bytes:
    types = ",".join(abi.type_of(field) for field in entry["inputs"])
    return keccak(text=f"{entry['name']}({types})")[:4]


def _argument(
    field: Mapping[str, Any], value: Any, names: Mapping[str, str], present: Mapping[str, Any]
) -> str:
    if isinstance(value, Mapping):
        changed = [
            f"{part} {_shown(part, present.get(part), names)} -> {_shown(part, each, names)}"
            for part, each in value.items()
            if part not in present or present[part] != each
        ]
        return "; ".join(changed) or "as it is"
    return f"{field['name']} {_shown(field['name'], value, names)}"


def _shown(name: str, value: Any, names: Mapping[str, str]) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_shown(name, each, names) for each in value) + "]"
    if isinstance(value, str) and value.startswith("0x"):
        known = names.get(value.lower())
        address = str(to_checksum_address(value))
        return f"{known} {address}" if known else address
    if name.endswith("_bps") and value is not None:
        return percent(int(value))
    if name == "delay_secs":
        return days(int(value))
    return str(value)
