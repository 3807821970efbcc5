# SPDX-License-Identifier: MIT
"""
Who signs, and whether he means it.

On local chains the accounts come from the public test mnemonic and nobody is
asked. Anywhere else the signer is a Brownie account (``brownie accounts new``),
named as an argument or by ``HEDGEVAULT_ACCOUNT``, and every script says what it
is going to do and asks before it sends.
"""

from __future__ import annotations

import os
from typing import Any, Final

from brownie import accounts, network, web3

from keeper.local_node import TEST_MNEMONIC

LOCAL_CHAIN_IDS: Final = frozenset({1337, 31337})  # Ganache and Anvil
ACCOUNT_VARIABLE: Final = "HEDGEVAULT_ACCOUNT"
ROLES: Final = {  # index of the test mnemonic
    "deployer": 0,
    "owner": 0,
    "keeper": 1,
    "guardian": 2,
    "provider": 3,
    "staker": 3,  # who has quote from the deployment
    "trader": 4,
    "depositor": 5,
}
MAX_TEST_INDEX: Final = 99


class SignerError(Exception):
    """Nobody can sign; the text is one line for the user."""


class DeclinedError(Exception):
    """The user was asked and did not agree."""


def is_local() -> bool:
    """Tell whether the connected chain is one that nobody's money is on."""
    return int(web3.chain_id) in LOCAL_CHAIN_IDS


def test_account(index: int) -> Any:
    """Return an account of the test mnemonic, signing here and not in the node."""
    return accounts.from_mnemonic(TEST_MNEMONIC, count=1, offset=index)


def signer(role: str, name: str | None = None) -> Any:
    """
    Return the account that signs.

    Parameters
    ----------
    role : str
        A key of `ROLES`; on local chains it decides when no name is given.
    name : str, optional
        On local chains a role or an index of the test mnemonic, else the name
        of a Brownie account, whose password Brownie then asks for.

    Raises
    ------
    SignerError
        If there is no such account, or none was named on a public network.
    """
    if is_local() and (name is None or name in ROLES or name.isdigit()):
        index = int(name) if name is not None and name.isdigit() else ROLES[name or role]
        if index > MAX_TEST_INDEX:
            raise SignerError(f"test accounts go from 0 to {MAX_TEST_INDEX}, not to {index}")
        return test_account(index)
    chosen = name or os.environ.get(ACCOUNT_VARIABLE)
    if not chosen:
        raise SignerError(
            f"no account is named on {network.show_active()}: set {ACCOUNT_VARIABLE} to the name "
            "of a Brownie account (`brownie accounts list`)"
        )
    try:
        return accounts.load(chosen)
    except FileNotFoundError:
        raise SignerError(
            f"Brownie has no account {chosen!r}: see `brownie accounts list`"
        ) from None
    except ValueError as error:
        raise SignerError(f"the account {chosen!r} stays locked: {error}") from None


def confirm(what: str) -> None:
    """
    Ask before sending, except on local chains.

    Raises
    ------
    DeclinedError
        Unless the answer is yes; no answer, as in a pipe, is a no.
    """
    if is_local():
        return
    print(
        f"\nThis sends transactions on {network.show_active()} (chain {web3.chain_id}):\n  {what}"
    )
    try:
        answer = input("Send? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in {"y", "yes"}:
        raise DeclinedError("nothing was sent")
