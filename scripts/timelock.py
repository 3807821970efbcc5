# SPDX-License-Identifier: MIT
"""
Calls of the owner, who is the timelock: proposing, executing, cancelling, and what waits.

One path for every script: `propose` schedules a `Call`, `execute` carries it out once its delay is
over, `pending` finds what waits from the timelock's own events and its word for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from brownie import web3
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from keeper.abi import named, type_of
from keeper.events import Event
from keeper.replay import fetch_events
from keeper.units import DAY_SECS
from scripts.amounts import show_bps
from scripts.calls import ScriptError, contract, send, simulate
from scripts.chain_time import head_at, request
from scripts.deployments import Deployment

NOTHING: Final = bytes(32)
NOBODY: Final = "0x" + "00" * 20
DONE: Final = 1  # what the timelock says of an executed operation instead of its time
MAX_REPEATS: Final = 1_000
# Setters that replace a whole record, and the view that tells the present one.
RECORDS: Final = {"set_limits": "limits", "set_fallback": "fallback_terms"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that the timelock is to make."""

    target: str
    payload: bytes
    predecessor: bytes = NOTHING
    salt: bytes = NOTHING

    def words(self) -> tuple[Any, ...]:
        """Return it as the timelock's functions take it; it never sends coins."""
        return self.target, 0, self.payload, self.predecessor, self.salt


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A call that waits, due at `due_at` and dead after `expires_at`, Unix seconds."""

    id: bytes
    call: Call
    due_at: int
    expires_at: int
    proposed_by: str

    def state(self, now: int) -> str:
        """Return in words whether it can be executed."""
        if now < self.due_at:
            return f"may be executed from {moment(self.due_at)}"
        if now > self.expires_at:
            return f"expired at {moment(self.expires_at)}: cancel it"
        return f"may be executed until {moment(self.expires_at)}"


def call_of(deployment: Deployment, name: str, method: str, *arguments: Any) -> Call:
    """Return the call of a contract of the deployment by its name."""
    target = contract(deployment, name)
    payload = getattr(target, method).encode_input(*arguments)
    return Call(target=target.address, payload=bytes.fromhex(payload.removeprefix("0x")))


def events(deployment: Deployment) -> list[Event]:
    """Return everything that the timelock has logged, in chain order."""
    entry = deployment["Timelock"]

    def batch(calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        return [request(method, *parameters) for method, parameters in calls]

    contracts = {entry.address.lower(): "Timelock"}
    return fetch_events(batch, contracts, entry.block, int(web3.eth.block_number))


def pending(deployment: Deployment) -> list[Proposal]:
    """Return what is scheduled and neither executed nor cancelled, first due first."""
    lock = contract(deployment, "Timelock")
    salts: dict[bytes, bytes] = {}
    scheduled: dict[bytes, Event] = {}
    for event in events(deployment):
        if event.name == "CallSalt":
            salts[event["id"]] = event["salt"]
        elif event.name == "CallScheduled":
            scheduled[event["id"]] = event
    grace = int(lock.GRACE())
    found = []
    for id_, event in scheduled.items():
        due_at = int(lock.get_timestamp(id_))
        if due_at <= DONE:
            continue
        call = Call(
            target=web3.to_checksum_address(event["target"]),
            payload=event["payload"],
            predecessor=event["predecessor"],
            salt=salts.get(id_, NOTHING),
        )
        sender = str(web3.eth.get_transaction(event.log.tx_hash)["from"])
        found.append(
            Proposal(
                id=id_, call=call, due_at=due_at, expires_at=due_at + grace, proposed_by=sender
            )
        )
    return sorted(found, key=lambda each: (each.due_at, each.id))


def waiting(deployment: Deployment, call: Call) -> Proposal | None:
    """Return the proposal of the same call, whatever its salt and predecessor, if one waits."""
    same = [
        each
        for each in pending(deployment)
        if (each.call.target, each.call.payload) == (call.target, call.payload)
    ]
    return same[0] if same else None


def propose(deployment: Deployment, account: Any, call: Call) -> Proposal:
    """
    Schedule a call with the least delay.

    Raises
    ------
    ScriptError
        If the account is not the proposer, or the same call waits already.
    RefusedError
        If the timelock refuses.
    """
    lock = contract(deployment, "Timelock")
    require_proposer(deployment, account)
    same = waiting(deployment, call)
    if same is not None:
        raise ScriptError(f"this is proposed already, and {same.state(head_at())}")
    call = _unused(lock, call)
    delay = int(lock.get_minimum_delay())
    send(account, lock.schedule, *call.words(), delay, doing="the proposal")
    id_ = bytes(lock.hash_operation(*call.words()))
    due_at = int(lock.get_timestamp(id_))
    return Proposal(
        id=id_,
        call=call,
        due_at=due_at,
        expires_at=due_at + int(lock.GRACE()),
        proposed_by=str(account),
    )


def execute(deployment: Deployment, account: Any, proposal: Proposal) -> Any:
    """
    Carry out a proposal as anybody, and return the receipt.

    Raises
    ------
    ScriptError
        If it is not due, or expired.
    RefusedError
        If timelock or called contract refuse.
    """
    now = head_at()
    if not proposal.due_at <= now <= proposal.expires_at:
        raise ScriptError(f"{describe(deployment, proposal.call)} {proposal.state(now)}")
    lock = contract(deployment, "Timelock")
    doing = describe(deployment, proposal.call)
    return send(account, lock.execute, *proposal.call.words(), doing=doing)


def cancel(deployment: Deployment, account: Any, proposal: Proposal) -> None:
    """
    Take a proposal back, as proposer or guardian.

    Raises
    ------
    ScriptError
        If the account is neither.
    """
    lock = contract(deployment, "Timelock")
    may = str(lock.proposer()), str(lock.guardian())
    if str(account) not in may:
        raise ScriptError(f"only proposer {may[0]} and guardian {may[1]} may cancel, not {account}")
    send(account, lock.cancel, proposal.id, doing="cancelling")


def require_proposer(deployment: Deployment, account: Any) -> None:
    """
    Refuse who may not propose.

    Raises
    ------
    ScriptError
        If the account is not the timelock's proposer.
    """
    proposer = str(contract(deployment, "Timelock").proposer())
    if str(account) != proposer:
        raise ScriptError(f"only the proposer {proposer} may propose it, not {account}")


def try_out(deployment: Deployment, call: Call) -> None:
    """
    Ask what the call would do now.

    Raises
    ------
    RefusedError
        If the called contract would refuse it.
    """
    lock = deployment["Timelock"].address
    simulate(lock, call.target, "0x" + call.payload.hex(), describe(deployment, call))


def describe(deployment: Deployment, call: Call) -> str:
    """Return a call in words, such as ``HedgeBook.set_hedge_ratio(ratio_bps 95.00 %)``."""
    names = {entry.address: name for name, entry in deployment.contracts.items()}
    name = names.get(call.target)
    raw = f"{name or call.target}: data 0x{call.payload.hex()}"
    if name is None:
        return raw
    target = contract(deployment, name)
    for entry in target.abi:
        if entry["type"] != "function" or _selector(entry) != call.payload[:4]:
            continue
        try:
            values = decode([type_of(field) for field in entry["inputs"]], call.payload[4:])
        except DecodingError:
            return raw
        before = RECORDS.get(entry["name"])
        now = dict(getattr(target, before)().dict()) if before else {}
        said = [
            _argument(field, named(field, value), names, now)
            for field, value in zip(entry["inputs"], values, strict=True)
        ]
        return f"{name}.{entry['name']}({', '.join(said)})"
    return raw


def lines(deployment: Deployment) -> list[str]:
    """Return who owns the system, with what delay, and what waits."""
    lock, now = contract(deployment, "Timelock"), head_at()
    waits = pending(deployment)
    return [
        f"Owner          {lock.address}, a timelock of {days(int(lock.get_minimum_delay()))}",
        f"  proposer     {lock.proposer()}, guardian {lock.guardian()}",
        *([] if waits else ["  waiting      nothing"]),
        *(f"  waiting      {describe(deployment, each.call)}, {each.state(now)}" for each in waits),
    ]


def moment(at: int) -> str:
    """Return Unix seconds as people write them."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def days(secs: int) -> str:
    """Return a duration in days."""
    return "a day" if secs == DAY_SECS else f"{secs / DAY_SECS:g} days"


