# SPDX-License-Identifier: MIT
"""
Conversions and flows over asset decimals 6, 8, 18 and quote decimals 6, 18.

The worlds are built once: hedged, with a gap, a profit in quote and another holder, so that
every term of E and of the charge is there.
"""

from __future__ import annotations

import boa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vault_world import Leg, vault_world

DECIMALS = [(a, q) for a in (6, 8, 18) for q in (6, 18)]
ENTRIES = ("deposit", "mint")
EXITS = ("withdraw", "redeem")
ppm = st.integers(2_000, 30_000_000)  # of an asset: 0.002 to 30
FEW = settings(max_examples=settings.default.max_examples // 6)  # for each pair of decimals
prices = st.integers(85_000, 115_000)  # hundredths of quote


@pytest.fixture(scope="module", params=DECIMALS, ids=lambda d: f"{d[0]}-{d[1]}")
def world(request):
    with boa.env.anchor():
        world = vault_world(*request.param)
        world.deposit(world.depositor("holder"), 60)
        world.rebalance(Leg(margin_assets=world.assets(25), size=-world.assets(60)))
        world.pass_time(world.limits["cooldown_secs"])
        world.set_price(950)
        world.rebalance(Leg(size=world.assets(10)), spot_assets=-world.assets(10))
        world.deposit(world.depositor("late"), 10)
        yield world


def amount(world, millionths):
    return world.assets(1) * millionths // 10**6


@FEW
@given(millionths=ppm, price=prices)
def test_previews__are_exactly_what_happens(world, millionths, price):
    world.set_price(price / 100)
    trader = world.depositor("trader")
    vault, assets = world.vault, amount(world, millionths)
    shares = vault.convertToShares(assets)
    expected = vault.previewDeposit(assets)
    with boa.env.anchor():
        assert vault.deposit(assets, trader, sender=trader) == expected
        for call, preview, given_amount in (
            (vault.withdraw, vault.previewWithdraw, assets // 2),
            (vault.redeem, vault.previewRedeem, shares // 2),
        ):
            expected = preview(given_amount)
            with boa.env.anchor():
                assert call(given_amount, trader, trader, sender=trader) == expected
    expected = vault.previewMint(shares)
    assert vault.mint(shares, trader, sender=trader) == expected


@FEW
@given(millionths=ppm, price=prices)
def test_conversions__round_for_the_vault_and_agree_with_exact_fractions(world, millionths, price):
    """A share is worth (E + 1) / (supply + 1,000); each answer is the floor of the fraction."""
    world.set_price(price / 100)
    vault, assets = world.vault, amount(world, millionths)
    top, bottom = world.equity() + 1, vault.totalSupply() + 1_000
    assert vault.totalAssets() == world.equity()
    shares = vault.convertToShares(assets)
    assert shares == assets * bottom // top
    assert vault.convertToAssets(shares) == shares * top // bottom
    assert vault.convertToAssets(shares) <= assets
    assert vault.previewRedeem(shares) <= vault.convertToAssets(shares)
    assert vault.previewDeposit(assets) <= shares
    assert vault.previewWithdraw(assets) >= shares
    assert vault.previewMint(shares) >= vault.convertToAssets(shares)
    assert vault.previewDeposit(vault.previewMint(shares)) >= shares
    assert vault.previewRedeem(vault.previewWithdraw(assets)) <= assets


@FEW
@given(
    millionths=ppm,
    price=prices,
    entry=st.sampled_from(ENTRIES),
    leave=st.sampled_from(EXITS),
    exit_first=st.booleans(),
)
def test_round_trip__either_way_and_in_any_form__never_profits(
    world, millionths, price, entry, leave, exit_first
):
    """All 8 orders: in and out, out and in, each by assets or by shares."""
    world.set_price(price / 100)
    trader = world.depositor("trader")
    vault, assets = world.vault, amount(world, millionths)

    def enter():
        if entry == "deposit":
            vault.deposit(assets, trader, sender=trader)
        else:
            vault.mint(vault.convertToShares(assets), trader, sender=trader)

    def exit_with(shares):
        if leave == "redeem":
            vault.redeem(shares, trader, trader, sender=trader)
        else:
            vault.withdraw(vault.previewRedeem(shares), trader, trader, sender=trader)

    def wealth():
        return world.asset.balanceOf(trader), vault.balanceOf(trader)

    with boa.env.anchor():
        if exit_first:
            enter()
            before = wealth()
            exit_with(before[1])
            got = world.asset.balanceOf(trader) - before[0]
            assert vault.previewDeposit(got) <= before[1]  # cannot buy back what he sold
        else:
            before = wealth()
            enter()
            exit_with(wealth()[1])
            assert wealth()[0] <= before[0]
            assert wealth()[1] <= before[1] + vault.OFFSET() * 1_000


@FEW
@given(
    millionths=st.integers(100_000, 20_000_000),
    pieces=st.integers(2, 6),
    leave=st.booleans(),
)
def test_splitting__charges__never_add_up_to_less(world, millionths, pieces, leave):
    """A-09 for any amount: the impact charge of the pieces is at least the whole's."""
    trader = world.depositor("trader")
    vault, assets = world.vault, amount(world, millionths) // pieces * pieces
    world.deposit(trader, 25) if leave else None

    def paid(part):
        if leave:
            vault.withdraw(part, trader, trader, sender=trader)
        else:
            vault.deposit(part, trader, sender=trader)
        return next(
            log for log in vault.get_logs() if type(log).__name__ == "FlowPriced"
        ).impact_charge

    with boa.env.anchor():
        whole = paid(assets)
    with boa.env.anchor():
        split = sum(paid(assets // pieces) for _ in range(pieces))
    quote_unit = world.base.divisor() // world.price() + 1  # C is rounded up in quote units
    assert split >= whole - pieces * quote_unit
