# SPDX-License-Identifier: MIT
"""
The connected chain through Brownie: contracts, transactions, refusals.

Every transaction is tried with ``eth_call`` first. What would revert is not
sent but raised as `RefusedError`, with the contract's own reason, which is the
same on Anvil, Ganache and public nodes although each words it differently.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import requests
from brownie import Contract, project, web3
from brownie._config import CONFIG
from brownie.exceptions import TransactionError, VirtualMachineError
from brownie.network.transaction import TransactionReceipt
from eth_abi.abi import decode
from web3.exceptions import ContractLogicError, TimeExhausted, Web3RPCError

from keeper.abi import PARTS, joined
from keeper.errors import KeeperError, meaning
from scripts import deployments
from scripts.accounts import DeclinedError, SignerError, is_local
from scripts.amounts import AmountError
from scripts.deployments import Deployment, DeploymentError

ERROR_STRING = re.compile("0x08c379a0(?:[0-9a-f]{2})+")  # Error(string), ABI-encoded

# Nodes estimate in the block that is there; in the next one funding accrues, and the second trade
# of a block, estimated at 117,592 gas, took 168,787 and more in between. What is left is not paid.
GAS_BUFFER = 1.5
GAS_SPARE = 100_000
LATE_SECS = 10.0  # for a node to show a transaction that Brownie has given up

Main = TypeVar("Main", bound=Callable[..., Any])


class RefusedError(Exception):
    """The chain would revert, or has reverted; `reason` are the contract's own words."""

    def __init__(self, reason: str, doing: str) -> None:
        self.reason = reason
        super().__init__(f"{doing} is refused: {meaning(reason)}")


class ScriptError(Exception):
    """Something else that the user can mend; the text is one line for him."""


def for_people(main: Main) -> Main:
    """Show what a user can mend as one line and exit with 1, instead of a traceback."""

    @functools.wraps(main)
    def guarded(*arguments: Any, **options: Any) -> Any:
        try:
            return main(*arguments, **options)
        except (
            AmountError,
            DeclinedError,
            DeploymentError,
            KeeperError,
            RefusedError,
            ScriptError,
            SignerError,
        ) as error:
            print(f"\n{error}", file=sys.stderr)
            sys.exit(1)
        except (ConnectionError, requests.RequestException) as error:
            print(f"\nthe node cannot be reached: {error}", file=sys.stderr)
            sys.exit(1)

    return guarded  # type: ignore[return-value]  # wraps keeps the signature


def artefacts() -> Any:
    """
    Return the Brownie project, whose items are its compiled contracts.

    Raises
    ------
    ScriptError
        If Brownie has not loaded it.
    """
    loaded = project.get_loaded_projects()
    if not loaded:
        raise ScriptError("the Brownie project is not loaded: start this with `brownie run`")
    return loaded[0]


def current() -> Deployment:
    """
    Return the deployment on the connected chain.

    Raises
    ------
    DeploymentError
        If there is none, or its contracts are gone as on a local node that was
        started anew.
    """
    deployment = deployments.read(int(web3.chain_id))
    if not web3.eth.get_code(deployment["HedgeVault"].address):
        hint = "this local node is younger than its manifest: " if is_local() else ""
        raise DeploymentError(f"{hint}no vault at its address; run `brownie run deploy`")
    return deployment


def contract(deployment: Deployment, name: str) -> Any:
    """Return a Brownie contract of the deployment, with the ABI of its type."""
    entry = deployment[name]
    return contract_at(entry.contract, entry.address)


def contract_at(contract_type: str, address: str) -> Any:
    """Return a Brownie contract at an address, with the ABI of its type."""
    name = artefact_name(contract_type)
    parts = [artefacts()[part].abi for part in PARTS.get(name, (name,))]
    interface = joined(parts) if len(parts) > 1 else parts[0]
    return Contract.from_abi(contract_type, address, interface, persist=False)


def artefact_name(contract_type: str) -> str:
    """Return the contract of ours whose ABI fits one that others have deployed."""
    return {"ERC20": "MintableToken", "AggregatorV3": "SettableFeed"}.get(
        contract_type, contract_type
    )


