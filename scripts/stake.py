# SPDX-License-Identifier: MIT
"""
Stake quote in the insurance fund, and leave it again.

    brownie run stake main 1000
    brownie run stake request 250
    brownie run stake request all alice --network <an added network>
    brownie run stake unstake
    brownie run stake cancel
    brownie run stake status

Amounts are in whole quote tokens; the account's name comes last. Who wants to
leave asks first, waits, and is paid within a window; until then he bears losses
and earns nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from keeper.units import mul_div_up
from scripts.accounts import confirm, signer
from scripts.amounts import at_least
from scripts.calls import ScriptError, ask, contract, current, for_people, quiet, send
from scripts.chain_time import head_at
from scripts.deployments import Deployment
from scripts.tokens import token

SHARE_UNITS: Final = 10**6  # shares for the first quote unit


class Request(NamedTuple):
    """A request as the fund has it (`IInsuranceFund.Request`), quote units and Unix seconds."""

    shares: int
    value: int
    worth: int
    opens_at: int
    expires_at: int


@for_people
def main(amount: str | None = None, account_name: str | None = None) -> None:
    """Stake as a person would; see the file's docstring."""
    quiet()
    if amount is None:
        raise ScriptError("say how much: `brownie run stake main 1000`")
    deployment, account = current(), signer("depositor", account_name)
    coin = token(deployment, "Quote")
    quote = coin.parse(amount)
    check(deployment, account, quote)
    fund = contract(deployment, "InsuranceFund")
    shares = ask(account, fund.preview_stake, quote, doing="the stake")
    print(
        f"\n{account} stakes {coin.show(quote)} "
        f"for {coin.number(shares // SHARE_UNITS)} shares.\n"
        f"Losses of the venue may use it up. Leaving takes {_days(fund.UNSTAKE_DELAY())} days."
    )
    confirm(f"approve and stake {coin.show(quote)} from {account}")
    print(f"Done: {stake(deployment, account, quote, at_least(shares)):,} raw shares.")


@for_people
def request(amount: str | None = None, account_name: str | None = None) -> None:
    """Ask to leave with an amount, or all."""
    quiet()
    if amount is None:
        raise ScriptError("say how much: `brownie run stake request 250`, or `all`")
    deployment, account = current(), signer("depositor", account_name)
    fund = contract(deployment, "InsuranceFund")
    coin = token(deployment, "Quote")
    quote = None if amount == "all" else coin.parse(amount)
    shares = shares_to_leave(deployment, account, quote)
    value = ask(account, fund.request_unstake, shares, doing="the request")
    print(
        f"\n{account} asks to leave with {coin.show(value)}.\n"
        f"It bears losses and earns nothing. Payment opens in {_days(fund.UNSTAKE_DELAY())} days, "
        f"for {_days(fund.UNSTAKE_WINDOW())} days."
    )
    confirm(f"ask to leave with {coin.show(value)} as {account}")
    send(account, fund.request_unstake, shares, doing="the request")
    print(f"Done: be there from {_time(request_of(deployment, account).opens_at)}.")


@for_people
def unstake(account_name: str | None = None) -> None:
    """Take what a request is worth."""
    quiet()
    deployment, account = current(), signer("depositor", account_name)
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
    deployment, account = current(), signer("depositor", account_name)
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
    print("\n" + "\n".join(lines(deployment, signer("depositor", account_name))))


def check(deployment: Deployment, account: Any, quote: int) -> None:
    """
    Refuse what cannot work.

    Raises
    ------
    ScriptError
        If the account has less than `quote`.
    """
    token(deployment, "Quote").require_held(account, quote)


def stake(deployment: Deployment, account: Any, quote: int, least_shares: int) -> int:
    """
    Approve what is missing, stake, and return the raw shares.

    Raises
    ------
    RefusedError
        If token or fund refuse.
    """
    fund = contract(deployment, "InsuranceFund")
    before = int(fund.shares_of(account))
    token(deployment, "Quote").approve(account, fund, quote)
    send(account, fund.stake, quote, least_shares, doing="the stake")
    return int(fund.shares_of(account)) - before


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
            f"{coin.show(int(fund.pending()))} of it leaving, "
            f"{coin.show(int(fund.uncollected()))} owed by venues"
        ),
        f"Staked   {coin.show(int(fund.worth(account)))} by {account}",
    ]
    found = Request(*map(int, fund.request_of(account)))
    if found.opens_at:
        text.append(
            f"Leaving  {coin.show(found.worth)}, to be taken from "
            f"{_time(found.opens_at)} to {_time(found.expires_at)}"
        )
    return text


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _days(secs: int) -> str:
    return f"{int(secs) / 86_400:g}"
