# SPDX-License-Identifier: MIT
"""
Set the share of the price risk that the vault removes.

    brownie run set_hedge_ratio main 95%
    brownie run set_hedge_ratio main 9500 owner --network <an added network>

The owner is a timelock: the first run proposes, and the same again, once the delay is over,
executes, which anybody may. The ratio stays between two bounds and moves by at most 25 percentage
points a day; the base charge has to cover it.
"""

from __future__ import annotations

from typing import Any, Final

from keeper.units import BPS, DAY_SECS, mul_div_up
from keeper.words import moment
from scripts.accounts import confirm, signer
from scripts.amounts import parse_bps, show_bps
from scripts.calls import ScriptError, contract, current, for_people, quiet
from scripts.chain_time import head_at
from scripts.deployments import Deployment
from scripts.timelock import (
    Proposal,
    call_of,
    execute,
    propose,
    require_proposer,
    waiting,
)

STEP_BPS: Final = 2_500  # in a day, as HedgeBook.vy has it


@for_people
def main(ratio: str | None = None, account_name: str | None = None) -> None:
    """Propose the ratio, or execute the proposal, as a person would; see the file's docstring."""
    quiet()
    if ratio is None:
        raise ScriptError("say which: `brownie run set_hedge_ratio main 95%`")
    deployment = current()
    account = signer("owner", account_name)
    ratio_bps = parse_bps(ratio)
    proposal = proposal_of(deployment, ratio_bps)
    before = int(contract(deployment, "HedgeBook").hedge_ratio_bps())
    print(f"\nHedge ratio {show_bps(before)} -> {show_bps(ratio_bps)}")
    if proposal is None:
        require_proposer(deployment, account)
        check(deployment, ratio_bps, head_at() + delay_secs(deployment))
        confirm(f"propose a hedge ratio of {show_bps(ratio_bps)} as {account}")
        proposal = propose_hedge_ratio(deployment, account, ratio_bps)
        print(f"Proposed; run the same again from {moment(proposal.due_at)} on to execute it.")
        return
    if head_at() < proposal.due_at:
        raise ScriptError(f"it is proposed and {proposal.state(head_at())}")
    check(deployment, ratio_bps, head_at())
    confirm(f"execute the proposal as {account}")
    execute(deployment, account, proposal)
    print("Done. The keeper moves the hedge at its next look.")


def proposal_of(deployment: Deployment, ratio_bps: int) -> Proposal | None:
    """Return the proposal of this ratio, if one waits."""
    return waiting(deployment, call_of(deployment, "HedgeBook", "set_hedge_ratio", ratio_bps))


def delay_secs(deployment: Deployment) -> int:
    """Return how long a proposal waits now."""
    return int(contract(deployment, "Timelock").get_minimum_delay())


def check(deployment: Deployment, ratio_bps: int, at: int) -> None:
    """
    Refuse what the book would refuse at that time, with what it would take.

    Parameters
    ----------
    ratio_bps : int
        Share of the price risk to remove, basis points.
    at : int
        When it would be set, Unix seconds; everything else is taken as it is now.

    Raises
    ------
    ScriptError
        If the ratio is out of its bounds, too far from the present one or not
        covered by the base charge.
    """
    book, vault = contract(deployment, "HedgeBook"), contract(deployment, "HedgeVault")
    state = book.state().dict()
    low, high = int(state["min_hedge_ratio_bps"]), int(state["max_hedge_ratio_bps"])
    if not low <= ratio_bps <= high:
        raise ScriptError(
            f"{show_bps(ratio_bps)} is outside the bounds of {show_bps(low)} to {show_bps(high)}"
        )
    elapsed = min(at - int(state["hedge_ratio_set_at"]), DAY_SECS)
    room = STEP_BPS * elapsed // DAY_SECS
    now = int(state["hedge_ratio_bps"])
    if abs(ratio_bps - now) > room:
        raise ScriptError(
            f"from {show_bps(now)} it may move by {show_bps(room)} then, "
            f"by {show_bps(STEP_BPS)} a day after the last change"
        )
    thresholds = int(contract(deployment, "PriceOracle").deviation_thresholds_bps())
    least, charge = mul_div_up(ratio_bps, thresholds, BPS), int(vault.base_charge_bps())
    if charge < least:
        raise ScriptError(
            f"the vault's base charge of {show_bps(charge)} covers less than the "
            f"{show_bps(least)} that this ratio needs: raise it first "
            f"(`brownie run govern propose HedgeVault set_base_charge {least}`)"
        )


def propose_hedge_ratio(deployment: Deployment, account: Any, ratio_bps: int) -> Proposal:
    """
    Propose the ratio to the timelock.

    Parameters
    ----------
    account
        Brownie account of the timelock's proposer.
    ratio_bps : int
        Share of the price risk to remove, basis points.

    Raises
    ------
    ScriptError
        If the account may not, or it is proposed already.
    """
    return propose(
        deployment, account, call_of(deployment, "HedgeBook", "set_hedge_ratio", ratio_bps)
    )
