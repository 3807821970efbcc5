# SPDX-License-Identifier: MIT
"""
Take over a part of the position that the venue's backstop holds from liquidations.

    brownie run take_over
    brownie run take_over main 10
    brownie run take_over main all
    brownie run take_over main 10 2505
    brownie run take_over main 10 any alice --network <an added network>

Without a size it shows what is for sale (read-only). The size is in whole assets
and has the sign of the backstop's position by itself; the price after it is the
worst that is accepted, by default half a per cent worse than shown. The discount
grows for an hour, until somebody takes. Margin is as for a trade (`trade.py`):
what is taken is the account's position, and no trade moves the premium. `alice`
is a Brownie account, on a local chain also the number of a test account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from keeper.units import WAD, div_floor
from scripts.accounts import confirm, signer
from scripts.amounts import at_least, at_most, parse, show
from scripts.calls import (
    ScriptError,
    contract,
    current,
    for_people,
    quiet,
    require_price,
    send,
)
from scripts.deployments import Deployment
from scripts.tokens import token
from scripts.trade import ANY, lines

ALL: Final = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """What the backstop holds, raw and signed, and what a part of it is sold at, WAD."""

    size: int
    premium_wad: int
    discount_wad: int
    price_wad: int


@for_people
def main(amount: str | None = None, limit: str | None = None, name: str | None = None) -> None:
    """Show what is for sale, or take some of it; see the file's docstring."""
    quiet()
    deployment = current()
    require_price(deployment, "the sale")
    sale = for_sale(deployment)
    print("\n" + "\n".join(sale_lines(deployment, sale)))
    if amount is None:
        return
    account, asset = signer("trader", name), token(deployment, "Asset")
    if sale.size == 0:
        raise ScriptError("the backstop holds nothing")
    whole = abs(sale.size)
    wanted = whole if amount == ALL else asset.parse(amount)
    if wanted > whole:
        raise ScriptError(f"the backstop holds no more than {asset.show(whole)}")
    worst = at_most(sale.price_wad) if sale.size > 0 else at_least(sale.price_wad)
    limit_wad = worst if limit in (None, ANY) else parse(str(limit), 18)
    confirm(f"take over {asset.show(wanted)} as {account}, at {show(limit_wad, 18, 4)} or better")
    paid = take_over(deployment, account, wanted if sale.size > 0 else -wanted, limit_wad)
    money = token(deployment, "Quote").show
    print(f"Done: {'pays' if paid >= 0 else 'receives'} {money(abs(paid))}, fee included.")
    print("\n".join(lines(deployment, account)))


def take_over(deployment: Deployment, account: Any, size: int, limit_wad: int) -> int:
    """
    Take raw `size`, sign of the backstop's position; return quote paid, fee included.

    Raises
    ------
    RefusedError
        If the venue refuses.
    """
    venue = contract(deployment, "PerpVenue")
    receipt = send(account, venue.take_over, size, limit_wad, doing="the taking over")
    done = receipt.events["BackstopTaken"]
    return int(done["cost"]) + int(done["fee"])


def for_sale(deployment: Deployment) -> Sale:
    """Return what is for sale at the price of now."""
    offer = contract(deployment, "PerpVenue").offer().dict()
    price_wad = int(contract(deployment, "PriceOracle").read()[0])
    return Sale(
        size=int(offer["size"]),
        premium_wad=int(offer["premium_wad"]),
        discount_wad=int(offer["discount_wad"]),
        price_wad=div_floor(price_wad * int(offer["rate_wad"]), WAD),
    )


def sale_lines(deployment: Deployment, sale: Sale) -> list[str]:
    """Return what a taker wants to know."""
    if sale.size == 0:
        return ["For sale    nothing: the backstop has no position"]
    side = "long" if sale.size > 0 else "short"
    sign = "+" if sale.size > 0 else "-"
    return [
        f"For sale    {token(deployment, 'Asset').show(abs(sale.size))} {side}",
        (
            f"Price       {show(sale.price_wad, 18, 4)} and the taker fee; index {sign} premium of "
            f"{sale.premium_wad / WAD:.4%}, discount {sale.discount_wad / WAD:.4%}"
        ),
    ]
