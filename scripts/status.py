# SPDX-License-Identifier: MIT
"""
Show the vault, its hedge, its market, its owner and an account's share of it.

    brownie run status
    brownie run status main alice --network <an added network>

Read-only. Everything but the account is of one block.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from brownie import accounts as brownie_accounts
from brownie import web3

from keeper.risk import Risk, VenueRisk, assess
from keeper.snapshot import Address, Market, VaultSnapshot, decode_vault, split_page
from keeper.units import BPS, WAD
from keeper.words import remarks
from scripts import accounts, exit_in_kind, timelock
from scripts.amounts import show, show_bps
from scripts.calls import contract, current, for_people, quiet
from scripts.deployments import Deployment

HOUR_SECS = 3_600


@for_people
def main(account_name: str | None = None) -> None:
    """Print the status; see the file's docstring."""
    quiet()
    deployment = current()
    block, at, vault = snapshot(deployment)
    leaving = contract(deployment, "ExitInKind")
    hollow = int(leaving.hollow_shares())
    if hollow:  # the shares as a settlement would leave them: all of one kind
        vault = replace(vault, total_supply=int(leaving.settled_supply(vault.price_wad)))
    print(f"\nBlock {block}, {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC")
    for line in lines(vault, at, hollow):
        print(line)
    for line in [*exit_lines(deployment, hollow), *timelock.lines(deployment)]:
        print(line)
    if account_name is not None or accounts.is_local():
        for line in holding(deployment, _owner(account_name)):
            print(line)


def snapshot(deployment: Deployment) -> tuple[int, int, VaultSnapshot]:
    """Return block number, its time and the vault, in one call."""
    vault = Address(deployment["HedgeVault"].address.lower())
    lens = contract(deployment, "VaultLens")
    data = lens.snapshots.encode_input([vault])
    answer = bytes(web3.eth.call({"to": lens.address, "data": data}))
    number, at, pages = split_page(answer, [vault])
    return number, at, decode_vault(pages[0])


def lines(vault: VaultSnapshot, now: int, hollow: int = 0) -> list[str]:
    """
    Return what a person wants to know of the vault.

    Parameters
    ----------
    now : int
        Unix seconds.
    hollow : int
        Shares that left in kind and are not settled.
    """
    age = now - vault.price_updated_at
    price = f"{show(vault.price_wad, 18, 4)} quote for one asset, {age} s old"
    if not vault.price_ok:
        price = f"not usable: {vault.price_reason}"
    out = [f"Price          {price}"]
    if vault.price_wad == 0:
        return [*out, "               without any price nothing else can be said"]
    risk = assess(vault)
    said = remarks(vault, risk, now, unsettled=hollow > 0)
    out += [f"State          {each.words}" for each in said]
    out += _vault_lines(vault, risk)
    for venue, figures in zip(vault.venues, risk.venues, strict=True):
        out += _venue_lines(vault, figures, venue.market)
    paused = [
        name
        for name, until in (
            ("deposits", vault.entry_paused_until),
            ("rebalancing", vault.state.paused_until),
        )
        if until > now
    ]
    return out + ([f"Paused         {' and '.join(paused)}"] if paused else [])


def exit_lines(deployment: Deployment, hollow: int) -> list[str]:
    """Return whether one can leave without a price."""
    out = [f"Without price  {exit_in_kind.when(deployment)}"]
    if hollow:
        shares = show(hollow, int(contract(deployment, "HedgeVault").decimals()))
        out.append(f"  unsettled    {shares} shares: all else waits for `settle`")
    return out


def holding(deployment: Deployment, account: Any) -> list[str]:
    """Return what an account has in the vault and could take out now."""
    vault, token = contract(deployment, "HedgeVault"), contract(deployment, "Asset")
    shares, decimals = int(vault.balanceOf(account)), int(token.decimals())
    if shares == 0:
        return [f"Account        {account} has no shares"]
    worth, most = int(vault.convertToAssets(shares)), int(vault.maxWithdraw(account))
    return [
        f"Account        {account}",
        (
            f"  shares       {show(shares, int(vault.decimals()))}, "
            f"worth {show(worth, decimals)} {token.symbol()}"
        ),
        f"  can take     {show(most, decimals)} {token.symbol()} now, after charges",
    ]


def _vault_lines(vault: VaultSnapshot, risk: Risk) -> list[str]:
    decimals, quote_decimals = vault.asset_decimals, vault.quote_decimals
    limits = vault.limits
    # A share has three decimals more than the asset, so that equal prices read as 1.
    per_share = risk.equity * 10**21 // vault.total_supply if vault.total_supply else WAD
    drift = "none" if risk.drift_bps is None else show_bps(risk.drift_bps)
    exposure = "none" if risk.exposure_bps is None else show_bps(risk.exposure_bps)
    return [
        (
            f"Value          {show(risk.equity, decimals)} asset = "
            f"{show(risk.nav, quote_decimals, 2)} quote, {show(per_share, 18)} asset a share"
        ),
        (
            f"  idle         {show(vault.idle_assets, decimals)} asset, "
            f"{show(vault.state.idle_quote, quote_decimals, 2)} quote"
        ),
        (
            f"Exposure       {exposure}, target {show_bps(risk.target_exposure_bps)} "
            f"(hedge ratio {show_bps(vault.state.hedge_ratio_bps)})"
        ),
        (
            f"  drift        {drift}{' URGENT' if risk.drift_urgent else ''}, left alone up to "
            f"{show_bps(limits.inner_band_bps)}, urgent over {show_bps(limits.urgent_band_bps)}"
        ),
    ]


def _venue_lines(vault: VaultSnapshot, risk: VenueRisk, market: Market) -> list[str]:
    decimals, quote_decimals = vault.asset_decimals, vault.quote_decimals
    limits = vault.limits
    ratio, price = risk.margin_ratio_bps, risk.liquidation_price_wad
    margin = "no position"
    if ratio is not None:
        margin = (
            f"{_times(ratio)} of maintenance, floor {_times(limits.margin_floor_bps)}, "
            f"target {_times(limits.margin_target_bps)}"
        )
    if price is not None and risk.distance_bps is not None:
        margin += f"; liquidated at {show(price, 18, 2)} ({show_bps(risk.distance_bps)} away)"
    return [
        f"Venue          {risk.venue}",
        f"  position     {show(risk.delta, decimals)} asset",
        f"  margin       {margin}",
        (
            f"  mark         {show(risk.mark_wad, 18, 4)}, {risk.basis_bps / 100:+.2f} % from the "
            f"index; funding {risk.funding_year_bps / 100:+.2f} % a year"
        ),
        (
            f"  open         {show(market.long_size, decimals, 2)} long, "
            f"{show(market.short_size, decimals, 2)} short"
        ),
        (
            f"  behind it    pool {show(market.pool_equity, quote_decimals, 0)}, "
            f"insurance {show(market.insurance, quote_decimals, 0)} quote"
        ),
    ]


def _times(ratio_bps: int) -> str:
    return f"{ratio_bps / BPS:.2f} x"


def _owner(account_name: str | None) -> Any:
    """Return whose shares are shown; an address will do, since nothing is signed."""
    if account_name is not None and account_name.startswith("0x"):
        return brownie_accounts.at(account_name, force=True)
    return accounts.signer("depositor", account_name)
