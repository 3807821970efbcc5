# SPDX-License-Identifier: MIT
"""
Be the other side of the venue: put quote into its liquidity pool, and take it out.

    brownie run provide main request 1000
    brownie run provide main leave all
    brownie run provide main execute
    brownie run provide main cancel
    brownie run provide main status
    brownie run provide main request 1000 alice --network <an added network>

Both ways go by request. It can be executed after a delay, in a later round of
the price feed, at the worse of the value at the request and the value then;
anybody may do it. Amounts are whole quote tokens, for `leave` whole shares or
`all`. `alice` is a Brownie account, on a local chain also the number of a test
account. Once the venue is wound up and its claims are fixed, `leave all` pays at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from brownie import web3

from keeper.units import BPS, mul_div_down, mul_div_up, price_divisor
from scripts.accounts import confirm, signer
from scripts.calls import (
    ScriptError,
    ask,
    contract,
    current,
    for_people,
    quiet,
    require_price,
    send,
    simulate,
)
from scripts.deployments import Deployment
from scripts.tokens import token

# How much worse than quoted a request may be executed: hours pass, and the pool's value with them.
TOLERANCE_BPS: Final = 300
WOUND_UP: Final = 3  # stage of the venue
USAGE: Final = "say what: `request 1000`, `leave 500`, `leave all`, `execute`, `cancel` or `status`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A pending request, and when it may be executed; times are Unix seconds."""

    amount: int  # quote that is to enter, or shares that are to leave; raw units
    least: int  # shares or quote that its owner accepts
    round_id: int
    due_at: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What an account has in the pool; raw units, the value rounded down."""

    shares: int  # those that are to leave not counted
    value: int  # quote, of all shares at the price of now
    entry: Request | None
    exit: Request | None


@for_people
def main(
    action: str | None = None, amount: str | None = None, account_name: str | None = None
) -> None:
    """Do what a provider does; see the file's docstring."""
    quiet()
    if action in ("execute", "cancel", "status"):
        amount, account_name = None, account_name or amount
    elif action not in ("request", "leave") or amount is None:
        raise ScriptError(USAGE)
    deployment = current()
    account = signer("provider", account_name)
    match action:
        case "request":
            _enter(deployment, account, amount or "")
        case "leave":
            _leave(deployment, account, amount or "")
        case "execute":
            _execute(deployment, account)
        case "cancel":
            _cancel(deployment, account)
        case _:
            print()
            _tell(deployment, account)


# What a person does


def _enter(deployment: Deployment, account: Any, amount: str) -> None:
    coin = token(deployment, "Quote")
    quote = coin.parse(amount)
    check_request(deployment, account, quote)
    shares = shares_for(deployment, quote)
    print(
        f"\n{account} pays   {coin.show(quote)} into escrow\n"
        f"and receives  {coin.number(shares)} shares when the request is executed, or fewer: "
        f"no fewer than {coin.number(_least(shares))}"
    )
    confirm(f"approve and request to provide {coin.show(quote)} from {account}")
    request(deployment, account, quote)
    print("Requested.")
    _tell(deployment, account)


def _leave(deployment: Deployment, account: Any, amount: str) -> None:
    if int(contract(deployment, "PerpVenue").stage()) == WOUND_UP:
        _leave_for_good(deployment, account, amount)
        return
    coin = token(deployment, "Quote")
    held = int(contract(deployment, "LiquidityPool").shares_of(account))
    shares = held if amount == "all" else coin.parse(amount)
    check_leave(deployment, account, shares)
    quote, assets = worth_of(deployment, shares)
    print(
        f"\n{account} gives up  {coin.number(shares)} shares\n"
        f"and receives  {coin.show(quote)} and "
        f"{token(deployment, 'Asset').show(assets)} when the request is executed, or "
        f"less: no less than {coin.show(_least(quote))}\n"
        "Until then they bear losses and earn nothing."
    )
    confirm(f"request to remove {coin.number(shares)} shares of {account}")
    leave(deployment, account, shares)
    print("Requested.")
    _tell(deployment, account)


def _leave_for_good(deployment: Deployment, account: Any, amount: str) -> None:
    if amount != "all":
        raise ScriptError("the venue is wound up: everybody leaves with all, `leave all`")
    pool, doing = _pool(deployment), "leaving"
    answer = simulate(account, pool.address, pool.leave.encode_input(account), doing)
    quote, assets = map(int, pool.leave.decode_output("0x" + answer.hex()))
    coin = token(deployment, "Quote")
    paid = f"{coin.show(quote)} and {token(deployment, 'Asset').show(assets)}"
    print(f"\n{account} receives {paid}, its part of what the venue's claims left")
    confirm(f"leave the pool with {paid} as {account}")
    send(account, pool.leave, account, doing=doing)
    print("Done.")


