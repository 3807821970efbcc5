# SPDX-License-Identifier: MIT
from __future__ import annotations

import boa
import pytest

from tests.market_world import NOBODY
from tests.vault_world import BOUND, HOUR, lose_all, vault_world


@pytest.fixture
def world():
    with boa.env.anchor():
        yield vault_world()


def events(contract, name):
    return [log for log in contract.get_logs() if type(log).__name__ == name]


def test_deposit__first__charges_gap_and_base_and_says_so(world):
    """
    L = 100,000, S = 1,000, h = 1: hedging 10 costs 1,000 * 10**2 / 200,000 = 0.5 on the curve and
    5 bp of 10,000 = 5 in fees: 5.5 quote or 0.0055 assets. Base: 0.9 % of 10 = 0.09.
    """
    depositor = world.depositor("depositor")
    shares = world.deposit(depositor, 10)
    assert shares == world.assets("9.9045") * 1_000
    flow = events(world.vault, "FlowPriced")[0]
    assert flow.account == depositor
    assert (flow.assets, flow.shares) == (world.assets(10), shares)
    assert (flow.impact_charge, flow.base_charge) == (world.assets("0.0055"), world.assets("0.09"))
    assert (flow.equity_before, flow.gap_before, flow.supply_before) == (0, 0, 0)
    assert (flow.price_wad, flow.idle_assets_after) == (10**21, world.assets(10))
    deposited = events(world.vault, "Deposit")[0]
    assert (deposited.sender, deposited.owner) == (depositor, depositor)
    assert (deposited.assets, deposited.shares) == (world.assets(10), shares)
    assert world.vault.balanceOf(depositor) == world.vault.totalSupply() == shares
    assert world.vault.idle_assets() == world.asset.balanceOf(world.vault.address)
    assert world.vault.totalAssets() == world.assets(10)


def test_deposit__closing_the_gap__pays_base_only(world):
    """Short by 20 too much: 10 more assets are welcome."""
    first, second = world.depositor("first"), world.depositor("second")
    world.deposit(first, 50)
    world.hedge()
    world.vault.withdraw(world.assets(20), first, first, sender=first)
    assert world.gap() == -world.assets(20)
    world.deposit(second, 10)
    flow = events(world.vault, "FlowPriced")[0]
    assert (flow.impact_charge, flow.base_charge) == (0, world.assets("0.09"))


def test_deposit__half_hedged_vault__charges_for_half():
    """h = 0.5: 10 assets move the gap by 5, hedging which costs 0.125 + 2.5 = 2.625 quote."""
    with boa.env.anchor():
        world = vault_world(hedge_ratio_bps=5_000)
        world.deposit(world.depositor("depositor"), 10)
        assert events(world.vault, "FlowPriced")[0].impact_charge == world.assets("0.002625")


def test_deposit__for_another__shares_are_his(world):
    payer, receiver = world.depositor("payer"), boa.env.generate_address("receiver")
    shares = world.vault.deposit(world.assets(1), receiver, sender=payer)
    assert world.vault.balanceOf(receiver) == shares
    assert world.vault.balanceOf(payer) == 0
    assert world.asset.balanceOf(payer) == world.assets(9_999)


def test_deposit__second_holder__keeps_the_firsts_value(world):
    """Charges stay: the first holder is never worse off."""
    first, second = world.depositor("first"), world.depositor("second")
    shares = world.deposit(first, 10)
    before = world.vault.convertToAssets(shares)
    world.deposit(second, 10)
    assert world.vault.convertToAssets(shares) > before


@pytest.mark.parametrize(
    ("whole", "receiver", "reason"),
    [
        (0, None, "vault: zero assets"),
        (1, NOBODY, "vault: bad receiver"),
        (1, "vault", "vault: bad receiver"),
        (101, None, "vault: gap over its limit"),
        ("0.0009", None, "vault: supply under minimum"),
        ("0.000000000000000001", None, "vault: zero shares"),
    ],
)
def test_deposit__bad_input__own_reason(world, whole, receiver, reason):
    depositor = world.depositor("depositor")
    receiver = {None: depositor, "vault": world.vault.address}.get(receiver, receiver)
    with boa.reverts(reason):
        world.vault.deposit(world.assets(whole), receiver, sender=depositor)


