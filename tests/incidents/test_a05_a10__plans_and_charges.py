# SPDX-License-Identifier: MIT
"""A-05 to A-10, A-20, A-22, A-24: the vault's attacks of attacks.md with their numbers."""

from __future__ import annotations

import boa
import pytest

from tests.vault_world import HOUR, LIMIT_NAMES, Leg, add_settable_venue, vault_world

UNIT = 10**18
SMALL = {"skew_scale": 1_000 * UNIT, "premium_cap_wad": 10**18, "max_side": 999 * UNIT}


def small_world(**changes):
    """S = 1, L = 1,000, fee 5 bp, as in attacks.md."""
    limits = {
        "gap_floor": 1_000 * UNIT,
        "slippage_bps": 1_000,
        "urgent_slippage_bps": 1_000,
        "cost_bound_bps": 500,
        "cost_budget_bps": 1_000,
    }
    return vault_world(price=1, terms=SMALL, base_charge_bps=90, **(limits | changes))


@pytest.fixture
def world():
    with boa.env.anchor():
        yield small_world()


def impact(world):
    return next(
        log for log in world.vault.get_logs() if type(log).__name__ == "FlowPriced"
    ).impact_charge


def relimited(world, **changes):
    world.book.set_limits(tuple((world.limits | changes)[name] for name in LIMIT_NAMES))


def test_a05__cost_of_own_fills__is_measured_at_the_index(world):
    """Selling 20 of L = 1,000 fills 1 % under the index, with the fee 105 bp: 0.21."""
    world.deposit(world.depositor("holder"), 20)
    leg = Leg(margin_assets=world.assets(10), size=-world.assets(20))
    relimited(world, cost_bound_bps=104)
    with boa.reverts("book: cost over its bound"):
        world.rebalance(leg)
    relimited(world, cost_bound_bps=105)
    assert world.rebalance(leg).cost == world.quotes("0.21")


def test_a06__sell_100_buy_99__bound_is_on_the_net():
    """Two venues: refused for its signs. Against spot, which may differ: 1 of 199 counts."""
    with boa.env.anchor():
        world = small_world(cost_bound_bps=30)
        world.deposit(world.depositor("holder"), 150)
        one, other = (add_settable_venue(world, 10_000) for _ in range(2))
        sell = Leg(margin_assets=world.assets(50), size=-world.assets(100), venue=one.address)
        with boa.reverts("book: sizes differ in sign"):
            world.rebalance(
                sell,
                Leg(margin_assets=world.assets(10), size=world.assets(99), venue=other.address),
            )
        world.rebalance(sell)
        world.rebalance(
            Leg(size=world.assets(40), venue=one.address), spot_assets=-world.assets(40)
        )
        one.set_fill(10**14 * 9_970)  # loses 0.09 of 30; the net of 1 allows 0.003
        with boa.reverts("book: cost over its bound"):
            world.rebalance(
                Leg(size=-world.assets(30), venue=one.address), spot_assets=world.assets(29)
            )
        world.rebalance(Leg(size=-world.assets(30), venue=one.address))  # allows 0.09


def test_a07__ping_pong_inside_the_band__refused():
    """±2 % where the inner band is 3 %: not even once."""
    with boa.env.anchor():
        world = small_world(inner_band_bps=300, overshoot_bps=300)
        world.deposit(world.depositor("holder"), 50)
        world.rebalance(Leg(margin_assets=world.assets(20), size=-world.assets(49)))
        world.pass_time(HOUR)
        for size in (-1, 1):
            with boa.reverts("book: drift inside the band"):
                world.rebalance(Leg(size=world.assets(size)))


def test_a07__margin_under_its_target__is_no_licence_to_ping_pong():
    """Inside the band with poor margin, positions may shrink, not grow."""
    with boa.env.anchor():
        world = small_world(inner_band_bps=300, overshoot_bps=300)
        world.deposit(world.depositor("holder"), 50)
        venue = add_settable_venue(world)
        world.rebalance(
            Leg(margin_assets=world.assets(5), size=-world.assets(50), venue=venue.address)
        )
        world.pass_time(HOUR)
        venue.set_maintenance(500)
        add = {"margin_assets": world.assets(1), "venue": venue.address}
        with boa.reverts("book: drift inside the band"):
            world.rebalance(Leg(size=-world.assets(1), **add))
        world.rebalance(Leg(size=world.assets(1), **add))