def _execute(deployment: Deployment, account: Any) -> None:
    held = holding(deployment, account)
    if held.entry is None and held.exit is None:
        raise ScriptError(f"{account} has requested nothing")
    pending = {"entry": held.entry, "exit": held.exit}
    for each in pending.values():
        if each is not None:
            check_due(deployment, account, each)
    stand = int(_pool(deployment).PRICE_STAND())
    if not price_noted(deployment) and int(_pool(deployment).total_shares()) > 0:
        confirm(f"note the price as {account}, from when it must stand for {stand} seconds")
        note_price(deployment, account)
        print(f"The price is noted. Execute in {stand} seconds, unless another one comes.")
        return
    for kind, each in pending.items():
        if each is not None:
            confirm(f"execute the {kind} of {account}: {_preview(deployment, account, kind)}")
            execute(deployment, account, kind)
    _tell(deployment, account)


def _cancel(deployment: Deployment, account: Any) -> None:
    held = holding(deployment, account)
    coin = token(deployment, "Quote")
    if held.entry is None and held.exit is None:
        raise ScriptError(f"{account} has requested nothing")
    if held.entry is not None:
        confirm(f"cancel: {coin.show(held.entry.amount)} go back to {account}")
    if held.exit is not None:
        confirm(f"cancel: {coin.number(held.exit.amount)} shares stay with {account}")
    cancel(deployment, account)
    print("Cancelled.")


def _tell(deployment: Deployment, account: Any) -> None:
    for line in lines(deployment, account):
        print(line)


def _preview(deployment: Deployment, account: Any, kind: str) -> str:
    coin = token(deployment, "Quote")
    pool, doing = _pool(deployment), "the execution"
    if kind == "entry":
        return f"{coin.number(ask(account, pool.execute_provide, account, doing=doing))} shares"
    method = pool.execute_remove
    answer = simulate(account, pool.address, method.encode_input(account), doing)
    quote, assets = method.decode_output("0x" + answer.hex())
    return f"{coin.show(int(quote))} and {token(deployment, 'Asset').show(int(assets))}"


# What it does on chain


def request(deployment: Deployment, account: Any, quote: int) -> None:
    """
    Approve what is missing and ask to provide raw quote; the first provider is in at once.

    Raises
    ------
    RefusedError
        If token or pool refuse.
    """
    pool = _pool(deployment)
    least = _least(shares_for(deployment, quote))
    token(deployment, "Quote").approve(account, pool, quote)
    send(account, pool.request_provide, quote, least, doing="the request")
    if int(pool.total_shares()) == 0:
        execute(deployment, account, "entry")


def leave(deployment: Deployment, account: Any, shares: int) -> None:
    """Ask to remove raw shares, to be paid to their owner."""
    least = _least(worth_of(deployment, shares)[0])
    pool = _pool(deployment)
    send(account, pool.request_remove, shares, least, account, doing="the request")


def note_price(deployment: Deployment, account: Any) -> None:
    """Let the price of now begin to stand."""
    send(account, _pool(deployment).note_price, doing="noting the price")


def execute(deployment: Deployment, account: Any, kind: str) -> None:
    """Execute the account's own `entry` or `exit`."""
    pool = _pool(deployment)
    method = pool.execute_provide if kind == "entry" else pool.execute_remove
    send(account, method, account, doing="the execution")


def cancel(deployment: Deployment, account: Any) -> None:
    """Take everything back out of escrow."""
    pool, held = _pool(deployment), holding(deployment, account)
    if held.entry is not None:
        send(account, pool.cancel_provide, doing="cancelling")
    if held.exit is not None:
        send(account, pool.cancel_remove, doing="cancelling")


# What is so now


def holding(deployment: Deployment, account: Any) -> Holding:
    """Return what the account has in the pool and has requested."""
    pool = _pool(deployment)
    entry, leaving = pool.provision_of(account).dict(), pool.removal_of(account).dict()
    shares = int(pool.shares_of(account))
    everything = shares + int(leaving["shares"])
    good = bool(contract(deployment, "PriceOracle").try_read()[0])
    value = _value(deployment, everything) if everything and good else 0
    return Holding(
        shares=shares,
        value=value,
        entry=_request(pool, entry, "quote", "min_shares"),
        exit=_request(pool, leaving, "shares", "min_quote"),
    )


def lines(deployment: Deployment, account: Any) -> list[str]:
    """Return what a provider wants to know."""
    coin = token(deployment, "Quote")
    held = holding(deployment, account)
    out = [f"Shares     {coin.number(held.shares)}"]
    if held.shares or held.exit is not None:
        out[0] += f"; all of the account's are worth {coin.show(held.value)} now"
    for pending, what in (
        (held.entry, f"{coin.symbol} that enter"),
        (held.exit, "shares that leave"),
    ):
        if pending is not None:
            amount = coin.number(pending.amount)
            out.append(f"Requested  {amount} {what}: {_when(deployment, pending)}")
    return out


def shares_for(deployment: Deployment, quote: int) -> int:
    """
    Return the shares that raw quote buys at the value of now, rounded down.

    Raises
    ------
    ScriptError
        While the pool's equity is not positive.
    RefusedError
        While there is no good price.
    """
    require_price(deployment, "the request")
    pool = _pool(deployment)
    supply, equity = int(pool.total_shares()), _equity(deployment)
    if supply == 0:
        return quote
    if equity <= 0:
        raise ScriptError("the pool's equity is not positive: nobody can enter or leave now")
    return mul_div_down(quote, supply, equity)


