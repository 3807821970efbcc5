# SPDX-License-Identifier: MIT
"""
The tables of who may do what, in the contracts' own headers, are complete and true.

Each call that can change something is made once by each role. One that the table gives to the role
may fail, but not for the caller's sake; any other fails for just that.
"""

from __future__ import annotations

import re
from typing import Any

import boa
import pytest
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from vyper.compiler.output import build_abi_output

from keeper.abi import type_of
from tests.access_tables import NAMES, table
from tests.market_world import deployer
from tests.vault_world import DAY, vault_world

# What a contract says to a caller whose call it is not.
REFUSED = re.compile(
    r"^(ownable(_2step)?: caller is|access_control: account is missing role|"
    r"(book|vault|timelock): caller is|pool: not the venue)"
)


def changing(name: str) -> list[dict[str, Any]]:
    """Return the ABI's functions that can change something."""
    abi = build_abi_output(deployer(f"{name}.vy").compiler_data)
    return [e for e in abi if e["type"] == "function" and e["stateMutability"] == "nonpayable"]


@pytest.fixture(scope="module")
def scene():
    """A system with an offered ownership, and an account for each role."""
    with boa.env.anchor():
        world = vault_world()
        stranger, proposer = (boa.env.generate_address(n) for n in ("stranger", "proposer"))
        timelock = deployer("Timelock.vy").deploy(2 * DAY, proposer, world.guardian)
        offered = boa.env.generate_address("offered")
        owned = world.vault, world.book, world.base.fund, world.base.pool
        for contract in owned:
            contract.transfer_ownership(offered)
        at = {
            "HedgeVault": world.vault.address,
            "HedgeBook": world.book.address,
            "BookControl": world.book.address,
            "RedemptionQueue": world.queue.address,
            "ExitInKind": world.exit.address,
            "InsuranceFund": world.base.fund.address,
            "LiquidityPool": world.base.pool.address,
            "Timelock": timelock.address,
        }
        roles = {
            "anyone": stranger,
            "owner": world.base.owner,
            "offered": offered,
            "guardian": world.guardian,
            "keeper": world.keeper,
            "proposer": proposer,
            "vault": world.vault.address,
            "book": world.book.address,
            "queue": world.queue.address,
            "exit": world.exit.address,
            "venue": world.venue.address,
        }
        yield at, {role: str(account) for role, account in roles.items()}


def answer(to: str, sender: str, entry: dict[str, Any]) -> str:
    """Call with arguments of zero and return the reason of the failure, or nothing."""
    types = [type_of(field) for field in entry["inputs"]]
    selector = keccak(text=f"{entry['name']}({','.join(types)})")[:4]
    data = selector + encode(types, [zero(field) for field in entry["inputs"]])
    with boa.env.anchor():
        done = boa.env.execute_code(to_address=to, sender=sender, data=data)
    if not done.is_error or done.output[:4].hex() != "08c379a0":
        return ""
    return str(decode(["string"], done.output[4:])[0])


def zero(field: dict[str, Any]) -> Any:
    """Return a value of the field's type, all zero."""
    kind = field["type"]
    if kind.endswith("]"):
        return []
    if kind == "tuple":
        return tuple(zero(part) for part in field["components"])
    if kind == "address":
        return "0x" + "00" * 20
    fixed = re.fullmatch(r"bytes(\d+)", kind)
    if fixed:
        return bytes(int(fixed[1]))
    return {"bool": False, "bytes": b"", "string": ""}.get(kind, 0)


@pytest.mark.parametrize("name", NAMES)
def test_access__table__names_every_call_that_changes_something(name):
    named = {row.function for row in table(name)}
    assert named == {entry["name"] for entry in changing(name)}


@pytest.mark.parametrize("name", NAMES)
def test_access__each_call_by_each_role__is_as_the_table_says(scene, name):
    at, roles = scene
    accounts = {**roles, "itself": at[name]}
    wrong = []
    for entry in changing(name):
        allowed = {row.role for row in table(name) if row.function == entry["name"]}
        assert allowed <= accounts.keys()
        for role, account in accounts.items():
            may = "anyone" in allowed or account in {accounts[each] for each in allowed}
            reason = answer(at[name], account, entry)
            if bool(REFUSED.match(reason)) == may:
                wrong.append(f"{entry['name']} by {role}: {reason or 'done'}")
    assert wrong == []


@pytest.mark.parametrize("name", NAMES)
def test_access__owner__always_waits_and_nobody_else(name):
    """The owner of a deployed system is the Timelock, and only what it does has a delay."""
    for row in table(name):
        own = name == "Timelock" and row.role == "itself"
        assert row.waits == (row.role == "owner" or own), row


def test_access__guardian__only_reduces():
    """What he may do at once, in one list: a new entry here is a decision."""
    found = {(n, row.function) for n in NAMES for row in table(n) if row.role == "guardian"}
    assert found == {
        ("HedgeVault", "pause_entry"),
        ("HedgeVault", "lift_entry_pause"),
        ("BookControl", "pause_rebalancing"),
        ("BookControl", "lift_rebalancing_pause"),
        ("BookControl", "start_unwind"),
        ("BookControl", "set_allotment"),
        ("Timelock", "cancel"),
    }
