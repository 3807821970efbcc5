# SPDX-License-Identifier: MIT
"""Plans as the book reads them."""

from __future__ import annotations

from eth_utils.crypto import keccak

from keeper.plan import (
    PLAN_TYPE,
    REBALANCE,
    Leg,
    Plan,
    calldata,
    decode_plan,
    encode_plan,
    is_neutral,
    only_adds_margin,
    plan_hash,
)
from keeper.units import Assets, Quote, Wad
from tests.keeper_world import VENUE


def plan(*legs, spot_assets=0):
    return Plan(
        nonce=3, deadline=99, decision_id=b"\x07" * 32, legs=legs, spot_assets=Assets(spot_assets),
        spot_after=len(legs), spot_limit_price_wad=Wad(5),
    )  # fmt: skip


LEG = Leg(
    venue=VENUE, size=Assets(-5), margin_assets=Assets(-2), margin_quote=Quote(3),
    limit_price_wad=Wad(2_000),
)  # fmt: skip


def test_encode_plan__round_trip():
    made = plan(LEG, LEG, spot_assets=-9)
    assert decode_plan(encode_plan(made)) == made
    assert calldata(made) == REBALANCE + encode_plan(made)
    assert plan_hash(made) == keccak(encode_plan(made))


def test_plan_type__selector_is_that_of_the_interface():
    signature = f"rebalance({PLAN_TYPE})"
    assert keccak(text=signature)[:4] == REBALANCE


def test_is_neutral__sizes_and_spot_cancel():
    assert is_neutral(plan(LEG, spot_assets=5))
    assert not is_neutral(plan(LEG, spot_assets=4))


def test_only_adds_margin__no_size_no_withdrawal():
    assert only_adds_margin(plan(Leg(venue=VENUE, margin_assets=Assets(1))))
    assert not only_adds_margin(plan(LEG))
    assert not only_adds_margin(plan())
    assert not only_adds_margin(plan(Leg(venue=VENUE, margin_quote=Quote(-1))))