def _unused(lock: Any, call: Call) -> Call:
    """Return the call with the first salt under which it was never executed."""
    for number in range(MAX_REPEATS):
        salt = number.to_bytes(32, "big")
        tried = Call(
            target=call.target, payload=call.payload, predecessor=call.predecessor, salt=salt
        )
        if int(lock.get_timestamp(lock.hash_operation(*tried.words()))) == 0:
            return tried
    raise ScriptError(f"this call was made {MAX_REPEATS} times already")


def _selector(entry: Mapping[str, Any]) -> bytes:
    types = ",".join(type_of(field) for field in entry["inputs"])
    return keccak(text=f"{entry['name']}({types})")[:4]


def _argument(
    field: Mapping[str, Any], value: Any, names: Mapping[str, str], now: Mapping[str, Any]
) -> str:
    if isinstance(value, Mapping):
        changed = [
            f"{part} {_shown(part, now.get(part), names)} -> {_shown(part, each, names)}"
            for part, each in value.items()
            if part not in now or int(now[part]) != each
        ]
        return "; ".join(changed) or "as it is"
    return f"{field['name']} {_shown(field['name'], value, names)}"


def _shown(name: str, value: Any, names: Mapping[str, str]) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_shown(name, each, names) for each in value) + "]"
    if isinstance(value, str) and value.startswith("0x"):
        address = web3.to_checksum_address(value)
        return f"{names[address]} {address}" if address in names else str(address)
    if name.endswith("_bps") and value is not None:
        return show_bps(int(value))
    if name == "delay_secs":
        return days(int(value))
    return str(value)
