# SPDX-License-Identifier: MIT
"""
Leave the vault through its queue, which takes what is not liquid now.

    brownie run redeem main request 100
    brownie run redeem main request all
    brownie run redeem main status
    brownie run redeem main process
    brownie run redeem main claim
    brownie run redeem main cancel
    brownie run redeem main request 100 alice --network <an added network>

A request waits for a delay, and for a round of the price feed that begins after
it; then anybody may run the queue. What is filled is reserved until it is
claimed. A request that has waited for long may be cancelled. Amounts are whole
shares or `all`. `alice` is a Brownie account, on a local chain also the number
of a test account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from brownie import web3

from keeper.units import BPS, mul_div_down
from scripts.accounts import confirm, signer
from scripts.amounts import parse, show
from scripts.calls import (
    ScriptError,
    ask,
    contract,
    current,
    for_people,
    quiet,
    require_price,
    send,
)
from scripts.deployments import Deployment
from scripts.tokens import token

# How much less than now a request may bring: hours pass, and prices and premia with them.
TOLERANCE_BPS: Final = 300
LOOK_AT: Final = 50  # requests in one run; the contract takes no more
USAGE: Final = "say what: `request 100`, `request all`, `status`, `process`, `claim` or `cancel`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """
    A request that waits, and where it stands; raw units, times in Unix seconds.

    `ahead_assets` is what the shares before it are worth now, before charges.
    """

    number: int
    shares: int
    min_assets: int
    due_at: int
    cancel_at: int
    ahead: int  # requests before it
    ahead_assets: int


@for_people
def main(
    action: str | None = None, amount: str | None = None, account_name: str | None = None
) -> None:
    """Do what somebody who leaves does; see the file's docstring."""
    quiet()
    if action in ("status", "process", "claim", "cancel"):
        amount, account_name = None, account_name or amount
    elif action != "request" or amount is None:
        raise ScriptError(USAGE)
    deployment = current()
    account = signer("depositor", account_name)
    match action:
        case "request":
            _request(deployment, account, amount or "")
        case "process":
            _process(deployment, account)
        case "claim":
            _claim(deployment, account)
        case "cancel":
            _cancel(deployment, account)
        case _:
            print()
            _tell(deployment, account)


# What a person does


def _request(deployment: Deployment, account: Any, amount: str) -> None:
    vault = contract(deployment, "HedgeVault")
    decimals = int(vault.decimals())
    held = int(vault.balanceOf(account))
    shares = held if amount == "all" else parse(amount, decimals)
    check_request(deployment, account, shares)
    worth = int(vault.convertToAssets(shares))
    print(
        f"\n{account} gives up  {show(shares, decimals)} shares\n"
        f"and receives  {_assets(deployment, worth)} when the request is filled, or less: no less "
        f"than {_assets(deployment, least(worth))}\n"
        f"{queue_ahead(deployment)}"
    )
    confirm(f"approve and request to redeem {show(shares, decimals)} shares of {account}")
    request(deployment, account, shares)
    print("Requested.")
    _tell(deployment, account)


def _process(deployment: Deployment, account: Any) -> None:
    filled = preview(deployment, account)
    confirm(f"run the queue as {account}: {filled} of its requests can be filled")
    process(deployment, account)
    print(f"Filled: {filled}.")
    _tell(deployment, account)


def _claim(deployment: Deployment, account: Any) -> None:
    assets = int(_queue(deployment).claim_of(account))
    if assets == 0:
        raise ScriptError(f"nothing is reserved for {account}")
    confirm(f"pay {_assets(deployment, assets)} to {account}")
    claim(deployment, account)
    print(f"Done: {_assets(deployment, assets)}.")


def _cancel(deployment: Deployment, account: Any) -> None:
    mine = waiting(deployment, account)
    if not mine:
        raise ScriptError(f"{account} has no request that waits")
    ripe = [each for each in mine if each.cancel_at <= _now()]
    if not ripe:
        secs = mine[0].cancel_at - _now()
        raise ScriptError(f"the first may be cancelled in {secs:,} seconds")
    decimals = int(contract(deployment, "HedgeVault").decimals())
    for each in ripe:
        confirm(
            f"cancel number {each.number}: {show(each.shares, decimals)} shares go back "
            f"to {account}"
        )
        cancel(deployment, account, each.number)
    print("Cancelled.")


def _tell(deployment: Deployment, account: Any) -> None:
    for line in lines(deployment, account):
        print(line)


# What it does on chain


def request(deployment: Deployment, account: Any, shares: int) -> None:
    """
    Approve what is missing and put raw shares into the queue.

    Raises
    ------
    RefusedError
        If vault or queue refuse.
    """
    vault, queue = contract(deployment, "HedgeVault"), _queue(deployment)
    minimum = least(int(vault.convertToAssets(shares)))
    if int(vault.allowance(account, queue.address)) < shares:
        send(account, vault.approve, queue.address, shares, doing="the approval")
    send(account, queue.request, shares, minimum, doing="the request")


