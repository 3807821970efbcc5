# SPDX-License-Identifier: MIT
"""
Put assets into the vault.

    brownie run deposit main 1.5
    brownie run deposit main 1.5 alice --network <an added network>

The amount is in whole tokens, `alice` a Brownie account; on a local chain it may
be the number of a test account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keeper.units import BPS, mul_div_up
from scripts.accounts import confirm, signer
from scripts.amounts import at_least, show, show_bps
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
    What a deposit would get now.

    `charge` is what the deposit leaves to the other holders, asset units,
    rounded up; shares and their value are rounded down.
    """

    assets: int
    shares: int
    value: int  # asset units, of the shares before any charge for leaving
    charge: int


@for_people
def main(amount: str | None = None, account_name: str | None = None) -> None:
    """Deposit as a person would; see the file's docstring."""
    quiet()
    if amount is None:
        raise ScriptError("say how much: `brownie run deposit main 1.5`")
    deployment = current()
    account = signer("depositor", account_name)
    asset = token(deployment, "Asset")
    assets = asset.parse(amount)
    check(deployment, account, assets)
    offer = quote(deployment, account, assets)
    share_decimals = int(contract(deployment, "HedgeVault").decimals())
    print(
        f"\n{account} pays   {asset.show(assets)}\n"
        f"and receives  {show(offer.shares, share_decimals)} shares, "
        f"worth {asset.show(offer.value)}\n"
        f"The charge of {asset.show(offer.charge)} "
        f"({show_bps(mul_div_up(offer.charge, BPS, assets))}) stays in the vault."
    )
    confirm(f"approve and deposit {asset.show(assets)} from {account}")
    shares = deposit(deployment, account, assets, at_least(offer.shares))
    print(f"Done: {show(shares, share_decimals)} shares.")


def quote(deployment: Deployment, account: Any, assets: int) -> Offer:
    """
    Return what `deposit` would give now.

    Raises
    ------
    RefusedError
        While the vault cannot price it.
    """
    vault = contract(deployment, "HedgeVault")
    require_price(deployment, "the deposit")
    shares = ask(account, vault.previewDeposit, assets, doing="the deposit")
    value = ask(account, vault.convertToAssets, shares, doing="the deposit")
    return Offer(assets=assets, shares=shares, value=value, charge=max(0, assets - value))


def check(deployment: Deployment, account: Any, assets: int) -> None:
    """
    Refuse what cannot work, with what would.

    Raises
    ------
    ScriptError
        If the account or the vault's limits do not have room for `assets`.
    """
    asset, vault = token(deployment, "Asset"), contract(deployment, "HedgeVault")
    asset.require_held(account, assets)
    most = int(vault.maxDeposit(account))
    if most == 0:
        # The reason is the chain's to give: the price, a pause, or a full gap.
        quote(deployment, account, assets)
        raise ScriptError("the vault takes no deposits now: see `brownie run status`")
    if most < assets:
        raise ScriptError(
            f"the vault takes at most {asset.show(most)} until its keeper has "
            "hedged what came in before"
        )


def deposit(
    deployment: Deployment, account: Any, assets: int, least_shares: int | None = None
) -> int:
    """
    Approve what is missing and deposit.

    Parameters
    ----------
    account
        Brownie account that pays and receives the shares.
    assets : int
        Raw asset units.
    least_shares : int, optional
        The fewest shares to be accepted; by default those quoted now less the
        tolerance of `amounts.TOLERANCE_BPS`.

    Returns
    -------
    int
        Raw shares minted.

    Raises
    ------
    RefusedError
        If token or vault refuse.
    """
    vault = contract(deployment, "HedgeVault")
    before = int(vault.balanceOf(account))
    token(deployment, "Asset").approve(account, vault, assets)
    if least_shares is None:
        least_shares = at_least(quote(deployment, account, assets).shares)
    send(account, vault.deposit, assets, account, least_shares, doing="the deposit")
    return int(vault.balanceOf(account)) - before
