# SPDX-License-Identifier: MIT
"""
Do for the venue what anybody may do: liquidate, deleverage, keep it up, and end it.

    brownie run upkeep
    brownie run upkeep liquidate
    brownie run upkeep liquidate 0x... alice --network <an added network>
    brownie run upkeep deleverage
    brownie run upkeep poke
    brownie run upkeep wind_up
    brownie run upkeep close
    brownie run upkeep release

Without a word more it shows what there is to do (read-only). `liquidate` takes
every account under maintenance margin, or the one named, and settles debts that
are too large; the rewards are credited at the venue. `poke` accrues funding,
moves tokens that the pool and the fund have coming, executes requests of the
pool that are due and lets the backstop close a step, when it holds little
enough for that; else it waits for takers (`take_over.py`). `wind_up` says that
the venue has to end, or ends it; then `close` fixes what everybody is paid and
`release` books it into the accounts. `alice` is a Brownie account, on a local
chain also the number of a test account.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from brownie import web3
from eth_utils.address import is_address

from keeper import upkeep
from keeper.replay import Batch
from keeper.risk import margin_ratio_bps
from keeper.snapshot import Address
from keeper.units import BPS
from keeper.upkeep import Call, Care, Cause, Failures, Stage, Venue
from keeper.upkeep_reading import read
from scripts.accounts import confirm, signer
from scripts.amounts import show
from scripts.calls import (
    RefusedError,
    ScriptError,
    contract,
    current,
    for_people,
    quiet,
    send,
    simulate,
)
from scripts.deployments import Deployment
from scripts.tokens import token

ROUNDS: Final = 50  # readings of one command; a list of 5,000 accounts goes out in the third
CARE: Final = Care()
ENDS_AFTER_SECS: Final = {1: 3_600, 2: 7 * 86_400}  # `VenueWindUp`: pool insolvent, no price
WHY_IT_ENDS: Final = {0: "nothing", 1: "the pool is insolvent", 2: "there is no price"}

Choose = Callable[[Venue], Sequence[Call]]


@for_people
def main(account_name: str | None = None) -> None:
    """Show what there is to do."""
    status(account_name)


@for_people
def status(account_name: str | None = None) -> None:
    """Show what there is to do; read-only, so the account is not used."""
    quiet()
    del account_name
    deployment = current()
    print("\n" + "\n".join(lines(deployment, venue_now(deployment))))


@for_people
def liquidate(owner: str | None = None, account_name: str | None = None) -> None:
    """Liquidate what is under maintenance, or one account; settle debts that are too large."""
    if owner is not None and not owner.startswith("0x"):
        owner, account_name = None, account_name or owner
    if owner is not None and not is_address(owner):
        raise ScriptError(f"{owner} is not an address")
    only = owner.lower() if owner is not None else None

    def choose(venue: Venue) -> list[Call]:
        calls = (*upkeep.liquidations(venue, CARE), *upkeep.forced_debts(venue))
        return [call for call in calls if only is None or call.arguments == (only,)]

    _run(choose, account_name, nothing=_healthy(only))


@for_people
def deleverage(account_name: str | None = None) -> None:
    """List and cut the winners of failed accounts, or of a pool that runs low."""
    _run(
        lambda venue: upkeep.deleveraging(venue, CARE),
        account_name,
        nothing="no loss waits for deleveraging and the pool carries its skew",
    )


@for_people
def poke(account_name: str | None = None) -> None:
    """Keep up funding, tokens, requests and the backstop, once."""
    _run(
        lambda venue: upkeep.kept_up(venue, Care(accrue_after_secs=1)),
        account_name,
        nothing="nothing is to be kept up now",
        rounds=1,
    )


@for_people
def wind_up(account_name: str | None = None) -> None:
    """Say that the venue has to end, or end it when its time is over."""
    quiet()
    deployment, account = current(), signer("keeper", account_name)
    venue = contract(deployment, "PerpVenue")
    ends = simulate(account, venue.address, venue.wind_up.encode_input(), "the end")
    before = tuple(map(int, venue.wind_up_flag()))
    confirm(f"{'end the venue' if int.from_bytes(ends) else 'flag the venue'} as {account}")
    send(account, venue.wind_up, doing="the end")
    cause, at = map(int, venue.wind_up_flag())
    if int.from_bytes(ends):
        print(f"\nThe venue is wound up: {WHY_IT_ENDS[cause]}. Next: `brownie run upkeep close`")
    elif cause == 0:
        raise ScriptError("the venue has no reason to end: the pool is solvent and has a price")
    else:
        opens = _time(at + ENDS_AFTER_SECS[cause])
        waits = "noted" if before != (cause, at) else "known"
        print(f"\nIt is {waits} that {WHY_IT_ENDS[cause]}. The venue can be ended from {opens}.")


@for_people
def close(account_name: str | None = None) -> None:
    """Close all accounts of a venue that is wound up, and fix what claims are paid."""
    _require_ended()
    _run(
        lambda venue: () if venue.claims_fixed else upkeep.ending(venue, CARE),
        account_name,
        nothing="claims are fixed: `brownie run upkeep release`",
    )


@for_people
def release(account_name: str | None = None) -> None:
    """Book everybody's payout into his account, from which only he withdraws it."""
    _require_ended()
    _run(
        lambda venue: upkeep.ending(venue, CARE) if venue.claims_fixed else (),
        account_name,
        nothing="nothing is to be released: before claims are fixed, `brownie run upkeep close`",
    )