def test_deposit__beyond_the_bound__refused(world):
    with boa.reverts("vault: assets over maximum"):
        world.vault.deposit(BOUND + 1, boa.env.eoa)


def test_deposit__stale_price__reverts_with_the_oracles_reason(world):
    depositor = world.depositor("depositor")
    boa.env.time_travel(seconds=HOUR + 1)
    with boa.reverts("oracle: asset feed stale"):
        world.deposit(depositor, 1)
    with boa.reverts("vault: no good price"):
        world.vault.previewDeposit(world.assets(1))


def test_flows__equity_not_positive__refused_and_said(world):
    """A second venue where all there is was lost, and more."""
    depositor = world.depositor("depositor")
    world.deposit(depositor, 40)
    lose_all(world)
    with boa.reverts("vault: hedge is not sound"):
        world.deposit(depositor, 1)
    with boa.reverts("vault: equity not positive"):
        world.vault.redeem(10**18, depositor, depositor, sender=depositor)
    assert world.vault.maxDeposit(depositor) == world.vault.maxMint(depositor) == 0
    assert world.vault.maxRedeem(depositor) == world.vault.maxWithdraw(depositor) == 0
    assert world.vault.totalAssets() == 0
    assert world.vault.convertToAssets(10**21) == 0


def test_convert__empty_vault__a_thousand_shares_for_a_unit_with_or_without_a_price(world):
    assert world.vault.convertToShares(7) == 7_000
    assert world.vault.convertToAssets(7_000) == 7
    world.break_oracle()
    assert world.vault.convertToShares(7) == 7_000
    assert world.vault.convertToAssets(7_000) == 7


def test_mint__after_a_gap__asks_for_exactly_what_it_previews(world):
    first, second = world.depositor("first"), world.depositor("second")
    world.deposit(first, 30)
    shares = 10 * 10**21
    asked = world.vault.previewMint(shares)
    assert world.vault.mint(shares, second, sender=second) == asked
    assert world.vault.balanceOf(second) == shares
    assert world.asset.balanceOf(second) == world.assets(10_000) - asked


