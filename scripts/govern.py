# SPDX-License-Identifier: MIT
"""
What the owner of the system, a timelock, is asked to do.

    brownie run govern
    brownie run govern propose HedgeBook set_keeper 0x1111...
    brownie run govern propose HedgeBook set_limits slippage_bps=50,cooldown_secs=900
    brownie run govern propose HedgeBook set_hedge_ratio 95% after=0x3f2a anyway
    brownie run govern execute 0x3f2a
    brownie run govern cancel 0x3f2a guardian

Without a word it lists what waits. Arguments are numbers, shares such as 95 %, addresses or names
of contracts of the system; of a record only what changes. ``after=`` names a proposal that must
come first. What would be refused if it were done now is not proposed, unless with ``anyway``. The
last word may be an account: only the risk owner proposes, he and the guardian cancel, anybody
executes. An id may be shortened, or left out while one proposal waits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from brownie import web3
from eth_utils.address import is_address

from keeper.abi import type_of
from keeper.proposals import NO_PREDECESSOR, RECORDS
from scripts import timelock
from scripts.accounts import confirm, signer
from scripts.amounts import parse_bps
from scripts.calls import ScriptError, contract, current, for_people, quiet
from scripts.chain_time import head_at
from scripts.deployments import OWNED, Deployment
from scripts.timelock import Call, Proposal

AFTER: Final = "after="
ANYWAY: Final = "anyway"


@for_people
def main() -> None:
    """List owner and proposals; read-only."""
    quiet()
    deployment = current()
    print()
    waits = timelock.pending(deployment)
    for line in timelock.owner_lines(deployment, waits):
        print(line)
    for each in waits:
        print(f"\n0x{each.id.hex()}")
        print(f"  {timelock.means(deployment, each.call)}:")
        print(f"  {timelock.describe(deployment, each.call)}")
        print(f"  {each.state(head_at())}; proposed by {each.proposed_by}")
        if each.call.predecessor != NO_PREDECESSOR:
            print(f"  only after 0x{each.call.predecessor.hex()}")


@for_people
def propose(*words: str) -> None:
    """Schedule one call; see the file's docstring."""
    quiet()
    deployment = current()
    call, anyway, account_name = parse(deployment, [str(word) for word in words])
    account = signer("owner", account_name)
    timelock.require_proposer(deployment, account)
    said = timelock.describe(deployment, call)
    if not anyway and call.predecessor == NO_PREDECESSOR:
        timelock.try_out(deployment, call)
    print(f"\n{said}")
    confirm(f"propose {said} as {account}")
    done = timelock.propose(deployment, account, call)
    print(f"Proposed as 0x{done.id.hex()}; it {done.state(head_at())}:")
    print(f"  brownie run govern execute 0x{done.id.hex()[:8]}")


@for_people
def execute(*words: str) -> None:
    """Carry out a proposal whose time has come."""
    _carry_out("execute", timelock.execute, words)
    print("Done.")


@for_people
def cancel(*words: str) -> None:
    """Take a proposal back."""
    _carry_out("cancel", timelock.cancel, words)
    print("Cancelled.")


def _carry_out(
    verb: str, act: Callable[[Deployment, Any, Proposal], Any], words: Sequence[str]
) -> None:
    quiet()
    deployment = current()
    proposal, account_name = chosen(deployment, [str(word) for word in words])
    account = signer("owner", account_name)
    said = timelock.describe(deployment, proposal.call)
    print(f"\n{said}")
    confirm(f"{verb} {said} as {account}")
    act(deployment, account, proposal)


def parse(deployment: Deployment, words: Sequence[str]) -> tuple[Call, bool, str | None]:
    """
    Return the call that is meant, whether it is wanted in spite of a refusal, and the account.

    Raises
    ------
    ScriptError
        If there is no such contract, function, argument or predecessor.
    """
    plain = [word for word in words if word != ANYWAY and not word.startswith(AFTER)]
    if len(plain) < 2:
        raise ScriptError("say what: `brownie run govern propose HedgeBook set_keeper 0x...`")
    name, method, *given = plain
    entry = _function(deployment, name, method)
    fields = entry["inputs"]
    if len(given) not in {len(fields), len(fields) + 1}:
        wanted = ", ".join(f"{field['name']} ({type_of(field)})" for field in fields) or "nothing"
        raise ScriptError(f"{name}.{method} takes {wanted}; given were {len(given)} words")
    values = [
        _value(deployment, name, entry, field, word)
        for field, word in zip(fields, given, strict=False)
    ]
    call = timelock.call_of(deployment, name, method, *values)
    for word in words:
        if word.startswith(AFTER):
            first = found(deployment, word.removeprefix(AFTER))
            call = replace(call, predecessor=first.id)
    return call, ANYWAY in words, given[len(fields)] if len(given) > len(fields) else None