# What it does on chain


def venue_now(deployment: Deployment) -> Venue:
    """Return the deployment's venue as it is now."""
    entry = deployment["PerpVenue"]
    return read(_batch(), Address(entry.address.lower()), entry.block)


def carry_out(
    deployment: Deployment, account: Any, choose: Choose, rounds: int = ROUNDS
) -> tuple[list[Call], dict[Call, RefusedError]]:
    """
    Make the calls chosen from a reading, read anew, and so on until there is nothing to do.

    It also ends when the chain refuses all that a reading asks for.

    Returns
    -------
    tuple
        The calls made, in order, and those refused last, with the reason.
    """
    made: list[Call] = []
    refused: dict[Call, RefusedError] = {}
    for _ in range(rounds):
        before = len(made)
        refused = {}
        for call in choose(venue_now(deployment)):
            try:
                make(deployment, account, call)
            except RefusedError as error:
                refused[call] = error
            else:
                made.append(call)
        if len(made) == before:
            break
    return made, refused


def make(deployment: Deployment, account: Any, call: Call) -> None:
    """
    Send one call.

    Raises
    ------
    RefusedError
        If the chain would revert or has reverted it.
    """
    method = getattr(contract(deployment, call.contract), call.method)
    send(account, method, *call.arguments, doing=_named(call))


# What is shown


def lines(deployment: Deployment, venue: Venue) -> list[str]:
    """Return what there is to do, and beside what."""
    asset, quote = token(deployment, "Asset").show, token(deployment, "Quote").show
    price = f"{show(venue.price_wad, 18, 4)} quote for one asset"
    if not venue.price_ok:
        price += f"; not usable now: {venue.price_reason}"
    exposure = upkeep.owed(venue)
    out = [
        f"Venue       {venue.stage.name.lower()}, block {venue.block}, {_time(venue.at)}",
        f"Price       {price}",
        f"Accounts    {len(venue.accounts)}",
        *_failing_lines(venue, asset, quote),
        *_queue_lines(venue, asset, quote),
        f"Backstop    {asset(venue.backstop_size)}"
        + (", waits for takers: `brownie run take_over`" if upkeep.needs_takers(venue) else ""),
        f"Pool        equity {quote(venue.market.pool_equity)} against accounts "
        f"of {asset(exposure)} net, worth {quote(venue.scale.value_up(abs(exposure)))}"
        + (": runs low" if upkeep.pool_is_low(venue) else ""),
        f"Requests    {len(venue.pool.requests)} at the pool",
        f"Fund        {quote(venue.fund_claim)} at the venue to be collected",
    ]
    if venue.wind_up_cause:
        why, since = WHY_IT_ENDS[venue.wind_up_cause], _time(venue.wind_up_flagged_at)
        out.append(f"End         {why}, noted {since}")
    calls = upkeep.due(venue, CARE)
    out.append(f"Due now     {'nothing' if not calls else ''}".rstrip())
    return [*out, *(f"  {_named(call)}: {call.why}" for call in calls)]


