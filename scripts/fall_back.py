# SPDX-License-Identifier: MIT
"""
Do the keeper's work in his place when he is late.

    brownie run fall_back                    # is he late, since when, for what reward
    brownie run fall_back main flag          # say so, which starts the clock
    brownie run fall_back main send          # one leg, after the grace period

The leg is what the keeper's own decision would send first, with default settings; the contracts
check it like his.
"""

from __future__ import annotations

from typing import Any

from brownie import web3

from keeper.plan import Leg
from keeper.policy import Memory, Policy
from keeper.risk import assess
from keeper.snapshot import Block, Snapshot, VaultSnapshot
from keeper.strategy import Rebalance, decide
from keeper.units import Assets, Quote
from scripts.accounts import confirm, signer
from scripts.amounts import show, show_bps
from scripts.calls import ScriptError, contract, current, for_people, quiet, send
from scripts.deployments import Deployment
from scripts.status import snapshot

WORDS = ("status", "flag", "send")


@for_people
def main(word: str = "status", account_name: str | None = None) -> None:
    """Show, flag or send as a person would; see the file's docstring."""
    quiet()
    if word not in WORDS:
        raise ScriptError(f"say one of {', '.join(WORDS)}, not {word}")
    deployment = current()
    for line in lines(deployment):
        print(line)
    if word == "status":
        return
    account = signer("depositor", account_name)
    if word == "flag":
        confirm(f"flag as {account}")
        flag(deployment, account)
        print("Done.")
        return
    leg, reward = first_leg(deployment), reward_now(deployment)
    digits = snapshot(deployment)[2].asset_decimals
    print(f"\nLeg: size {show(leg.size, digits)}, margin {show(leg.margin_assets, digits)} assets")
    confirm(f"send it as {account} for {show(reward, digits)} assets")
    fall_back(deployment, account, leg, reward)
    print("Done.")


def lines(deployment: Deployment) -> list[str]:
    """Return whether the keeper is late, and what anybody may do when."""
    _, now, vault = snapshot(deployment)
    risk, state = assess(vault), vault.state
    terms = contract(deployment, "HedgeBook").fallback_terms().dict()
    drift = "none: equity is not positive" if risk.drift_bps is None else show_bps(risk.drift_bps)
    said = [f"Drift          {drift}, urgent over {show_bps(vault.limits.urgent_band_bps)}"]
    if state.unwinds:
        said.append("Unwinding      the target is no hedge")
    if state.flagged_at == 0:
        return [*said, "Keeper         not flagged as late"]
    ready_in = state.flagged_at + int(terms["grace_secs"]) - now
    wait = f"anybody may send in {ready_in} s" if ready_in > 0 else "anybody may send now"
    return [*said, f"Keeper         late for {now - state.flagged_at} s: {wait}"]


def flag(deployment: Deployment, account: Any) -> None:
    """
    Say whether the keeper is late.

    Raises
    ------
    RefusedError
        While there is no good price.
    """
    send(account, contract(deployment, "HedgeBook").flag, doing="the flag")


def reward_now(deployment: Deployment) -> int:
    """
    Return what may be asked for now, raw asset units, rounded down.

    Raises
    ------
    ScriptError
        If nobody may send yet.
    """
    _, now, vault = snapshot(deployment)
    terms = contract(deployment, "HedgeBook").fallback_terms().dict()
    if vault.state.flagged_at == 0:
        raise ScriptError("nobody has flagged yet: `brownie run fall_back main flag`")
    elapsed = now - vault.state.flagged_at - int(terms["grace_secs"])
    if elapsed < 0:
        raise ScriptError(f"the keeper has {-elapsed} s left")
    ramp = int(terms["ramp_secs"])
    return int(terms["max_reward"]) * min(elapsed, ramp) // ramp


def first_leg(deployment: Deployment) -> Leg:
    """
    Return the leg that trades most, or adds most margin, of what a keeper would send.

    Raises
    ------
    ScriptError
        If a keeper would send nothing that one leg can do.
    """
    _, _, vault = snapshot(deployment)
    decision = decide(_seen(vault), Policy(), Memory(hedging=True))
    if not isinstance(decision, Rebalance):
        raise ScriptError(f"nothing to send: {decision.reason}")
    legs = decision.plan.legs
    if not legs or decision.plan.spot_assets:
        raise ScriptError(f"one leg cannot do it: {decision.reason}")
    leg = max(legs, key=lambda each: (abs(each.size), each.margin_assets))
    if vault.state.unwinds:
        return leg
    return Leg(
        venue=leg.venue,
        size=leg.size,
        margin_assets=Assets(max(leg.margin_assets, 0)),
        margin_quote=Quote(max(leg.margin_quote, 0)),
        limit_price_wad=leg.limit_price_wad,
    )


def fall_back(deployment: Deployment, account: Any, leg: Leg, reward: int) -> None:
    """
    Send one leg in the keeper's place.

    Parameters
    ----------
    reward : int
        Raw asset units for the account.

    Raises
    ------
    RefusedError
        If the book refuses.
    """
    book = contract(deployment, "HedgeBook")
    send(account, book.fall_back, leg.words(), reward, str(account), doing="the leg")


def _seen(vault: VaultSnapshot) -> Snapshot:
    head = web3.eth.get_block("latest")
    block = Block(
        number=int(head["number"]),
        hash="0x" + bytes(head["hash"]).hex(),
        parent_hash="0x" + bytes(head["parentHash"]).hex(),
        at=int(head["timestamp"]),
        base_fee=0,
    )
    return Snapshot(block=block, vault=vault, words=b"")
