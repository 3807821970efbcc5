# SPDX-License-Identifier: MIT
"""
Leave the vault while there is no price: a part of what is idle, and a claim on the venues.

    brownie run exit_in_kind main status
    brownie run exit_in_kind main announce
    brownie run exit_in_kind main exit 100
    brownie run exit_in_kind main exit all
    brownie run exit_in_kind main settle
    brownie run exit_in_kind main redeem
    brownie run exit_in_kind main exit 100 alice --network <an added network>

Somebody announces that there is no price; if there has been none for the delay,
exits are open. Claims become shares when the price is back and anybody settles;
`redeem` exchanges all that the account has. A good price takes an announcement
back with `retract`. Amounts are whole shares or `all`. `alice` is a Brownie
account, on a local chain also the number of a test account.
"""

from __future__ import annotations

from typing import Any, Final

from keeper import exits
from keeper.exits import Claims, Exits, Price, Terms
from keeper.snapshot import Address
from scripts.accounts import confirm, signer
from scripts.amounts import at_least, parse, show
from scripts.calls import (
    ScriptError,
    contract,
    current,
    for_people,
    quiet,
    require_price,
    send,
    simulate,
)
from scripts.chain_time import head_at
from scripts.deployments import Deployment
from scripts.tokens import token

PLAIN: Final = ("status", "announce", "retract", "settle", "redeem")
USAGE: Final = f"say what: `exit 100`, `exit all`, {', '.join(f'`{word}`' for word in PLAIN)}"


@for_people
def main(
    action: str | None = None, amount: str | None = None, account_name: str | None = None
) -> None:
    """Do what somebody who leaves without a price does; see the file's docstring."""
    quiet()
    if action in PLAIN:
        amount, account_name = None, account_name or amount
    elif action != "exit" or amount is None:
        raise ScriptError(USAGE)
    deployment = current()
    account = signer("depositor", account_name)
    match action:
        case "exit":
            _exit(deployment, account, amount or "")
        case "announce":
            confirm(f"say as {account} that there is no price")
            announce(deployment, account)
        case "retract":
            confirm(f"say as {account} that there is a price again")
            retract(deployment, account)
        case "settle":
            _settle(deployment, account)
        case "redeem":
            _redeem(deployment, account)
    print()
    for line in lines(deployment, account):
        print(line)


# What a person does


def _exit(deployment: Deployment, account: Any, amount: str) -> None:
    vault = contract(deployment, "HedgeVault")
    decimals, held = int(vault.decimals()), int(vault.balanceOf(account))
    shares = held if amount == "all" else parse(amount, decimals)
    if held == 0:
        raise ScriptError(f"{account} has no shares of this vault")
    if held < shares:
        raise ScriptError(f"{account} has only {show(held, decimals)} shares")
    assets, quote = preview(deployment, account, shares)
    paid = f"{token(deployment, 'Asset').show(assets)} and {token(deployment, 'Quote').show(quote)}"
    print(
        f"\n{account} gives up  {show(shares, decimals)} shares\n"
        f"and receives  {paid}, its part of what is idle,\n"
        f"and as many claims on the venues, which become shares when the price is back"
    )
    confirm(f"leave in kind with {show(shares, decimals)} shares of {account}")
    exit_in_kind(deployment, account, shares)
    print(f"Done: {paid}.")


def _settle(deployment: Deployment, account: Any) -> None:
    require_price(deployment, "the settlement")
    confirm(f"settle all exits in kind as {account}")
    print("Settled." if settle(deployment, account) else "A venue is silent: settle later.")


def _redeem(deployment: Deployment, account: Any) -> None:
    ripe = [each for each in claims(deployment, account) if each.shares]
    if not ripe:
        raise ScriptError(f"{account} has no claims that are worth shares now")
    decimals = int(contract(deployment, "HedgeVault").decimals())
    for each in ripe:
        confirm(
            f"exchange {show(each.claims, decimals)} claims of round {each.round} for "
            f"{show(each.shares or 0, decimals)} shares"
        )
        redeem(deployment, account, each)
    print("Redeemed.")