def _failing_lines(
    venue: Venue, asset: Callable[[int], str], quote: Callable[[int], str]
) -> list[str]:
    out = []
    for each in venue.accounts:
        margin = each.margin
        if each.liquidatable:
            ratio = margin_ratio_bps(margin.equity, margin.maintenance)
            out.append(
                f"  failing   {each.owner}: {asset(margin.delta)}, margin "
                f"{(ratio or 0) / BPS:.2f} x maintenance; takes {asset(each.size)} for a reward "
                f"of {quote(each.reward)}"
            )
        elif upkeep.debt_is_forced(venue, each):
            out.append(
                f"  in debt   {each.owner}: {quote(-margin.quote)} on {asset(margin.assets)}"
            )
    return out


def _queue_lines(
    venue: Venue, asset: Callable[[int], str], quote: Callable[[int], str]
) -> list[str]:
    sides = (("shorts", venue.failed_shorts), ("longs", venue.failed_longs))
    return [
        f"Queued      {quote(waiting.loss)} lost by failed {side} of {asset(waiting.size)}"
        for side, waiting in sides
        if waiting != Failures()
    ]


# Internals


def _run(choose: Choose, account_name: str | None, nothing: str, rounds: int = ROUNDS) -> None:
    """Show the calls of a first reading, ask, and carry them out with what follows from them."""
    quiet()
    deployment, account = current(), signer("keeper", account_name)
    venue = venue_now(deployment)
    calls = choose(venue)
    if not calls:
        if not venue.price_ok and venue.stage != Stage.CLOSED:
            raise RefusedError(venue.price_reason, "what needs a price")
        raise ScriptError(nothing)
    print()
    for call in calls:
        print(f"{_named(call)}: {call.why}")
    confirm(f"{len(calls)} calls, and those that follow from them, as {account}")
    made, refused = carry_out(deployment, account, choose, rounds)
    for error in refused.values():
        print(error)
    if not made:
        raise ScriptError("nothing was done")
    print(f"Done: {_counted(made)}.")


def _require_ended() -> None:
    quiet()
    if int(contract(current(), "PerpVenue").stage()) != Stage.CLOSED:
        raise ScriptError("the venue goes on: only one that is wound up is closed")


def _healthy(only: str | None) -> str:
    who = "no account" if only is None else f"{only} has no account that"
    return f"{who} is under maintenance margin, or in a debt that may be settled"


def _named(call: Call) -> str:
    match call.arguments:
        case (str() as address,):
            return f"{call.method} {address}"
        case (int() as cause, tuple() as owners):
            listed = f"{len(owners)} accounts" if owners else "the start"
            return f"{call.method} {Cause(cause).name.lower().replace('_', ' ')}, {listed}"
        case (tuple() as owners,):
            return f"{call.method} {len(owners)} accounts"
        case _:
            return call.method


def _counted(made: Sequence[Call]) -> str:
    methods = list(dict.fromkeys(call.method for call in made))
    return ", ".join(
        f"{method} {sum(call.method == method for call in made)} x" for method in methods
    )


def _batch() -> Batch:
    """Return what sends JSON-RPC calls to the connected node in one request."""

    def ask(calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        answers = web3.provider.make_batch_request(list(calls))
        if not isinstance(answers, list):  # the node refuses batches, or this one
            raise ScriptError(f"the node refuses a batch of reads: {answers}")
        return [
            ScriptError(str(each["error"])) if each.get("error") else each.get("result")
            for each in answers
        ]

    return ask


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
