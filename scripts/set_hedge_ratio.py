# SPDX-License-Identifier: MIT
"""
Set the share of the price risk that the vault removes.

    brownie run set_hedge_ratio main 95%
    brownie run set_hedge_ratio main 9500 owner --network <an added network>

Only the owner may. The ratio stays between two bounds and moves by at most
25 percentage points a day; the base charge has to cover it.
"""

from __future__ import annotations

from typing import Any, Final

from brownie import web3

from keeper.units import BPS, DAY_SECS, mul_div_up
from scripts.accounts import confirm, signer
from scripts.amounts import parse_bps, show_bps
from scripts.calls import ScriptError, contract, current, for_people, quiet, send
from scripts.deployments import Deployment

STEP_BPS: Final = 2_500  # in a day, as HedgeBook.vy has it


@for_people
def main(ratio: str | None = None, account_name: str | None = None) -> None:
    """Set the ratio as a person would; see the file's docstring."""
    quiet()
    if ratio is None:
        raise ScriptError("say which: `brownie run set_hedge_ratio main 95%`")
    deployment = current()
    account = signer("owner", account_name)
    ratio_bps = parse_bps(ratio)
    check(deployment, account, ratio_bps)
    before = int(contract(deployment, "HedgeBook").hedge_ratio_bps())
    print(f"\nHedge ratio {show_bps(before)} -> {show_bps(ratio_bps)}")
    confirm(f"set the hedge ratio to {show_bps(ratio_bps)} as {account}")
    set_hedge_ratio(deployment, account, ratio_bps)
    print("Done. The keeper moves the hedge at its next look.")


def check(deployment: Deployment, account: Any, ratio_bps: int) -> None:
    """
    Refuse what the book would refuse, with what it would take.

    Raises
    ------
    ScriptError
        If the ratio is out of its bounds, too far from the present one, not
        covered by the base charge, or not the caller's to set.
    """
    book, vault = contract(deployment, "HedgeBook"), contract(deployment, "HedgeVault")
    state = book.state().dict()
    low, high = int(state["min_hedge_ratio_bps"]), int(state["max_hedge_ratio_bps"])
    if str(book.owner()) != str(account):
        raise ScriptError(f"only the owner {book.owner()} may set the ratio, not {account}")
    if not low <= ratio_bps <= high:
        raise ScriptError(
            f"{show_bps(ratio_bps)} is outside the bounds of {show_bps(low)} to {show_bps(high)}"
        )
    elapsed = min(
        int(web3.eth.get_block("latest")["timestamp"]) - int(state["hedge_ratio_set_at"]), DAY_SECS
    )
    room = STEP_BPS * elapsed // DAY_SECS
    now = int(state["hedge_ratio_bps"])
    if abs(ratio_bps - now) > room:
        raise ScriptError(
            f"from {show_bps(now)} it may move by {show_bps(room)} now, "
            f"by {show_bps(STEP_BPS)} a day after the last change"
        )
    thresholds = int(contract(deployment, "PriceOracle").deviation_thresholds_bps())
    least, charge = mul_div_up(ratio_bps, thresholds, BPS), int(vault.base_charge_bps())
    if charge < least:
        raise ScriptError(
            f"the vault's base charge of {show_bps(charge)} covers less than the "
            f"{show_bps(least)} that this ratio needs: raise it first (HedgeVault.set_base_charge)"
        )


def set_hedge_ratio(deployment: Deployment, account: Any, ratio_bps: int) -> None:
    """
    Set the ratio.

    Parameters
    ----------
    account
        Brownie account of the book's owner.
    ratio_bps : int
        Share of the price risk to remove, basis points.

    Raises
    ------
    RefusedError
        If the book refuses.
    """
    book = contract(deployment, "HedgeBook")
    send(account, book.set_hedge_ratio, ratio_bps, doing="the new ratio")
