# SPDX-License-Identifier: MIT
"""
Trade the perpetual, and move the margin behind it.

    brownie run trade main deposit 1000
    brownie run trade main deposit 2 asset
    brownie run trade main buy 10
    brownie run trade main buy 10 2505
    brownie run trade main sell 10 any alice --network <an added network>
    brownie run trade main close
    brownie run trade main realise
    brownie run trade main withdraw all
    brownie run trade main status

Sizes are in whole assets, margin in whole quote tokens or, with `asset`, whole
assets. The price after a size is the worst that is accepted on average; without
one, or with `any`, it is half a per cent worse than quoted. `alice` is a Brownie
account, on a local chain also the number of a test account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from keeper.curve import (
    Scale,
    after_trade,
    closing_loss_up,
    fee_up,
    fill_cost_up,
    fill_price_wad,
)
from keeper.risk import liquidation_price_wad
from keeper.snapshot import Margin, Market
from keeper.units import BPS, Assets, Quote, Wad, positive_part, price_divisor, sign
from scripts.accounts import confirm, signer
from scripts.amounts import at_least, at_most, parse, show
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

PERPETUAL: Final = 0
ANY: Final = "any"
COINS: Final = {"asset": "Asset", "quote": "Quote"}
USAGE: Final = (
    "say what: `buy 10`, `sell 10`, `close`, `deposit 1000`, `deposit 2 asset`, `withdraw all`, "
    "`realise` or `status`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An account at the venue, and the market, at the price of now."""

    market: Market
    margin: Margin
    scale: Scale

    @property
    def liquidation_price_wad(self) -> Wad | None:
        """Return where the account would be liquidated."""
        return liquidation_price_wad(self.margin, self.market, self.scale)

    @property
    def worse_equity(self) -> Quote:
        """Return equity at the worse of index and closing now, which has to be the initial."""
        loss = closing_loss_up(self.market, self.margin.delta, self.scale)
        return Quote(self.margin.equity - loss)

    @property
    def free_quote(self) -> Quote:
        """Return quote that can be withdrawn: no profit, no loan, nothing that is needed."""
        margin = self.margin
        loss = closing_loss_up(self.market, margin.delta, self.scale)
        backing = margin.equity - margin.profit + min(margin.profit - loss, 0)
        return Quote(positive_part(min(margin.quote, backing - margin.initial)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A trade as it would be done now: quote paid positive, prices WAD."""

    size: Assets  # bought positive
    cost: Quote  # fee excluded
    fee: Quote
    fill_wad: Wad
    limit_wad: int
    before: Standing
    after: Standing


@for_people
def main(action: str | None = None, *words: str) -> None:
    """Do what a trader does; see the file's docstring."""
    quiet()
    if action in ("buy", "sell") and 1 <= len(words) <= 3:
        limit = words[1] if len(words) > 1 and words[1] != ANY else None
        name = words[2] if len(words) > 2 else None
        _trade_size(action, words[0], limit, name)
    elif action in ("deposit", "withdraw") and 1 <= len(words) <= 3:
        named = len(words) > 1 and words[1] in COINS
        rest = words[2:] if named else words[1:]
        if len(rest) > 1:
            raise ScriptError(USAGE)
        move = _deposit if action == "deposit" else _withdraw
        move(words[0], words[1] if named else "quote", rest[0] if rest else None)
    elif action in ("close", "realise", "status") and len(words) <= 1:
        act = {"close": _close, "realise": _realise, "status": _status}[action]
        act(words[0] if words else None)
    else:
        raise ScriptError(USAGE)


# What a person does


def _trade_size(action: str, amount: str, limit: str | None, name: str | None) -> None:
    deployment, account = current(), signer("trader", name)
    size = token(deployment, "Asset").parse(amount)
    limit_wad = parse(limit, 18) if limit is not None else None
    _carry_out(deployment, account, size if action == "buy" else -size, limit_wad)


def _close(name: str | None) -> None:
    deployment, account = current(), signer("trader", name)
    delta = standing(deployment, account).margin.delta
    if delta == 0:
        raise ScriptError(f"{account} has no position")
    _carry_out(deployment, account, -delta, None)


def _carry_out(deployment: Deployment, account: Any, size: int, limit_wad: int | None) -> None:
    offer = quote(deployment, account, size, limit_wad)
    check(deployment, account, offer)
    for line in offer_lines(deployment, account, offer):
        print(line)
    size_shown = token(deployment, "Asset").show(abs(size))
    verb = "buy" if size > 0 else "sell"
    confirm(f"{verb} {size_shown} as {account}, at {show(offer.limit_wad, 18, 4)} or better")
    paid = trade(deployment, account, offer)
    print(f"Done: {_paid(deployment, paid)}, fee included.")


def _deposit(amount: str, coin: str, name: str | None) -> None:
    deployment, account = current(), signer("trader", name)
    paid = token(deployment, COINS[coin])
    units = paid.parse(amount)
    paid.require_held(account, units)
    print(f"\n{account} deposits {paid.show(units)} as margin")
    confirm(f"approve and deposit {paid.show(units)} from {account}")
    deposit(deployment, account, coin, units)
    print("\n".join(lines(deployment, account)))


def _withdraw(amount: str, coin: str, name: str | None) -> None:
    deployment, account = current(), signer("trader", name)
    paid, most = token(deployment, COINS[coin]), withdrawable(deployment, account, coin)
    units = most if amount == "all" else paid.parse(amount)
    if units > most or most == 0:
        raise ScriptError(
            f"{account} can withdraw {paid.show(most)} now: the rest is not there, is profit that "
            "is not realised, or is needed as margin"
        )
    print(f"\n{account} withdraws {paid.show(units)}")
    confirm(f"withdraw {paid.show(units)} to {account}")
    withdraw(deployment, account, coin, units)
    print("\n".join(lines(deployment, account)))


def _realise(name: str | None) -> None:
    deployment, account = current(), signer("trader", name)
    venue, doing = contract(deployment, "PerpVenue"), "realising"
    gained = token(deployment, "Quote").show(ask(account, venue.realise, doing=doing))
    print(f"\n{account} turns {gained} of profit into margin that can be withdrawn")
    confirm(f"realise {gained} of profit of {account}")
    send(account, venue.realise, doing=doing)
    print("\n".join(lines(deployment, account)))


def _status(name: str | None) -> None:
    deployment = current()
    print("\n" + "\n".join(lines(deployment, signer("trader", name))))


# What it does on chain


def trade(deployment: Deployment, account: Any, offer: Offer) -> int:
    """
    Trade, and return quote paid (negative: received), fee included.

    Raises
    ------
    RefusedError
        If the venue refuses.
    """
    venue = contract(deployment, "PerpVenue")
    words = (PERPETUAL, offer.size, offer.limit_wad)
    receipt = send(account, venue.trade, *words, doing="the trade")
    done = receipt.events["Traded"]
    return int(done["cost"]) + int(done["fee"])


def deposit(deployment: Deployment, account: Any, coin: str, units: int) -> None:
    """Approve what is missing and deposit raw units of the `asset` or the `quote`."""
    venue = contract(deployment, "PerpVenue")
    token(deployment, COINS[coin]).approve(account, venue, units)
    send(account, venue.deposit, *_amounts(coin, units), doing="the deposit")


def withdraw(deployment: Deployment, account: Any, coin: str, units: int) -> None:
    """Withdraw raw units of the `asset` or the `quote` to the account."""
    venue = contract(deployment, "PerpVenue")
    send(account, venue.withdraw, *_amounts(coin, units), account, doing="the withdrawal")


# What is so now


def standing(deployment: Deployment, account: Any) -> Standing:
    """
    Return account and market at the price of now, or at the last one while there is none.

    After the end of the venue that is the frozen price.
    """
    venue = contract(deployment, "PerpVenue")
    good, price, _ = contract(deployment, "PriceOracle").try_read()
    last_wad = int(venue.state().dict()["price_wad"])
    price_wad = last_wad if last_wad and not good else int(price[0])
    decimals = [token(deployment, name).decimals for name in ("Asset", "Quote")]
    return Standing(
        market=Market(**_integers(venue.market(price_wad))),
        margin=Margin(**_integers(venue.margin(account, price_wad))),
        scale=Scale(price_wad=Wad(price_wad), divisor=price_divisor(*decimals)),
    )


def quote(deployment: Deployment, account: Any, size: int, limit_wad: int | None = None) -> Offer:
    """
    Return what a trade of raw `size` (bought positive) would do now.

    Parameters
    ----------
    limit_wad : int, optional
        The worst mean fill accepted; by default that of now and
        `amounts.TOLERANCE_BPS`.

    Raises
    ------
    RefusedError
        While there is no good price.
    """
    require_price(deployment, "the trade")
    before = standing(deployment, account)
    market, margin = after_trade(before.market, before.margin, size, before.scale)
    fill_wad = fill_price_wad(before.market, size, before.scale.price_wad)
    if limit_wad is None:
        limit_wad = at_most(fill_wad) if size > 0 else at_least(fill_wad)
    return Offer(
        size=Assets(size),
        cost=fill_cost_up(before.market, size, before.scale),
        fee=fee_up(before.market, size, before.scale),
        fill_wad=fill_wad,
        limit_wad=limit_wad,
        before=before,
        after=Standing(market=market, margin=margin, scale=before.scale),
    )


def check(deployment: Deployment, account: Any, offer: Offer) -> None:
    """
    Refuse what cannot work, with what would.

    Raises
    ------
    ScriptError
        If the fill is over the limit, the side is full, or the margin does not suffice.
    """
    asset, money = token(deployment, "Asset").show, token(deployment, "Quote").show
    if sign(offer.size) * (offer.fill_wad - offer.limit_wad) > 0:
        raise ScriptError(
            f"the fill would be {show(offer.fill_wad, 18, 4)} on average, worse than "
            f"{show(offer.limit_wad, 18, 4)}"
        )
    old, new = offer.before.margin.delta, offer.after.margin.delta
    if min(old, 0) <= new <= max(old, 0):
        return  # a reduction, which caps and initial margin do not bind
    market = offer.after.market
    side = market.long_size if new > 0 else market.short_size
    if side > market.max_side:
        room = positive_part(market.max_side - (side - abs(offer.size)))
        raise ScriptError(f"the side is full: it has room for {asset(room)}")
    lacking = offer.after.margin.initial - offer.after.worse_equity
    if lacking > 0:
        raise ScriptError(
            f"{account} would have {money(offer.after.worse_equity)} of margin and needs "
            f"{money(offer.after.margin.initial)}: deposit {money(lacking)} more, or trade less"
        )


def withdrawable(deployment: Deployment, account: Any, coin: str) -> int:
    """
    Return raw units of the `asset` or the `quote` that the account can withdraw.

    With a position it is less by a basis point of the initial margin, for the funding that
    accrues until the withdrawal is mined.
    """
    found = standing(deployment, account)
    spare = found.margin.initial // BPS
    if coin == "quote":
        free: int = found.free_quote
    else:
        venue = contract(deployment, "PerpVenue")
        free = int(venue.free_assets(account, found.scale.price_wad, BPS))
        spare = found.scale.assets_up(spare) if spare else 0
    return positive_part(free - spare)


def offer_lines(deployment: Deployment, account: Any, offer: Offer) -> list[str]:
    """Return what a trader wants to know before he trades."""
    asset, money = token(deployment, "Asset").show, token(deployment, "Quote").show
    before, after = offer.before, offer.after
    verb = "buys" if offer.size > 0 else "sells"
    return [
        "",
        (
            f"{account} {verb} {asset(abs(offer.size))} at {show(offer.fill_wad, 18, 4)} on "
            f"average; index {show(before.scale.price_wad, 18, 4)}"
        ),
        f"Cost        {_paid(deployment, offer.cost)}, and a fee of {money(offer.fee)}",
        f"Position    {asset(before.margin.delta)} -> {asset(after.margin.delta)}",
        (
            f"Margin      {money(before.margin.equity)} -> {money(after.margin.equity)}; to open "
            f"{money(after.margin.initial)}, to stay {money(after.margin.maintenance)}"
        ),
        f"Liquidated  {_liquidated(before)} -> {_liquidated(after)}",
    ]


def lines(deployment: Deployment, account: Any) -> list[str]:
    """Return what the account has at the venue."""
    asset, money = token(deployment, "Asset").show, token(deployment, "Quote").show
    found = standing(deployment, account)
    margin = found.margin
    free = [withdrawable(deployment, account, coin) for coin in COINS]
    out = [
        f"Account     {account}",
        f"Deposited   {money(margin.quote)} and {asset(margin.assets)}",
        f"Position    {asset(margin.delta)}, profit {money(margin.profit)}",
        (
            f"Margin      {money(margin.equity)}; to open {money(margin.initial)}, to stay "
            f"{money(margin.maintenance)}"
        ),
        f"Liquidated  {_liquidated(found)}; the index is {show(found.scale.price_wad, 18, 4)}",
        f"Can take    {money(free[1])} and {asset(free[0])}",
    ]
    stage = int(contract(deployment, "PerpVenue").stage())
    note = ("", "withdrawals wait for deleveraging", "deleveraging runs", "it is wound up")[stage]
    return [*out, f"Venue       {note}"] if note else out


# Internals


def _liquidated(found: Standing) -> str:
    price_wad = found.liquidation_price_wad
    return "at no price" if price_wad is None else f"at {show(price_wad, 18, 4)}"


def _paid(deployment: Deployment, units: int) -> str:
    money = token(deployment, "Quote").show
    return f"pays {money(units)}" if units >= 0 else f"receives {money(-units)}"


def _amounts(coin: str, units: int) -> tuple[int, int]:
    return (units, 0) if coin == "asset" else (0, units)


def _integers(answer: Any) -> dict[str, Any]:
    return {name: int(value) for name, value in answer.dict().items()}
