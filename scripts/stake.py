# SPDX-License-Identifier: MIT
"""
Stake quote in the insurance fund, and leave it again.

    brownie run stake main 1000
    brownie run stake enter
    brownie run stake request 250
    brownie run stake request all alice --network <an added network>
    brownie run stake unstake
    brownie run stake cancel
    brownie run stake status

Amounts are in whole quote tokens; the account's name comes last. A stake bears
losses at once and earns from its entry, which anyone may call after a day. Who
wants to leave asks first, waits, and is paid within a window; until then he
bears losses and earns nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from keeper.proposals import days
from keeper.units import mul_div_up
from scripts.accounts import confirm, signer
from scripts.amounts import at_least
from scripts.calls import ScriptError, ask, contract, current, for_people, quiet, send
from scripts.chain_time import head_at
from scripts.deployments import Deployment
from scripts.tokens import token


class Request(NamedTuple):
    """A request as the fund has it (`IInsuranceFund.Request`), quote units and Unix seconds."""

    shares: int
    value: int
    worth: int
    opens_at: int
    expires_at: int


class Entry(NamedTuple):
    """A stake that has not entered (`IInsuranceFund.Entry`), quote units and Unix seconds."""

    value: int
    worth: int
    enters_at: int


@for_people
def main(amount: str | None = None, account_name: str | None = None) -> None:
    """Stake as a person would; see the file's docstring."""
    quiet()
    if amount is None:
        raise ScriptError("say how much: `brownie run stake main 1000`")
    deployment, account = current(), signer("staker", account_name)
    coin = token(deployment, "Quote")
    quote = coin.parse(amount)
    check(deployment, account, quote)
    fund = contract(deployment, "InsuranceFund")
    print(
        f"\n{account} stakes {coin.show(quote)}.\n"
        "Losses of the venue may use it up from now on. It earns once it has entered, in "
        f"{days(int(fund.ENTRY_DELAY()))}. Leaving takes {days(int(fund.UNSTAKE_DELAY()))}."
    )
    confirm(f"approve and stake {coin.show(quote)} from {account}")
    stake(deployment, account, quote)
    entry = entry_of(deployment, account)
    print(f"Done: `brownie run stake enter` from {_time(entry.enters_at)}.")


@for_people
def enter(account_name: str | None = None) -> None:
    """Let a stake enter, so that it earns."""
    quiet()
    deployment, account = current(), signer("staker", account_name)
    text = token(deployment, "Quote").show(check_enter(deployment, account).worth)
    print(f"\n{text} of {account} begin to earn.")
    confirm(f"let {text} of {account} enter")
    fund = contract(deployment, "InsuranceFund")
    send(account, fund.enter, account, doing="the entry")
    print("Done.")


@for_people
def request(amount: str | None = None, account_name: str | None = None) -> None:
    """Ask to leave with an amount, or all."""
    quiet()
    if amount is None:
        raise ScriptError("say how much: `brownie run stake request 250`, or `all`")
    deployment, account = current(), signer("staker", account_name)
    fund = contract(deployment, "InsuranceFund")
    coin = token(deployment, "Quote")
    quote = None if amount == "all" else coin.parse(amount)
    shares = shares_to_leave(deployment, account, quote)
    value = ask(account, fund.request_unstake, shares, doing="the request")
    print(
        f"\n{account} asks to leave with {coin.show(value)}.\n"
        f"It bears losses and earns nothing. Payment opens in {days(int(fund.UNSTAKE_DELAY()))}, "
        f"for {days(int(fund.UNSTAKE_WINDOW()))}."
    )
    confirm(f"ask to leave with {coin.show(value)} as {account}")
    send(account, fund.request_unstake, shares, doing="the request")
    print(f"Done: be there from {_time(request_of(deployment, account).opens_at)}.")


@for_people
def unstake(account_name: str | None = None) -> None:
    """Take what a request is worth."""
    quiet()
    deployment, account = current(), signer("staker", account_name)
    worth = check_unstake(deployment, account).worth
    text = token(deployment, "Quote").show(worth)
    print(f"\n{account} receives {text}.")
    confirm(f"unstake {text} to {account}")
    fund = contract(deployment, "InsuranceFund")
    send(account, fund.unstake, at_least(worth), doing="the payment")
    print("Done.")


@for_people
def cancel(account_name: str | None = None) -> None:
    """End a request, and stake what it is worth anew."""
    quiet()
    deployment, account = current(), signer("staker", account_name)
    found = request_of(deployment, account)
    fund = contract(deployment, "InsuranceFund")
    kept = ask(account, fund.cancel_request, doing="the end of the request")
    given_up = (found.shares - kept) * 100 / max(found.shares, 1)
    text = token(deployment, "Quote").show(found.worth)
    print(
        f"\n{account} stakes {text} anew; what was earned meanwhile is the others' "
        f"({given_up:.2f} % of the shares)."
    )
    confirm(f"end the request of {account} and stake {text}")
    send(account, fund.cancel_request, doing="the end of the request")
    print("Done.")