def hedged_holder(world, whole):
    """Return the holder of a fully hedged vault; somebody went long 150 before, so it was cheap."""
    world.base.trade(world.base.trader("long", quote=10_000), 150)
    holder = world.depositor("holder")
    world.deposit(holder, whole)
    world.rebalance(Leg(margin_assets=world.assets(whole) // 2, size=-world.assets(whole)))
    return holder


@pytest.mark.parametrize("pieces", [1, 10, 100])
def test_a09__exit_of_100_in_pieces__pays_for_the_whole_gap(world, pieces):
    """
    Hedging back 100 at the mean premium of zero: 100**2 / 2,000 = 5.0 and fees of 0.05. (At the
    premium now, -5 %, it would cost nothing.)
    """
    holder = hedged_holder(world, 200)
    assert world.gap() == 0
    paid = 0
    for _ in range(pieces):
        world.vault.withdraw(world.assets(100) // pieces, holder, holder, sender=holder)
        paid += impact(world)
    whole = world.assets("5.05")
    assert whole <= paid <= whole + whole // 10**4 + pieces * 10**12


@pytest.mark.parametrize("pieces", [1, 7])
def test_a09__entry_in_pieces__pays_for_the_whole_gap(world, pieces):
    """Selling 98: 98**2 / 2,000 + 98 * 5 bp = 4.851."""
    depositor = world.depositor("depositor")
    paid = 0
    for _ in range(pieces):
        world.deposit(depositor, 98 // pieces)
        paid += impact(world)
    assert world.assets("4.851") <= paid <= world.assets("4.851") + pieces * 10**12


def test_a10__premium_pushed_for_a_moment__charge_stays(world):
    """
    K = -50 for a day: a deposit of 100 costs 100 * (50 + 50) / 1,000 = 10 and a fee of 0.05.
    K pushed to +50 takes the cost now to zero, but not that at the mean.
    """
    shorter = world.base.trader("shorter", quote=10_000)
    world.base.trade(shorter, -50)
    for _ in range(24):
        world.pass_time(HOUR)
    depositor = world.depositor("depositor")
    with boa.env.anchor():
        world.deposit(depositor, 100)
        fair = impact(world)
        assert abs(fair - world.assets("10.05")) < world.assets("0.001")
    pusher = world.base.trader("pusher", quote=10_000)
    world.base.trade(pusher, 100)
    world.deposit(depositor, 100)
    assert abs(impact(world) - fair) < world.assets("0.001")


@pytest.mark.parametrize("push", [0, 30, 100])
def test_f03__flow_across_the_target__no_credit_that_a_push_could_raise(world, push):
    """
    F-3: gap -60, entry of 200 leads to +140. A push up makes closing the -60 dear; credited
    against the charge it made the entry free. The charge is C(+140) whatever the push.
    """
    holder = hedged_holder(world, 250)
    for _ in range(24):
        world.pass_time(HOUR)
    world.vault.withdraw(world.gap() + world.assets(60), holder, holder, sender=holder)
    pusher = world.base.trader("pusher", quote=10_000)
    with boa.env.anchor():
        world.vault.deposit(-world.gap() + world.assets(140), holder, sender=holder)
        fair = impact(world)
        assert fair > world.assets(9)
    if push:
        world.base.trade(pusher, push)
    world.vault.deposit(-world.gap() + world.assets(140), holder, sender=holder)
    assert impact(world) >= fair


@pytest.mark.parametrize("lag_bps", [49, -49])
def test_a20__price_lags_by_the_thresholds__not_worth_trading(lag_bps):
    """
    h = 1, the asset's feed may lag by 50 bp. In at the old price, out at the new: at the true
    price nobody ends with more than he had.
    """
    with boa.env.anchor():
        world = vault_world(base_charge_bps=75)
        holder, trader = world.depositor("holder"), world.depositor("trader")
        world.deposit(holder, 100)
        world.hedge(0.4)
        had = world.asset.balanceOf(trader)
        shares = world.deposit(trader, 5)
        world.pass_time(1)
        world.set_price(1_000 * (10_000 + lag_bps) / 10_000)
        world.vault.redeem(shares, trader, trader, sender=trader)
        assert world.asset.balanceOf(trader) <= had
        with boa.env.anchor():
            free = vault_world(base_charge_bps=75)
            free.vault.eval("self._ledger = self._ledger & ~(convert(65535, uint256) << 128)")
            free.deposit(free.depositor("holder"), 100)
            free.hedge(0.4)
            trader = free.depositor("trader")
            shares = free.deposit(trader, 5)
            free.set_price(1_000 * (10_000 + lag_bps) / 10_000)
            free.vault.redeem(shares, trader, trader, sender=trader)
            gained = free.asset.balanceOf(trader) > free.assets(10_000)
            assert gained == (lag_bps < 0)  # what the charge is for


def test_a22__margin_moved__nav_stays(world):
    """30 of 100 into margin with a haircut of 10 %: NAV must not fall by 3."""
    world.deposit(world.depositor("holder"), 100)
    worth = world.vault.totalAssets()
    record = world.rebalance(Leg(margin_assets=world.assets(30)))
    assert record.cost == 0
    assert world.vault.totalAssets() == worth == world.assets(100)
    assert world.margin().equity == world.quotes(27)


def test_a24__900_unhedged_into_100__refused():
    with boa.env.anchor():
        world = vault_world(gap_floor=10**18, gap_share_bps=2_000, allotment_bps=10_000)
        depositor = world.depositor("depositor")
        for _ in range(25):
            most = min(world.vault.maxDeposit(depositor), world.assets(100) - world.equity())
            world.vault.deposit(most, depositor, sender=depositor)
            if world.equity() >= world.assets(99):
                break
            world.pass_time(4 * HOUR)  # until the turnover has leaked from its bucket
            idle = world.vault.idle_assets()
            world.rebalance(Leg(margin_assets=idle // 3, size=-world.gap()))
        stranger = world.depositor("stranger")
        with boa.reverts("vault: gap over its limit"):
            world.deposit(stranger, 900)
        most = world.vault.maxDeposit(stranger)
        assert most <= world.equity() * 2_000 // 10_000