def worth_of(deployment: Deployment, shares: int) -> tuple[int, int]:
    """Return quote and assets that raw shares are paid at the value of now, rounded down."""
    require_price(deployment, "the request")
    if _equity(deployment) <= 0:
        raise ScriptError("the pool's equity is not positive: nobody can enter or leave now")
    pool, value = _pool(deployment), _value(deployment, shares)
    inventory = int(pool.holdings()[1]) + int(contract(deployment, "PerpVenue").reserves()[2])
    price_wad, divisor = _price(deployment), _divisor(deployment)
    assets = min(
        mul_div_down(inventory, shares, int(pool.total_shares())),
        mul_div_down(value, divisor, price_wad),
    )
    return max(0, value - mul_div_up(assets, price_wad, divisor)), assets


def price_noted(deployment: Deployment) -> bool:
    """Tell whether the price of now is noted at the pool; it may have to stand longer."""
    noted, now = _pool(deployment).noted_price(), contract(deployment, "PriceOracle").read()
    return (int(noted[0]), int(noted[1])) == (int(now[0]), int(now[2]))


def check_request(deployment: Deployment, account: Any, quote: int) -> None:
    """
    Refuse what cannot work, with what would.

    Raises
    ------
    ScriptError
        If the account has not so much, has a request already, or would hold too little.
    """
    coin = token(deployment, "Quote")
    coin.require_held(account, quote)
    held = holding(deployment, account)
    if held.entry is not None:
        raise ScriptError(f"{account} has a request already: execute or cancel it")
    least = int(_pool(deployment).MIN_HOLDING())
    if held.shares + shares_for(deployment, quote) < least:
        raise ScriptError(f"a provider holds at least {coin.number(least)} shares")


def check_leave(deployment: Deployment, account: Any, shares: int) -> None:
    """
    Refuse what cannot work, with what would.

    Raises
    ------
    ScriptError
        If the account has not so many, has a request already, or would keep too few.
    """
    coin = token(deployment, "Quote")
    held = holding(deployment, account)
    if held.exit is not None:
        raise ScriptError(f"{account} has a request already: execute or cancel it")
    if held.shares == 0:
        raise ScriptError(f"{account} has no shares of this pool")
    if held.shares < shares:
        raise ScriptError(f"{account} has only {coin.number(held.shares)} shares")
    least = int(_pool(deployment).MIN_HOLDING())
    if 0 < held.shares - shares < least:
        raise ScriptError(
            f"a provider keeps at least {coin.number(least)} shares, or none: `leave all`"
        )


def check_due(deployment: Deployment, account: Any, pending: Request) -> None:
    """
    Say when a request is due that is not, in words.

    Raises
    ------
    ScriptError
        If it is too early, too late, or no later price has come. Not while the pool is empty,
        when the first provision needs no waiting.
    """
    if int(_pool(deployment).total_shares()) and not _is_due(deployment, pending):
        raise ScriptError(f"the request of {account} is {_when(deployment, pending)}")


# Internals


def _when(deployment: Deployment, pending: Request) -> str:
    now = _now()
    if now > pending.expires_at:
        return "too old, it can only be cancelled"
    if now < pending.due_at:
        return f"not due for another {pending.due_at - now:,} seconds"
    if not _is_due(deployment, pending):
        return "not due before the price feed reports again"
    return f"due, for another {pending.expires_at - now:,} seconds"


def _is_due(deployment: Deployment, pending: Request) -> bool:
    round_id = int(contract(deployment, "PriceOracle").try_read()[1][2])
    return round_id > pending.round_id and pending.due_at <= _now() <= pending.expires_at


def _request(pool: Any, fields: dict[str, Any], amount: str, least: str) -> Request | None:
    if int(fields[amount]) == 0:
        return None
    at = int(fields["requested_at"])
    return Request(
        amount=int(fields[amount]),
        least=int(fields[least]),
        round_id=int(fields["round_id"]),
        due_at=at + int(pool.MIN_DELAY()),
        expires_at=at + int(pool.WINDOW()),
    )


def _least(quoted: int) -> int:
    return mul_div_down(quoted, BPS - TOLERANCE_BPS, BPS)


def _value(deployment: Deployment, shares: int) -> int:
    return mul_div_down(shares, max(0, _equity(deployment)), int(_pool(deployment).total_shares()))


def _equity(deployment: Deployment) -> int:
    return int(_pool(deployment).equity(_price(deployment)))


def _price(deployment: Deployment) -> int:
    return int(contract(deployment, "PriceOracle").read()[0])


def _divisor(deployment: Deployment) -> int:
    names = ("Asset", "Quote")
    return price_divisor(*(int(contract(deployment, name).decimals()) for name in names))


def _pool(deployment: Deployment) -> Any:
    return contract(deployment, "LiquidityPool")


def _now() -> int:
    return int(web3.eth.get_block("latest")["timestamp"])
