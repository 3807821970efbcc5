# SPDX-License-Identifier: MIT
"""Vaults made of a few numbers, for the pure core of the keeper."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from eth_abi.abi import encode

from keeper import curve
from keeper.snapshot import (
    VAULT_WORDS,
    WORD,
    Address,
    Block,
    Limits,
    Margin,
    Market,
    Snapshot,
    State,
    VaultSnapshot,
    VenueSnapshot,
)
from keeper.units import WAD, Assets, Bps, Quote, Wad, div_floor, price_divisor

NOW = 1_722_470_400
ETHER = 10**18


def address(number: int) -> Address:
    return Address("0x" + f"{number:040x}")


VAULT, BOOK, VENUE, KEEPER = address(1), address(2), address(3), address(4)

LIMITS = Limits(
    inner_band_bps=Bps(100),
    urgent_band_bps=Bps(1_000),
    min_step_bps=Bps(20),
    overshoot_bps=Bps(50),
    margin_floor_bps=Bps(15_000),
    margin_target_bps=Bps(20_000),
    cost_bound_bps=Bps(100),
    cost_budget_bps=Bps(200),
    turnover_budget_bps=Bps(60_000),
    urgent_reserve_bps=Bps(2_000),
    slippage_bps=Bps(100),
    urgent_slippage_bps=Bps(300),
    cooldown_secs=600,
    max_trade=Assets(10**6 * ETHER),
    min_equity=Assets(10**15),
    gap_share_bps=Bps(5_000),
    gap_floor=Assets(10 * ETHER),
)


def market(**fields: Any) -> Market:
    standard: dict[str, Any] = {
        "skew": 0,
        "skew_scale": 100_000 * ETHER,
        "long_size": 0,
        "short_size": 0,
        "max_side": 50_000 * ETHER,
        "premium_cap_wad": WAD // 10,
        "mean_premium_wad": 0,
        "funding_rate_wad": 10**14,
        "taker_fee_wad": 5 * 10**14,
        "maker_fee_wad": 2 * 10**14,
        "initial_base_wad": 5 * 10**16,
        "initial_slope_wad": 2 * 10**17,
        "maintenance_share_wad": 5 * 10**17,
        "maintenance_floor_wad": 2 * 10**16,
        "haircut_wad": 5 * 10**16,
        "pool_equity": 10**13,
        "insurance": 10**12,
    } | fields
    standard.setdefault("premium_wad", standard["skew"] * WAD // standard["skew_scale"])
    return Market(**standard)


def venue(
    *,
    assets: int = 0,
    quote: int = 0,
    delta: int = 0,
    profit: int = 0,
    price_wad: int = 2_000 * WAD,
    decimals: tuple[int, int] = (18, 6),
    allotment_bps: int = 10_000,
    address: Address = VENUE,
    answers: bool = True,
    lost: bool = False,
    **terms: Any,
) -> VenueSnapshot:
    terms = {"skew": delta, "short_size": max(-delta, 0), "long_size": max(delta, 0)} | terms
    state = market(**terms)
    scale = curve.Scale(price_wad=Wad(price_wad), divisor=price_divisor(*decimals))
    kept = div_floor(assets * price_wad * (WAD - state.haircut_wad), scale.divisor * WAD)
    margin = Margin(
        assets=Assets(assets),
        quote=Quote(quote),
        delta=Assets(delta),
        profit=Quote(profit),
        equity=Quote(quote + kept + profit),
        initial=curve.initial_up(state, delta, scale),
        maintenance=curve.maintenance_up(state, delta, scale),
    )
    return VenueSnapshot(
        venue=address,
        allotment_bps=Bps(allotment_bps),
        answers=answers,
        lost=lost,
        value=Quote(scale.value_down(assets) + quote + profit),
        margin=margin,
        market=state,
    )


def snapshot(
    *venues: VenueSnapshot,
    idle_assets: int = 0,
    idle_quote: int = 0,
    price_wad: int = 2_000 * WAD,
    hedge_ratio_bps: int = 10_000,
    decimals: tuple[int, int] = (18, 6),
    limits: Limits = LIMITS,
    state: dict[str, Any] | None = None,
    **fields: Any,
) -> Snapshot:
    divisor = price_divisor(*decimals)
    book: dict[str, Any] = {
        "nonce": 7,
        "audit_head": bytes(32),
        "hedge_ratio_bps": hedge_ratio_bps,
        "min_hedge_ratio_bps": 0,
        "max_hedge_ratio_bps": 10_000,
        "hedge_ratio_set_at": 0,
        "idle_quote": idle_quote,
        "cost_used": 0,
        "turnover_used": 0,
        "neutral_turnover_used": 0,
        "rebalanced_at": NOW - 10_000,
        "paused_until": 0,
        "last_price_wad": price_wad,
        "last_price_at": NOW,
        "flagged_at": 0,
        "unwinds": False,
    } | (state or {})
    vault: dict[str, Any] = {
        "vault": VAULT,
        "book": BOOK,
        "asset": address(5),
        "quote": address(6),
        "oracle": address(7),
        "spot": address(8),
        "asset_decimals": decimals[0],
        "quote_decimals": decimals[1],
        "owner": address(9),
        "keeper": KEEPER,
        "guardian": address(10),
        "price_ok": True,
        "price_wad": price_wad,
        "price_updated_at": NOW - 30,
        "price_round_id": 5,
        "price_reason": "",
        "total_supply": 10**20,
        "idle_assets": idle_assets,
        "entry_paused_until": 0,
        "base_charge_bps": 10,
        "spot_assets": 50_000 * 10 ** decimals[0],
        "spot_quote": 50_000 * 10 ** decimals[0] * price_wad // divisor,
        "spot_fee_wad": 5 * 10**14,
    } | fields
    made = VaultSnapshot(**vault, state=State(**book), limits=limits, venues=venues)
    return snapshot_of(made)


def snapshot_of(vault: VaultSnapshot, *, number: int = 100, at: int = NOW) -> Snapshot:
    block = Block(
        number=number, hash="0x" + f"{number:064x}", parent_hash="0x" + "0" * 64, at=at, base_fee=0
    )
    return Snapshot(block=block, vault=vault, words=words_of(vault))


def words_of(vault: VaultSnapshot) -> bytes:
    """Encode a vault as the lens would, with eth-abi."""
    flat = _flat(replace(vault, venues=()))
    flat.append(("uint256", len(vault.venues)))
    for item in vault.venues:
        flat += _flat(item)
    words = encode([kind for kind, _ in flat], [value for _, value in flat])
    return words.ljust(VAULT_WORDS * WORD, b"\0")


def _flat(record: Any) -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    for name in record.__dataclass_fields__:
        value = getattr(record, name)
        if isinstance(value, bool):
            out.append(("bool", value))
        elif name == "price_reason":
            out.append(("bytes32", value.encode().ljust(32, b"\0")))
        elif isinstance(value, bytes):
            out.append(("bytes32", value))
        elif isinstance(value, str):
            out.append(("address", value))
        elif isinstance(value, tuple):
            continue
        elif isinstance(value, int):
            out.append(("int256" if value < 0 else "uint256", value))
        else:
            out += _flat(value)
    return out