def chosen(deployment: Deployment, words: Sequence[str]) -> tuple[Proposal, str | None]:
    """
    Return the proposal that is meant and the account.

    Raises
    ------
    ScriptError
        If none, or more than one, is meant.
    """
    ids = [word for word in words if word.startswith("0x")]
    names = [word for word in words if not word.startswith("0x")]
    if len(ids) > 1 or len(names) > 1:
        raise ScriptError("name one proposal, and at most one account")
    return found(deployment, ids[0] if ids else ""), names[0] if names else None


def found(deployment: Deployment, prefix: str) -> Proposal:
    """
    Return the one waiting proposal whose id begins so.

    Raises
    ------
    ScriptError
        If there is none, or more than one.
    """
    waits = timelock.pending(deployment)
    fit = [each for each in waits if ("0x" + each.id.hex()).startswith(prefix.lower())]
    if not waits:
        raise ScriptError("nothing waits")
    if not fit:
        raise ScriptError(f"no proposal that waits begins with {prefix}: `brownie run govern`")
    if len(fit) > 1:
        raise ScriptError(f"{len(fit)} proposals wait: say which, `brownie run govern` lists them")
    return fit[0]


def _function(deployment: Deployment, name: str, method: str) -> Mapping[str, Any]:
    """Return the ABI entry of a function that the timelock may call with effect."""
    targets = (*OWNED, "Timelock")
    if name not in targets:
        raise ScriptError(f"the timelock does not own {name!r}, only {', '.join(targets)}")
    entries = [
        entry
        for entry in contract(deployment, name).abi
        if entry["type"] == "function" and entry["stateMutability"] == "nonpayable"
    ]
    for entry in entries:
        if entry["name"] == method:
            return dict(entry)
    setters = sorted(entry["name"] for entry in entries if entry["name"].startswith("set_"))
    raise ScriptError(f"{name} has no call {method!r}; its setters are {', '.join(setters)}")


def _value(
    deployment: Deployment,
    name: str,
    entry: Mapping[str, Any],
    field: Mapping[str, Any],
    word: str,
) -> Any:
    """Return an argument as the ABI wants it, from what a person writes."""
    kind = field["type"]
    if kind == "tuple" and entry["name"] in RECORDS:
        view = getattr(contract(deployment, name), RECORDS[entry["name"]])
        return _record(dict(view().dict()), field, word)
    if kind == "address":
        return _address(deployment, word)
    if kind.startswith("uint"):
        return _number(field["name"], word)
    raise ScriptError(f"{entry['name']} cannot be proposed by this script: {field['name']} {kind}")


def _record(now: Mapping[str, Any], field: Mapping[str, Any], word: str) -> tuple[int, ...]:
    """Return a whole record from the present one and what is to change of it."""
    names = [part["name"] for part in field["components"]]
    values = {part: int(now[part]) for part in names}
    for change in word.split(","):
        part, _, text = change.partition("=")
        if part not in values or not text:
            raise ScriptError(f"{change!r} changes nothing: write name=value of {', '.join(names)}")
        values[part] = _number(part, text)
    return tuple(values.values())


def _address(deployment: Deployment, word: str) -> str:
    if word in deployment.contracts:
        return deployment[word].address
    if not is_address(word):
        raise ScriptError(f"{word!r} is neither an address nor a contract of the system")
    return str(web3.to_checksum_address(word))


def _number(name: str, word: str) -> int:
    if name.endswith("_bps"):
        return parse_bps(word)
    if not re.fullmatch(r"\d[\d_]*", word):
        raise ScriptError(f"{name}: {word!r} is not a whole number")
    return int(word)