# What it does on chain


def announce(deployment: Deployment, account: Any) -> None:
    """Say that there is no price."""
    send(account, _leaving(deployment).announce, doing="the announcement")


def retract(deployment: Deployment, account: Any) -> None:
    """Say that there is one again."""
    send(account, _leaving(deployment).retract, doing="retracting")


def preview(deployment: Deployment, account: Any, shares: int) -> tuple[int, int]:
    """
    Return the raw assets and quote that raw shares would bring now.

    Raises
    ------
    RefusedError
        If exits in kind are not open.
    """
    method = _leaving(deployment).exit
    data = method.encode_input(shares, account, account, 0, 0)
    answer = simulate(account, method._address, data, "the exit")
    assets, quote = method.decode_output("0x" + answer.hex())
    return int(assets), int(quote)


def exit_in_kind(deployment: Deployment, account: Any, shares: int) -> None:
    """Leave with raw shares, for hardly less than the preview says."""
    least = map(at_least, preview(deployment, account, shares))
    method = _leaving(deployment).exit
    send(account, method, shares, account, account, *least, doing="the exit")


def settle(deployment: Deployment, account: Any) -> bool:
    """Settle all exits, or begin to wait for a venue that is silent; return whether it is done."""
    leaving = _leaving(deployment)
    send(account, leaving.settle, doing="the settlement")
    return int(leaving.hollow_shares()) == 0


def redeem(deployment: Deployment, account: Any, held: Claims) -> None:
    """Exchange claims of a settled round for shares."""
    leaving = _leaving(deployment)
    send(account, leaving.redeem, held.round, held.claims, account, doing="redeeming")


# What is so now


def claims(deployment: Deployment, account: Any) -> list[Claims]:
    """Return what the account has, round by round."""
    leaving = _leaving(deployment)
    now, found = int(leaving.round()), []
    for number in range(now + 1):
        held = int(leaving.balanceOf(account, number))
        if held:
            left, shares = map(int, leaving.round_of(number))
            worth = held * shares // left if number < now else None
            found.append(Claims(round=number, claims=held, shares=worth))
    return found


def lines(deployment: Deployment, account: Any) -> list[str]:
    """Return what somebody who leaves wants to know."""
    leaving, vault = _leaving(deployment), contract(deployment, "HedgeVault")
    decimals = int(vault.decimals())
    out = [
        f"Shares     {show(int(vault.balanceOf(account)), decimals)}",
        f"Exit       {when(deployment)}",
    ]
    hollow = int(leaving.hollow_shares())
    if hollow:
        out.append(f"Unsettled  {show(hollow, decimals)} shares: all else waits for `settle`")
    for each in claims(deployment, account):
        worth = exits.claim_words(each, lambda shares: show(shares, decimals))
        out.append(f"Round {each.round:<4} {show(each.claims, decimals)} claims, {worth}")
    return out


def when(deployment: Deployment) -> str:
    """Return in words whether one can leave in kind now, and from when."""
    leaving = _leaving(deployment)
    good, _, reason = contract(deployment, "PriceOracle").try_read()
    seen_at = int(contract(deployment, "HedgeBook").state().dict()["last_price_at"])
    announced_at, delay_secs = int(leaving.announced_at()), int(leaving.DELAY())
    terms = Terms(
        address=Address(leaving.address.lower()),
        delay_secs=delay_secs,
        patience_secs=int(leaving.PATIENCE()),
    )
    announced = Exits(
        terms=terms,
        announced_at=announced_at,
        closes_at=announced_at + delay_secs + int(leaving.WINDOW()),
    )
    price = Price(good=bool(good), reason=str(reason), seen_at=seen_at)
    return exits.when(announced, price, head_at())


# Internals


def _leaving(deployment: Deployment) -> Any:
    return contract(deployment, "ExitInKind")
