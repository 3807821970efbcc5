# SPDX-License-Identifier: MIT
"""
Take assets out of the vault.

    brownie run withdraw main 1.5
    brownie run withdraw main all alice --network <an added network>

The amount is in whole tokens or `all`; `alice` is a Brownie account, on a local
chain also the number of a test account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keeper.units import BPS, mul_div_up
from scripts.accounts import confirm, signer
from scripts.amounts import at_least, at_most, show, show_bps
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """
    What an exit would cost now.

    `charge` is what the exit leaves to the other holders, asset units, rounded
    up. `idle` and `margin` say where the assets come from.
    """

    assets: int
    shares: int
    charge: int
    idle: int
    margin: int


@for_people
def main(amount: str | None = None, account_name: str | None = None) -> None:
    """Withdraw as a person would; see the file's docstring."""
    quiet()
    if amount is None:
        raise ScriptError("say how much: `brownie run withdraw main 1.5`, or `all`")
    deployment = current()
    account = signer("depositor", account_name)
    asset = token(deployment, "Asset")
    assets = None if amount == "all" else asset.parse(amount)
    check(deployment, account, assets)
    offer = quote(deployment, account, assets)
    share_decimals = int(contract(deployment, "HedgeVault").decimals())
    print(
        f"\n{account} gives up  {show(offer.shares, share_decimals)} shares\n"
        f"and receives  {asset.show(offer.assets)}: "
        f"{asset.number(offer.idle)} from idle, "
        f"{asset.number(offer.margin)} from margin\n"
        f"The charge of {asset.show(offer.charge)} "
        f"({show_bps(mul_div_up(offer.charge, BPS, offer.assets))}) stays in the vault."
    )
    confirm(f"withdraw {asset.show(offer.assets)} to {account}")
    paid = withdraw(deployment, account, assets, offer)
    print(f"Done: {asset.show(paid)}.")
    rest = int(contract(deployment, "HedgeVault").balanceOf(account))
    if amount == "all" and rest:
        print(
            f"{show(rest, share_decimals)} shares stay, which are not liquid now: "
            "`brownie run redeem main request all` queues them"
        )


def quote(deployment: Deployment, account: Any, assets: int | None) -> Offer:
    """
    Return what `withdraw` would cost now; `None` asks for all that can go.

    Raises
    ------
    RefusedError
        While the vault cannot price it.
    """
    vault = contract(deployment, "HedgeVault")
    doing = "the withdrawal"
    require_price(deployment, doing)
    if assets is None:
        shares = int(vault.maxRedeem(account))
        if shares < int(vault.balanceOf(account)):
            shares = at_least(shares)  # what is liquid moves until the withdrawal is mined
        assets = ask(account, vault.previewRedeem, shares, doing=doing)
    else:
        shares = ask(account, vault.previewWithdraw, assets, doing=doing)
    worth = ask(account, vault.convertToAssets, shares, doing=doing)
    idle = min(assets, int(vault.idle_assets()))
    charge = max(0, worth - assets)
    return Offer(assets=assets, shares=shares, charge=charge, idle=idle, margin=assets - idle)


def check(deployment: Deployment, account: Any, assets: int | None) -> None:
    """
    Refuse what cannot work, with what would.

    Raises
    ------
    ScriptError
        If the account or what is liquid does not suffice.
    """
    asset, vault = token(deployment, "Asset"), contract(deployment, "HedgeVault")
    shares, most = int(vault.balanceOf(account)), int(vault.maxWithdraw(account))
    if shares == 0:
        raise ScriptError(f"{account} has no shares of this vault")
    if most == 0:
        # The reason is the chain's to give: the price, or equity that is gone.
        require_price(deployment, "the withdrawal")
        ask(account, vault.previewRedeem, shares, doing="the withdrawal")
        raise ScriptError("nothing can be withdrawn now: see `brownie run status`")
    if assets is not None and assets > most:
        raise ScriptError(
            f"{account} can withdraw at most {asset.show(most)} now: that is what "
            "his shares are worth after charges, or what is not needed as margin; "
            "`brownie run redeem main request` queues the rest"
        )


def withdraw(
    deployment: Deployment, account: Any, assets: int | None, offer: Offer | None = None
) -> int:
    """
    Withdraw exactly `assets`, or with `None` redeem all shares that can go.

    Parameters
    ----------
    account
        Brownie account whose shares are burned and that is paid.
    assets : int or None
        Raw asset units.
    offer : Offer, optional
        What was quoted, by default now; the exit may be worse by the tolerance
        of `amounts.TOLERANCE_BPS`.

    Returns
    -------
    int
        Raw asset units paid.

    Raises
    ------
    RefusedError
        If the vault refuses.
    """
    asset, vault = token(deployment, "Asset"), contract(deployment, "HedgeVault")
    before = asset.held_by(account)
    offer = offer or quote(deployment, account, assets)
    doing = "the withdrawal"
    if assets is None:
        least = at_least(offer.assets)
        send(account, vault.redeem, offer.shares, account, account, least, doing=doing)
    else:
        most = at_most(offer.shares)
        send(account, vault.withdraw, assets, account, account, most, doing=doing)
    return asset.held_by(account) - before