def test_mint__bound__is_close_to_the_least_that_would_do(world):
    """
    Never under what `deposit` needs for as many shares, and over it by at most the third power
    of the marginal charge: 1e-6 of the amount here.
    """
    depositor = world.depositor("depositor")
    world.deposit(depositor, 30)
    shares = 20 * 10**21
    asked = world.vault.previewMint(shares)
    assert world.vault.previewDeposit(asked) >= shares
    assert world.vault.previewDeposit(asked - asked // 10**6) < shares


@pytest.mark.parametrize("flow", ["deposit", "mint"])
def test_entry__at_its_maximum__succeeds_and_not_beyond(world, flow):
    depositor = world.depositor("depositor")
    world.deposit(depositor, 60)
    if flow == "deposit":
        most = world.vault.maxDeposit(depositor)
        assert most == world.assets(40)  # gap floor of 100, 60 there
        with boa.reverts("vault: gap over its limit"):
            world.vault.deposit(most + 1, depositor, sender=depositor)
        world.vault.deposit(most, depositor, sender=depositor)
    else:
        most = world.vault.maxMint(depositor)
        with boa.reverts("vault: gap over its limit"):
            world.vault.mint(most + 10**10, depositor, sender=depositor)
        world.vault.mint(most, depositor, sender=depositor)
    assert world.vault.maxDeposit(depositor) <= 1


def test_max_entry__room_for_less_than_the_minimum__is_zero():
    with boa.env.anchor():
        world = vault_world(gap_floor=10**14, gap_share_bps=0)
        depositor = world.depositor("depositor")
        assert world.vault.maxDeposit(depositor) == world.vault.maxMint(depositor) == 0


def test_max_deposit__unhedged_vault__is_the_bound():
    with boa.env.anchor():
        world = vault_world(hedge_ratio_bps=0)
        depositor = world.depositor("depositor")
        assert world.vault.maxDeposit(depositor) == BOUND
        world.deposit(depositor, 5_000)
        assert world.vault.maxDeposit(depositor) == BOUND - world.assets(5_000)


@pytest.mark.parametrize("exponent", [90, 100, 112])
def test_max_entry__no_practical_limit__does_not_revert(exponent):
    """F-5: the largest floor is an owner's way to say that there is no limit."""
    with boa.env.anchor():
        world = vault_world(gap_floor=2**exponent)
        depositor = world.depositor("depositor", 10**6)
        most = world.vault.maxDeposit(depositor)
        assert most > world.assets(10_000)
        assert world.vault.maxMint(depositor) == world.vault.previewDeposit(most)
        world.vault.deposit(most, depositor, sender=depositor)


def test_max_entry__room_beyond_what_the_venue_bears__finds_a_smaller_one():
    """F-5: L = 100, so that the charge on 1,000 exceeds 1,000; 10 may enter all the same."""
    with boa.env.anchor():
        thin = {"skew_scale": 100 * 10**18, "premium_cap_wad": 10**18, "max_side": 99 * 10**18}
        thin["unwind_step"] = 0
        world = vault_world(gap_floor=1_000 * 10**18, terms=thin)
        depositor = world.depositor("depositor")
        most = world.vault.maxDeposit(depositor)
        assert most > world.assets(10)
        world.vault.deposit(most, depositor, sender=depositor)


def test_flows__bound_of_the_caller__holds(world):
    """F-7: who sees a price can insist on it (ERC-5143)."""
    holder = world.depositor("holder")
    world.deposit(holder, 20)
    vault, unit = world.vault, world.assets(1)
    for call, parties, amount, answer, least in (
        (vault.deposit, 1, unit, vault.previewDeposit(unit), True),
        (vault.mint, 1, 1_000 * unit, vault.previewMint(1_000 * unit), False),
        (vault.withdraw, 2, unit, vault.previewWithdraw(unit), False),
        (vault.redeem, 2, 1_000 * unit, vault.previewRedeem(1_000 * unit), True),
    ):
        with boa.env.anchor():
            with boa.reverts("vault: bound of the caller"):
                off = answer + 1 if least else answer - 1
                call(amount, *[holder] * parties, off, sender=holder)
            assert call(amount, *[holder] * parties, answer, sender=holder) == answer


def test_flows__skew_pushed_in_front__bound_saves_the_depositor(world):
    """
    F-7: K pushed to -4 % makes an entry of 50 pay 4 % more, which the holders get; so the
    depositor sets a bound.
    """
    depositor = world.depositor("depositor")
    expected = world.vault.previewDeposit(world.assets(50))
    pusher = world.base.trader("pusher", quote=10**7)
    world.base.trade(pusher, -4_000)
    with boa.reverts("vault: bound of the caller"):
        world.vault.deposit(world.assets(50), depositor, expected * 99 // 100, sender=depositor)


def test_entry__token_that_keeps_a_fee__is_refused():
    """The ledger never says more than the token does."""
    with boa.env.anchor():
        world = vault_world(asset=boa.loads(FEE_TOKEN), spot_depth=1)
        depositor = world.depositor("depositor")
        with boa.reverts("vault: assets not received"):
            world.deposit(depositor, 1)


FEE_TOKEN = """
decimals: public(uint8)
balanceOf: public(HashMap[address, uint256])
@deploy
def __init__():
    self.decimals = 18
@external
def mint(receiver: address, amount: uint256):
    self.balanceOf[receiver] += amount
@external
def approve(spender: address, amount: uint256) -> bool:
    return True
@external
def transferFrom(owner: address, receiver: address, amount: uint256) -> bool:
    self.balanceOf[owner] -= amount
    self.balanceOf[receiver] += amount * 99 // 100
    return True
"""
