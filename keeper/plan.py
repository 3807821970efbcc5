# SPDX-License-Identifier: MIT
"""
The plan that a decision proposes, as `IHedgeBook.Plan` encodes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from keeper.snapshot import ZERO_ADDRESS, Address
from keeper.units import Assets, Quote, Wad

LEG_TYPE: Final = "(address,uint256,int256,int256,int256,uint256)"
PLAN_TYPE: Final = f"(uint256,uint256,bytes32,{LEG_TYPE}[],uint256,int256,uint256)"
REBALANCE: Final = keccak(text=f"rebalance({PLAN_TYPE})")[:4]
MAX_LEGS: Final = 8
NEUTRAL_SHARE: Final = 10_000
PERPETUAL: Final = 0  # the only instrument of a perpetual venue


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """Margin in, then the trade, then margin out, at one venue."""

    venue: Address
    instrument: int = PERPETUAL
    margin_assets: Assets = Assets(0)
    margin_quote: Quote = Quote(0)
    size: Assets = Assets(0)
    limit_price_wad: Wad = Wad(0)

    def words(self) -> tuple[Any, ...]:
        """Return the fields in the order of the interface."""
        return (
            self.venue, self.instrument, self.margin_assets,
            self.margin_quote, self.size, self.limit_price_wad,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One rebalance."""

    nonce: int
    deadline: int
    decision_id: bytes
    legs: tuple[Leg, ...]
    spot_after: int = 0
    spot_assets: Assets = Assets(0)
    spot_limit_price_wad: Wad = Wad(0)

    def words(self) -> tuple[Any, ...]:
        """Return the fields in the order of the interface."""
        return (
            self.nonce, self.deadline, self.decision_id, [leg.words() for leg in self.legs],
            self.spot_after, self.spot_assets, self.spot_limit_price_wad,
        )  # fmt: skip


def encode_plan(plan: Plan) -> bytes:
    """Return `abi_encode(plan)`."""
    return encode([PLAN_TYPE], [plan.words()])


def decode_plan(encoded: bytes) -> Plan:
    """Return the plan that `encode_plan` wrote."""
    nonce, deadline, decision_id, legs, spot_after, spot_assets, spot_limit = decode(
        [PLAN_TYPE], encoded
    )[0]
    return Plan(
        nonce=nonce,
        deadline=deadline,
        decision_id=decision_id,
        legs=tuple(_leg(leg) for leg in legs),
        spot_after=spot_after,
        spot_assets=spot_assets,
        spot_limit_price_wad=spot_limit,
    )


def _leg(words: tuple[Any, ...]) -> Leg:
    venue, instrument, assets, quote, size, limit = words
    return Leg(
        venue=Address(venue.lower()),
        instrument=instrument,
        margin_assets=assets,
        margin_quote=quote,
        size=size,
        limit_price_wad=limit,
    )


def plan_hash(plan: Plan) -> bytes:
    """Return `keccak256(abi_encode(plan))`, the same as the book's `plan_hash`."""
    return keccak(encode_plan(plan))


def calldata(plan: Plan) -> bytes:
    """Return the call of `rebalance(plan)`."""
    return REBALANCE + encode_plan(plan)


def size_total(plan: Plan) -> Assets:
    """Return the sum of the sizes traded at venues."""
    return Assets(sum(leg.size for leg in plan.legs))


def turnover(plan: Plan) -> Assets:
    """Return all that the plan trades, at venues and spot, whatever the sides."""
    return Assets(sum(abs(leg.size) for leg in plan.legs) + abs(plan.spot_assets))


def is_neutral(plan: Plan) -> bool:
    """Return whether sizes and spot cancel, to a ten-thousandth of what they trade."""
    gross = turnover(plan)
    net = abs(size_total(plan) + plan.spot_assets)
    return gross != 0 and net * NEUTRAL_SHARE <= gross


def only_adds_margin(plan: Plan) -> bool:
    """Return whether the plan does nothing but put margin in."""
    return (
        plan.spot_assets == 0
        and bool(plan.legs)
        and all(leg.size == 0 and leg.margin_assets >= 0 <= leg.margin_quote for leg in plan.legs)
    )


__all__ = [
    "MAX_LEGS",
    "PERPETUAL",
    "PLAN_TYPE",
    "REBALANCE",
    "ZERO_ADDRESS",
    "Leg",
    "Plan",
    "calldata",
    "decode_plan",
    "encode_plan",
    "is_neutral",
    "only_adds_margin",
    "plan_hash",
    "size_total",
    "turnover",
]