def preview(deployment: Deployment, account: Any) -> int:
    """
    Return how many requests a run would fill now.

    Raises
    ------
    RefusedError
        If it would do nothing, or there is no good price.
    """
    require_price(deployment, "the run")
    return ask(account, _queue(deployment).process, LOOK_AT, doing="the run")


def process(deployment: Deployment, account: Any) -> None:
    """Serve whose turn it is."""
    send(account, _queue(deployment).process, LOOK_AT, doing="the run")


def claim(deployment: Deployment, account: Any) -> None:
    """Have the account paid what is reserved for it."""
    send(account, _queue(deployment).claim, account, doing="the claim")


def cancel(deployment: Deployment, account: Any, number: int) -> None:
    """Take a request of the account back."""
    send(account, _queue(deployment).cancel, number, doing="cancelling")


# What is so now


def waiting(deployment: Deployment, account: Any) -> list[Waiting]:
    """Return the account's requests that wait, in their order."""
    queue, vault = _queue(deployment), contract(deployment, "HedgeVault")
    delay, cancel_delay = int(queue.DELAY()), int(queue.CANCEL_DELAY())
    found: list[Waiting] = []
    ahead = ahead_shares = 0
    for number in range(int(queue.first()), int(queue.count())):
        owner, shares, min_assets, requested_at = queue.request_of(number)
        if int(shares) == 0:
            continue
        if str(owner) == str(account):
            found.append(
                Waiting(
                    number=number,
                    shares=int(shares),
                    min_assets=int(min_assets),
                    due_at=int(requested_at) + delay,
                    cancel_at=int(requested_at) + cancel_delay,
                    ahead=ahead,
                    ahead_assets=int(vault.convertToAssets(ahead_shares)),
                )
            )
        ahead, ahead_shares = ahead + 1, ahead_shares + int(shares)
    return found


def queue_ahead(deployment: Deployment) -> str:
    """Return how long a request made now would wait, and behind what."""
    queue, vault = _queue(deployment), contract(deployment, "HedgeVault")
    numbers = range(int(queue.first()), int(queue.count()))
    ahead = sum(int(queue.request_of(number)[1]) != 0 for number in numbers)
    worth = int(vault.convertToAssets(int(queue.pending_shares())))
    many = "1 request" if ahead == 1 else f"{ahead} requests"
    line = f"behind {many} worth {_assets(deployment, worth)}" if ahead else "first"
    return (
        f"It waits {int(queue.DELAY()):,} seconds and for the price after them, {line}; liquid "
        f"now are {_assets(deployment, int(vault.idle_assets()))}, the rest comes from margin."
    )


def lines(deployment: Deployment, account: Any) -> list[str]:
    """Return what somebody who leaves wants to know."""
    vault, queue = contract(deployment, "HedgeVault"), _queue(deployment)
    decimals = int(vault.decimals())
    out = [f"Shares     {show(int(vault.balanceOf(account)), decimals)}"]
    for each in waiting(deployment, account):
        worth = int(vault.convertToAssets(each.shares))
        out.append(
            f"Number {each.number:<3} {show(each.shares, decimals)} shares, worth "
            f"{_assets(deployment, worth)}, at least {_assets(deployment, each.min_assets)}: "
            f"{_when(deployment, each)}"
        )
        out.append(
            f"           {each.ahead} before it, worth {_assets(deployment, each.ahead_assets)}"
        )
    out.append(f"Reserved   {_assets(deployment, int(queue.claim_of(account)))}")
    return out


def check_request(deployment: Deployment, account: Any, shares: int) -> None:
    """
    Refuse what cannot work, with what would.

    Raises
    ------
    ScriptError
        If the account has not so many shares, or they are too few for the queue.
    """
    vault = contract(deployment, "HedgeVault")
    decimals, held = int(vault.decimals()), int(vault.balanceOf(account))
    if held == 0:
        raise ScriptError(f"{account} has no shares of this vault")
    if held < shares:
        raise ScriptError(f"{account} has only {show(held, decimals)} shares")
    smallest = int(_queue(deployment).MIN_SHARES())
    if shares < smallest:
        raise ScriptError(f"a request is for at least {show(smallest, decimals)} shares")


def least(worth: int) -> int:
    """Return the fewest assets that shares worth so much may bring."""
    return mul_div_down(worth, BPS - TOLERANCE_BPS, BPS)


# Internals


def _when(deployment: Deployment, each: Waiting) -> str:
    now = _now()
    if now <= each.due_at:
        return f"not due for another {each.due_at + 1 - now:,} seconds"
    published = int(contract(deployment, "AssetFeed").latestRoundData()[3])
    if published <= each.due_at:
        return "not due before the price feed reports again"
    return "due"


def _assets(deployment: Deployment, assets: int) -> str:
    return token(deployment, "Asset").show(assets)


def _queue(deployment: Deployment) -> Any:
    return contract(deployment, "RedemptionQueue")


def _now() -> int:
    return int(web3.eth.get_block("latest")["timestamp"])