@for_people
def status(account_name: str | None = None) -> None:
    """Say what the account has in the fund; read-only."""
    quiet()
    deployment = current()
    print("\n" + "\n".join(lines(deployment, signer("staker", account_name))))


def check(deployment: Deployment, account: Any, quote: int) -> None:
    """
    Refuse what cannot work.

    Raises
    ------
    ScriptError
        If the account has less than `quote`, or another stake that has not entered.
    """
    token(deployment, "Quote").require_held(account, quote)
    if entry_of(deployment, account).enters_at:
        raise ScriptError(
            f"{account} has a stake that has not entered: `brownie run stake enter` first"
        )


def stake(deployment: Deployment, account: Any, quote: int) -> None:
    """
    Approve what is missing, and stake.

    Raises
    ------
    RefusedError
        If token or fund refuse.
    """
    fund = contract(deployment, "InsuranceFund")
    token(deployment, "Quote").approve(account, fund, quote)
    send(account, fund.stake, quote, doing="the stake")


def entry_of(deployment: Deployment, account: Any) -> Entry:
    """Return the account's stake that has not entered, all zero if there is none."""
    return Entry(*map(int, contract(deployment, "InsuranceFund").entry_of(account)))


def check_enter(deployment: Deployment, account: Any) -> Entry:
    """
    Return a stake that can enter now.

    Raises
    ------
    ScriptError
        If there is none, or it is too early.
    """
    found = entry_of(deployment, account)
    if found.enters_at == 0:
        raise ScriptError(f"{account} has no stake that has not entered")
    if head_at() < found.enters_at:
        raise ScriptError(f"the stake may enter at {_time(found.enters_at)}, not before")
    return found


def shares_to_leave(deployment: Deployment, account: Any, quote: int | None) -> int:
    """
    Return the shares that are worth `quote`, rounded up, or all with `None`.

    Raises
    ------
    ScriptError
        If there is a request already, or less staked.
    """
    fund = contract(deployment, "InsuranceFund")
    shares, worth = int(fund.shares_of(account)), int(fund.worth(account))
    if int(fund.request_of(account)[3]):
        raise ScriptError(
            f"{account} has asked to leave already: `brownie run stake unstake` when it is time, "
            "or `brownie run stake cancel`"
        )
    if worth == 0:
        raise ScriptError(f"{account} has nothing in the fund")
    if quote is None:
        return shares
    if quote > worth:
        has = token(deployment, "Quote").show(worth)
        raise ScriptError(f"{account} has only {has} in the fund")
    return min(shares, mul_div_up(shares, quote, worth))


def request_of(deployment: Deployment, account: Any) -> Request:
    """
    Return the account's request.

    Raises
    ------
    ScriptError
        If there is none.
    """
    answer = contract(deployment, "InsuranceFund").request_of(account)
    found = Request(*map(int, answer))
    if found.opens_at == 0:
        raise ScriptError(f"{account} has not asked to leave: `brownie run stake request all`")
    return found


def check_unstake(deployment: Deployment, account: Any) -> Request:
    """
    Return a request that can be paid now.

    Raises
    ------
    ScriptError
        If there is none, or it is not the time.
    """
    found, now = request_of(deployment, account), head_at()
    if now > found.expires_at:
        raise ScriptError(
            f"the request expired at {_time(found.expires_at)}: end it with `brownie run stake "
            "cancel` and ask again"
        )
    if now < found.opens_at:
        raise ScriptError(f"payment opens at {_time(found.opens_at)}, not before")
    return found


def lines(deployment: Deployment, account: Any) -> list[str]:
    """Return what the account has in the fund, and what the fund has."""
    fund, coin = contract(deployment, "InsuranceFund"), token(deployment, "Quote")
    text = [
        (
            f"Fund     {coin.show(int(fund.held()))}, "
            f"{coin.show(int(fund.pending()))} of it coming or leaving, "
            f"{coin.show(int(fund.uncollected()))} owed by venues"
        ),
        f"Staked   {coin.show(int(fund.worth(account)))} by {account}",
    ]
    entry = entry_of(deployment, account)
    if entry.enters_at:
        text.append(f"Coming   {coin.show(entry.worth)}, to enter from {_time(entry.enters_at)}")
    found = Request(*map(int, fund.request_of(account)))
    if found.opens_at:
        text.append(
            f"Leaving  {coin.show(found.worth)}, to be taken from "
            f"{_time(found.opens_at)} to {_time(found.expires_at)}"
        )
    return text


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