def send(account: Any, method: Any, *arguments: Any, doing: str) -> Any:
    """
    Try a call, send it as a transaction, and return the receipt.

    Parameters
    ----------
    method
        A Brownie contract method, such as ``vault.deposit``.
    doing : str
        What the user is told is refused, such as ``"the deposit"``.

    Raises
    ------
    RefusedError
        If the chain would revert or has reverted it.
    """
    data = method.encode_input(*arguments)
    simulate(account, method._address, data, doing)
    return _transacted(account, method._address, data, doing)


def ask(account: Any, view: Any, *arguments: Any, doing: str) -> int:
    """
    Return the integer that a view answers to `account`.

    Raises
    ------
    RefusedError
        If it reverts.
    """
    answer = simulate(account, view._address, view.encode_input(*arguments), doing)
    return int(view.decode_output("0x" + answer.hex()))


def require_price(deployment: Deployment, doing: str) -> None:
    """
    Refuse with the oracle's own reason, where the vault would only say that there is no price.

    Raises
    ------
    RefusedError
        While the oracle serves no price.
    """
    good, _, reason = contract(deployment, "PriceOracle").try_read()
    if not good:
        raise RefusedError(str(reason), doing)


def create(account: Any, contract_type: str, *arguments: Any) -> Any:
    """
    Deploy a contract and return the receipt.

    Raises
    ------
    RefusedError
        If the constructor refuses its arguments.
    """
    data = artefacts()[contract_type].deploy.encode_input(*arguments)
    doing = f"deploying {contract_type}"
    simulate(account, None, data, doing)
    return _transacted(account, None, data, doing)


def simulate(account: Any, to: str | None, data: str, doing: str) -> bytes:
    """
    Return what a call by `account` answers now; for a creation, the code.

    Raises
    ------
    RefusedError
        If it reverts.
    """
    call: dict[str, Any] = {"from": str(account), "data": data}
    if to is not None:
        call["to"] = to
    try:
        return bytes(web3.eth.call(call))
    except (ContractLogicError, Web3RPCError, ValueError) as error:
        # Brownie turns a node's error into ValueError on its own kind of networks.
        raise RefusedError(revert_reason(error), doing) from None


def revert_reason(error: Exception) -> str:
    """
    Return the contract's words out of any node's way to say that a call reverted.

    The ABI-encoded reason stands somewhere in the error, at another place for
    each node and each kind of Brownie network; where it is missing, the
    message is returned.
    """
    parts = [error.args, getattr(error, "data", None), getattr(error, "rpc_response", None)]
    for text in _texts(parts):
        data = bytes.fromhex(text[2:]) if ERROR_STRING.fullmatch(text) else b""
        if data:
            return str(decode(["string"], data[4:])[0])
    message = next((text for text in _texts(parts) if "revert" in text), str(error))
    return message.partition("revert")[2].removeprefix("ed").strip(": ")


def quiet() -> None:
    """Let Brownie print no lines of its own about transactions."""
    CONFIG.argv["silent"] = True


def _transacted(account: Any, to: str | None, data: str, doing: str) -> Any:
    try:
        gas = int(account.estimate_gas(to, 0, data=data) * GAS_BUFFER) + GAS_SPARE
        receipt = account.transfer(to, 0, data=data, gas_limit=gas, silent=True)
    except VirtualMachineError as error:
        raise RefusedError(error.revert_msg or "", doing) from None
    except ValueError as error:  # the node refuses to take it: no gas money, wrong nonce
        raise RefusedError(revert_reason(error), doing) from None
    except TransactionError as error:  # "dropped", says Brownie, where a node shows it late
        receipt = _shown_late(str(error).rpartition(" ")[2], doing)
    if int(receipt.status) != 1:
        raise RefusedError("", doing)
    return receipt


def _shown_late(tx_hash: str, doing: str) -> Any:
    """Return the receipt of a transaction that Brownie has given up."""
    try:
        web3.eth.wait_for_transaction_receipt(tx_hash, timeout=LATE_SECS)
    except TimeExhausted:
        raise RefusedError("dropped by the node", doing) from None
    return TransactionReceipt(tx_hash, silent=True)


def _texts(value: Any) -> Iterator[str]:
    """Yield every string inside nested answers of a node."""
    match value:
        case str():
            yield value
        case Mapping():
            for item in value.values():
                yield from _texts(item)
        case list() | tuple():
            for item in value:
                yield from _texts(item)
