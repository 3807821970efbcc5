# SPDX-License-Identifier: MIT
"""
Calls of the owner, who is the timelock: proposing, executing, cancelling, and what waits.

One path for every script: `propose` schedules a `Call`, `execute` carries it out once its delay is
over, `pending` finds what waits from the timelock's own events and its word for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from brownie import web3

from keeper import proposals
from keeper.events import Event
from keeper.proposals import NO_PREDECESSOR, RECORDS, days
from keeper.replay import fetch_events
from scripts.calls import ScriptError, contract, send, simulate
from scripts.chain_time import head_at, request
from scripts.deployments import Deployment

NO_SALT: Final = bytes(32)
NOBODY: Final = "0x" + "00" * 20
DONE: Final = 1  # what the timelock says of an executed operation instead of its time
MAX_REPEATS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that the timelock is to make."""

    target: str
    payload: bytes
    predecessor: bytes = NO_PREDECESSOR
    salt: bytes = NO_SALT

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
        return proposals.state(self.due_at, self.expires_at, now)


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
            salt=salts.get(id_, NO_SALT),
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
    name = _name(deployment, call)
    names = {entry.address.lower(): each for each, entry in deployment.contracts.items()}
    record = RECORDS.get(proposals.method_of(name, call.payload))
    present = dict(getattr(contract(deployment, name), record)().dict()) if record else {}
    return proposals.call_words(name, call.target, call.payload, names, present)


def means(deployment: Deployment, call: Call) -> str:
    """Return what a call is for, in plain words."""
    return proposals.means(_name(deployment, call), call.payload)


def lines(deployment: Deployment) -> list[str]:
    """Return who owns the system, with what delay, and what waits."""
    waits, now = pending(deployment), head_at()
    told = [f"  waiting      {_told(deployment, each, now)}" for each in waits]
    return [*owner_lines(deployment, waits), *told]


def owner_lines(deployment: Deployment, waits: Sequence[Proposal]) -> list[str]:
    """Return who owns the system, with what delay."""
    lock = contract(deployment, "Timelock")
    return [
        f"Owner          {lock.address}, a timelock of {days(int(lock.get_minimum_delay()))}",
        f"  proposer     {lock.proposer()}, guardian {lock.guardian()}",
        *([] if waits else ["  waiting      nothing"]),
    ]


def _told(deployment: Deployment, proposal: Proposal, now: int) -> str:
    said = f"{means(deployment, proposal.call)}: {describe(deployment, proposal.call)}"
    return f"{said}, {proposal.state(now)}"


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


def _name(deployment: Deployment, call: Call) -> str:
    """Return which contract of the deployment a call is for; empty for none."""
    names = {entry.address: name for name, entry in deployment.contracts.items()}
    return names.get(call.target, "")
