# SPDX-License-Identifier: MIT
from __future__ import annotations

import boa
import pytest

from tests.market_world import MAX_UINT, NOBODY
from tests.vault_world import HOUR, Leg, add_settable_venue, event, vault_world


@pytest.fixture
def world():
    with boa.env.anchor():
        yield vault_world()


@pytest.fixture
def holder(world):
    """A holder of 99 of 100 assets, hedged, 30 of them margin; somebody else has 1."""
    holder, other = world.depositor("holder"), world.depositor("other")
    world.deposit(holder, 99)
    world.deposit(other, 1)
    world.hedge(0.3)
    return holder


def flow(world):
    return next(log for log in world.vault.get_logs() if type(log).__name__ == "FlowPriced")


def test_withdraw__opening_a_gap__charges_it_and_base(world, holder):
    """
    Paying out 10 from a closed gap leaves it 10 short: buying 10 back costs, at the premium of
    -0.1 % of L = 100,000, nothing on the curve (0.5 - 10 < 0); at the mean premium of zero 0.5;
    fees: 5 bp at the mean, where |K| grows. So 5.5 quote, 0.0055 assets.
    Gross (10 + 0.0055) / 0.991 = 10.0963..., base = 0.0908...
    """
    burned = world.vault.withdraw(world.assets(10), holder, holder, sender=holder)
    seen = flow(world)
    assert (seen.assets, seen.shares) == (-world.assets(10), -burned)
    assert seen.impact_charge == world.assets("0.0055")
    gross = -(-world.assets("10.0055") * 10_000 // 9_910)
    assert seen.base_charge == gross - world.assets("10.0055")
    assert world.asset.balanceOf(holder) == world.assets(9_911)
    assert world.vault.idle_assets() == seen.idle_assets_after == world.assets(60)


def test_exit__closing_the_gap__pays_base_only(world, holder):
    other = world.depositor("late")
    world.deposit(other, 20)
    assert world.gap() == world.assets(20)
    world.vault.withdraw(world.assets(20), holder, holder, sender=holder)
    assert flow(world).impact_charge == 0
    assert flow(world).base_charge > 0


def test_redeem__part__pays_what_it_previews(world, holder):
    shares = 10 * 10**21
    previewed = world.vault.previewRedeem(shares)
    gross = shares * (world.vault.totalAssets() + 1) // (world.vault.totalSupply() + 1_000)
    assert world.vault.redeem(shares, holder, holder, sender=holder) == previewed
    seen = flow(world)
    assert seen.impact_charge + seen.base_charge + previewed == gross
    assert seen.base_charge == -(-gross * 90 // 10_000)


def test_exit__more_than_idle__takes_free_margin_and_no_more(world, holder):
    """30 assets of margin, short 100: IM 5.02 k, 3 * MM 7.53 k of 26.9 k: some 21 are free."""
    idle = world.vault.idle_assets()
    free = world.book.free_assets(world.price())
    assert world.assets(20) < free < world.assets(22)
    world.vault.withdraw(idle + world.assets(5), holder, holder, sender=holder)
    moved = [log for log in world.vault.get_logs() if type(log).__name__ == "MarginMoved"]
    assert [(m.assets, m.assets_after) for m in moved] == [(-world.assets(5), world.assets(25))]
    assert world.vault.idle_assets() == 0 == world.asset.balanceOf(world.vault.address)
    assert world.asset.balanceOf(world.book.address) == 0


def test_exit__all_that_is_liquid__leaves_margin_at_its_target(world, holder):
    most = world.vault.maxWithdraw(holder)
    assert most < world.vault.convertToAssets(world.vault.balanceOf(holder))
    world.vault.withdraw(most, holder, holder, sender=holder)
    assert world.margin_ratio_bps() >= world.limits["margin_target_bps"]
    assert world.margin_ratio_bps() < world.limits["margin_target_bps"] + 30
    assert world.vault.maxWithdraw(holder) <= world.assets("0.001")


def test_exit__beyond_what_is_liquid__refused(world, holder):
    most = world.vault.maxWithdraw(holder)
    with boa.reverts("vault: not enough liquid"):
        world.vault.withdraw(most + world.assets("0.01"), holder, holder, sender=holder)


@pytest.mark.parametrize("flow_name", ["withdraw", "redeem"])
def test_exit__at_its_maximum__succeeds(world, holder, flow_name):
    if flow_name == "withdraw":
        most = world.vault.maxWithdraw(holder)
        world.vault.withdraw(most, holder, holder, sender=holder)
    else:
        most = world.vault.maxRedeem(holder)
        world.vault.redeem(most, holder, holder, sender=holder)
    assert most > 0


def test_exit__last_holder__gets_everything_without_charge(world):
    holder = world.depositor("holder")
    shares = world.deposit(holder, 10)
    assert world.vault.maxWithdraw(holder) == world.vault.previewRedeem(shares)
    paid = world.vault.redeem(shares, holder, holder, sender=holder)
    assert world.assets(10) - paid <= 1
    assert world.vault.totalSupply() == 0


def test_withdraw__last_holder__all_or_more_than_his_shares_would_bear(world):
    """Whoever owns all cannot owe more than all: charges stop at the whole supply."""
    holder = world.depositor("holder")
    shares = world.deposit(holder, 10)
    everything = world.vault.previewRedeem(shares)
    assert world.vault.previewWithdraw(everything) == shares
    assert world.vault.previewWithdraw(everything - 1) == shares
    world.vault.withdraw(everything - 1, holder, holder, sender=holder)
    assert world.vault.totalSupply() == 0


def test_exit__leaving_under_the_minimum_supply__refused(world):
    holder = world.depositor("holder")
    shares = world.deposit(holder, 10)
    least = world.vault.MIN_SUPPLY()
    with boa.reverts("vault: supply under minimum"):
        world.vault.redeem(shares - least + 1, holder, holder, sender=holder)
    world.vault.redeem(shares - least, holder, holder, sender=holder)
    assert world.vault.totalSupply() == least


def test_max_redeem__would_leave_dust__stops_at_the_minimum(world):
    """Two holders, one with less than the minimum supply: the other leaves the rest of it."""
    big, small = world.depositor("big"), world.depositor("small")
    world.deposit(big, 10)
    dust = world.vault.MIN_SUPPLY() // 2
    world.vault.transfer(small, dust, sender=big)
    most = world.vault.maxRedeem(big)
    assert most == world.vault.balanceOf(big) - dust
    world.vault.redeem(most, big, big, sender=big)
    assert world.vault.maxWithdraw(small) == 0


@pytest.mark.parametrize(
    ("shares", "receiver", "reason"),
    [
        (0, None, "vault: zero assets"),
        (10**21, NOBODY, "vault: bad receiver"),
        (10**21, "vault", "vault: bad receiver"),
        (100 * 10**21, None, "erc20: burn amount exceeds balance"),
    ],
)
def test_redeem__bad_input__own_reason(world, holder, shares, receiver, reason):
    receiver = {None: holder, "vault": world.vault.address}.get(receiver, receiver)
    with boa.reverts(reason):
        world.vault.redeem(shares, receiver, holder, sender=holder)


def test_withdraw__nothing__refused(world, holder):
    with boa.reverts("vault: zero assets"):
        world.vault.withdraw(0, holder, holder, sender=holder)


def test_exit__stale_price__reverts_and_max_is_zero(world, holder):
    boa.env.time_travel(seconds=HOUR + 1)
    with boa.reverts("oracle: asset feed stale"):
        world.vault.redeem(10**21, holder, holder, sender=holder)
    vault = world.vault
    assert vault.maxWithdraw(holder) == vault.maxRedeem(holder) == 0
    assert vault.maxDeposit(holder) == vault.maxMint(holder) == 0
    for preview in (vault.previewWithdraw, vault.previewRedeem, vault.previewMint):
        with boa.reverts("vault: no good price"):
            preview(10**18)


def test_total_assets__bad_price__answers_with_the_last_good_one(world, holder):
    """Settle some profit into quote, so that value depends on the price."""
    world.pass_time(world.limits["cooldown_secs"])
    world.book.rebalance(
        world.plan(Leg(size=world.assets(10)), spot_assets=-world.assets(10)), sender=world.keeper
    )
    worth = world.vault.totalAssets()
    shares = world.vault.convertToShares(10**18)
    world.break_oracle()
    assert world.vault.totalAssets() == worth
    assert world.vault.convertToShares(10**18) == shares
    assert world.vault.convertToAssets(shares) in (10**18, 10**18 - 1)


def test_total_assets__never_a_price__is_zero():
    with boa.env.anchor():
        world = vault_world()
        world.break_oracle()
        assert world.vault.totalAssets() == 0
        assert world.vault.convertToAssets(10**21) == 10**18
        assert world.vault.maxDeposit(boa.env.eoa) == 0


def test_exit__venue_that_keeps_the_margin__is_noticed(world, holder):
    """What a venue says it sent counts only if it is here."""
    world.pass_time(world.limits["cooldown_secs"])
    venue = add_settable_venue(world)
    world.rebalance(Leg(margin_assets=world.assets(40), venue=venue.address))
    venue.set_faults(10_000, 9_999, 0, 0)
    idle = world.vault.idle_assets()
    free_elsewhere = world.venue.free_assets(world.book.address, world.price(), 30_000)
    with boa.reverts("vault: assets not received"):
        wanted = idle + free_elsewhere + world.assets(20)
        world.vault.withdraw(wanted, holder, holder, sender=holder)


def test_exit__paused_entry__goes_on(world, holder):
    world.vault.pause_entry(HOUR, sender=world.guardian)
    world.book.pause_rebalancing(HOUR, sender=world.guardian)
    assert world.vault.maxRedeem(holder) > 0
    world.vault.redeem(10**21, holder, holder, sender=holder)


@pytest.mark.parametrize("allowance", [None, 0, MAX_UINT])
def test_redeem__by_another__needs_and_uses_allowance(world, holder, allowance):
    spender, receiver = (str(boa.env.generate_address(n)) for n in ("spender", "receiver"))
    shares = 10**21
    world.vault.approve(spender, shares if allowance is None else allowance, sender=holder)
    if allowance == 0:
        with boa.reverts("erc20: insufficient allowance"):
            world.vault.redeem(shares, receiver, holder, sender=spender)
        return
    paid = world.vault.redeem(shares, receiver, holder, sender=spender)
    priced = event(world.vault, "FlowPriced")
    assert (priced.account, priced.assets, priced.shares) == (holder, -paid, -shares)
    assert world.asset.balanceOf(receiver) == paid
    assert world.vault.allowance(holder, spender) == (0 if allowance is None else MAX_UINT)
