# SPDX-License-Identifier: MIT
"""Construction, wiring, venues, ratio, limits, roles, pause, the vault's calls, last price."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import NOBODY
from tests.vault_world import (
    DAY,
    HOUR,
    LIMIT_NAMES,
    Leg,
    add_settable_venue,
    default_limits,
    deploy_book,
    deploy_vault,
    event,
    vault_world,
)

LIMITS = default_limits()


@pytest.fixture
def world():
    with boa.env.anchor():
        yield vault_world()


def words(**changes):
    return tuple((LIMITS | changes)[name] for name in LIMIT_NAMES)


def new_book(world, **fields):
    parts = {
        "asset": world.asset,
        "quote": world.quote,
        "oracle": world.base.oracle,
        "spot": world.spot,
        "guard": world.guard,
        "keeper": world.keeper,
        "guardian": world.guardian,
    }
    return deploy_book(parts, world.limits, **fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"asset": NOBODY}, "book: asset is zero"),
        ({"quote": NOBODY}, "book: quote is zero"),
        ({"oracle": NOBODY}, "book: oracle is zero"),
        ({"spot": NOBODY}, "book: spot is zero"),
        ({"guard": NOBODY}, "book: guard is zero"),
        ({"keeper": NOBODY}, "book: keeper is zero"),
        ({"guardian": NOBODY}, "book: guardian is zero"),
        ({"min_hedge_ratio_bps": 2, "max_hedge_ratio_bps": 1}, "book: ratio bounds crossed"),
        ({"max_hedge_ratio_bps": 12_001}, "book: ratio bound too high"),
        ({"hedge_ratio_bps": 9_999, "min_hedge_ratio_bps": 10_000}, "book: ratio under its bound"),
        ({"hedge_ratio_bps": 9_001, "max_hedge_ratio_bps": 9_000}, "book: ratio over its bound"),
    ],
)
def test_construct__bad_arguments__own_reason(world, fields, reason):
    with boa.reverts(reason):
        new_book(world, **fields)


def test_construct__same_token_twice__refused(world):
    with boa.reverts("book: asset is quote"):
        new_book(world, quote=world.asset.address)


@pytest.mark.parametrize("decimals", [5, 19])
def test_construct__decimals_out_of_range__refused(world, decimals):
    token = boa.loads(
        f"decimals: public(uint8)\n@deploy\ndef __init__():\n    self.decimals = {decimals}"
    )
    with boa.reverts("book: decimals not 6 to 18"):
        new_book(world, asset=token.address)
    with boa.reverts("book: decimals not 6 to 18"):
        new_book(world, quote=token.address)


def test_construct__views__say_what_it_was_given(world):
    book = world.book
    assert book.vault() == world.vault.address
    assert (book.asset(), book.quote()) == (world.asset.address, world.quote.address)
    assert (book.oracle(), book.spot()) == (world.base.oracle.address, world.spot.address)
    assert (book.guard(), book.price_divisor()) == (world.guard.address, 10**30)
    assert (book.keeper(), book.guardian(), book.owner()) == (
        world.keeper,
        world.guardian,
        boa.env.eoa,
    )
    assert tuple(book.limits()) == words()
    assert (book.venue_count(), book.venues(0), book.venues(1)) == (1, world.venue.address, NOBODY)


def test_set_vault__once_own_and_charged_enough(world):
    with boa.reverts("book: vault is set"):
        world.book.set_vault(world.vault.address)
    book = new_book(world)
    with boa.reverts("ownable: caller is not the owner"):
        book.set_vault(world.vault.address, sender=world.keeper)
    with boa.reverts("book: vault is zero"):
        book.set_vault(NOBODY)
    with boa.reverts("book: vault of another book"):
        book.set_vault(world.vault.address)
    vault = deploy_vault(book, 18, 75)[0]
    book.set_vault(vault.address)
    assert event(book, "VaultSet").vault == vault.address


def test_set_vault__charge_under_the_ratio_of_the_book__refused(world):
    """The vault was charged for a lower ratio than the book has by now."""
    book = new_book(world, hedge_ratio_bps=8_000)
    vault = deploy_vault(book, 18, 60)[0]
    book.eval("ledger.target = (ledger.target & ~convert(65535, uint256)) | 9000")
    with boa.reverts("book: base charge too low"):
        book.set_vault(vault.address)


def test_add_venue__at_most_four_each_once(world):
    book = world.book
    with boa.reverts("book: venue is registered"):
        book.add_venue(world.venue.address, 1)
    with boa.reverts("book: venue is zero"):
        book.add_venue(NOBODY, 1)
    for own in (book, world.vault, world.spot, world.asset, world.quote):
        with boa.reverts("book: not a venue"):
            book.add_venue(own.address, 1)
    with boa.reverts("book: allotment over 100 %"):
        book.add_venue(boa.env.generate_address(), 10_001)
    with boa.reverts("ownable: caller is not the owner"):
        book.add_venue(boa.env.generate_address(), 1, sender=world.keeper)
    for allotment in (1, 2, 3):
        venue = boa.env.generate_address()
        book.add_venue(venue, allotment)
        added = event(book, "VenueAdded")
        assert (added.venue, added.allotment_bps) == (venue, allotment)
        assert book.allotment_bps(venue) == allotment
    assert book.venue_count() == 4
    with boa.reverts("book: too many venues"):
        book.add_venue(boa.env.generate_address(), 1)


def test_set_allotment__known_venue__logged(world):
    world.book.set_allotment(world.venue.address, 7)
    changed = event(world.book, "AllotmentSet")
    assert (changed.allotment_before_bps, changed.allotment_after_bps) == (6_000, 7)
    assert world.book.allotment_bps(world.venue.address) == 7
    assert world.book.venues(0) == world.venue.address
    with boa.reverts("book: unknown venue"):
        world.book.set_allotment(boa.env.generate_address(), 7)
    with boa.reverts("book: allotment over 100 %"):
        world.book.set_allotment(world.venue.address, 10_001)
    with boa.reverts("ownable: caller is not the owner"):
        world.book.set_allotment(world.venue.address, 7, sender=world.keeper)


def test_set_allotment__guardian__to_less_at_once_and_never_back(world):
    book, venue = world.book, world.venue.address
    for after in (6_000, 6_001, 10_000):
        with boa.reverts("ownable: caller is not the owner"):
            book.set_allotment(venue, after, sender=world.guardian)
    for before, after in ((6_000, 5_999), (5_999, 0)):
        book.set_allotment(venue, after, sender=world.guardian)
        changed = event(book, "AllotmentSet")
        assert (changed.allotment_before_bps, changed.allotment_after_bps) == (before, after)
    for after in (0, 1):
        with boa.reverts("ownable: caller is not the owner"):
            book.set_allotment(venue, after, sender=world.guardian)
    book.set_allotment(venue, 6_000)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"inner_band_bps": 0, "overshoot_bps": 0}, "book: inner band is zero"),
        ({"urgent_band_bps": 100}, "book: urgent band under inner"),
        ({"urgent_band_bps": 10_001}, "book: urgent band over 100 %"),
        ({"min_step_bps": 0}, "book: min step is zero"),
        ({"min_step_bps": 501}, "book: min step over urgent band"),
        ({"overshoot_bps": 101}, "book: overshoot over inner band"),
        ({"margin_floor_bps": 10_000}, "book: margin floor at liquidation"),
        ({"margin_target_bps": 15_000}, "book: margin target under floor"),
        ({"margin_target_bps": 1_000_001}, "book: margin target too high"),
        ({"cost_bound_bps": 0}, "book: cost bound is zero"),
        ({"cost_bound_bps": 501}, "book: cost bound too high"),
        ({"cost_budget_bps": 0}, "book: cost budget is zero"),
        ({"cost_budget_bps": 1_001}, "book: cost budget too high"),
        ({"turnover_budget_bps": 0}, "book: turnover budget is zero"),
        ({"turnover_budget_bps": 1_000_001}, "book: turnover budget too high"),
        ({"urgent_reserve_bps": 9_001}, "book: urgent reserve too high"),
        ({"slippage_bps": 0}, "book: slippage is zero"),
        ({"urgent_slippage_bps": 299}, "book: urgent slippage tighter"),
        ({"urgent_slippage_bps": 1_001}, "book: urgent slippage too high"),
        ({"cooldown_secs": DAY + 1}, "book: cooldown too long"),
        ({"max_trade": 0}, "book: max trade is zero"),
        ({"max_trade": 2**112 + 1}, "book: max trade too large"),
        ({"min_equity": 0}, "book: min equity is zero"),
        ({"min_equity": 2**112 + 1}, "book: min equity too large"),
        ({"gap_share_bps": 10_001}, "book: gap share over 100 %"),
        ({"gap_floor": 0}, "book: gap floor is zero"),
        ({"gap_floor": 2**112 + 1}, "book: gap floor too large"),
    ],
)
def test_set_limits__nonsense__own_reason(world, changes, reason):
    with boa.reverts(reason):
        world.book.set_limits(words(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "inner_band_bps": 9_999,
            "urgent_band_bps": 10_000,
            "min_step_bps": 10_000,
            "overshoot_bps": 9_999,
            "margin_floor_bps": 999_999,
            "margin_target_bps": 1_000_000,
            "cost_bound_bps": 500,
            "cost_budget_bps": 1_000,
            "turnover_budget_bps": 1_000_000,
            "urgent_reserve_bps": 9_000,
            "slippage_bps": 1_000,
            "urgent_slippage_bps": 1_000,
            "cooldown_secs": DAY,
            "max_trade": 2**112,
            "min_equity": 2**112,
            "gap_share_bps": 10_000,
            "gap_floor": 2**112,
        },
        {
            "inner_band_bps": 1,
            "urgent_band_bps": 2,
            "min_step_bps": 1,
            "overshoot_bps": 0,
            "margin_floor_bps": 10_001,
            "margin_target_bps": 10_002,
            "cost_bound_bps": 1,
            "cost_budget_bps": 1,
            "turnover_budget_bps": 1,
            "urgent_reserve_bps": 0,
            "slippage_bps": 1,
            "urgent_slippage_bps": 1,
            "cooldown_secs": 0,
            "max_trade": 1,
            "min_equity": 1,
            "gap_share_bps": 0,
            "gap_floor": 1,
        },
    ],
)
def test_set_limits__extremes__survive_packing(world, changes):
    """Each field at its bounds comes back as it was, and so does what shares its word."""
    ratio = world.book.hedge_ratio_bps()
    world.book.set_limits(words(**changes))
    logged = event(world.book, "LimitsSet")
    assert tuple(world.book.limits()) == words(**changes)
    assert (tuple(logged.limits_before), tuple(logged.limits_after)) == (words(), words(**changes))
    assert (world.book.hedge_ratio_bps(), world.book.venue_count()) == (ratio, 1)
    with boa.reverts("ownable: caller is not the owner"):
        world.book.set_limits(words(), sender=world.keeper)


def test_set_limits__buckets__leak_at_the_old_rate_until_then(world):
    world.deposit(world.depositor("depositor"), 100)
    world.hedge()
    world.pass_time(HOUR)
    used = world.state()["cost_used"]
    world.book.set_limits(words(cost_budget_bps=1))
    assert world.state()["cost_used"] == used
    world.pass_time(HOUR)
    assert 0 < used - world.state()["cost_used"] < world.quotes("0.3")


def test_set_hedge_ratio__step__in_proportion_to_the_time(world):
    """2,500 bps in a day: 104 in an hour; no more saved up than a day's worth."""
    with boa.reverts("book: ratio changed too fast"):
        world.book.set_hedge_ratio(9_999)
    world.pass_time(HOUR)
    with boa.reverts("book: ratio changed too fast"):
        world.book.set_hedge_ratio(9_895)
    world.book.set_hedge_ratio(9_896)
    changed = event(world.book, "HedgeRatioSet")
    assert (changed.ratio_before_bps, changed.ratio_after_bps) == (10_000, 9_896)
    assert world.state()["hedge_ratio_set_at"] == boa.env.timestamp
    world.pass_time(10 * DAY)
    with boa.reverts("book: ratio changed too fast"):
        world.book.set_hedge_ratio(7_395)
    world.book.set_hedge_ratio(7_396)


def test_set_hedge_ratio__base_charge_must_cover_it(world):
    """90 bp cover 1.2 * 75, 89 do not."""
    world.pass_time(DAY)
    world.vault.set_base_charge(89)
    with boa.reverts("book: base charge too low"):
        world.book.set_hedge_ratio(12_000)
    world.vault.set_base_charge(90)
    world.book.set_hedge_ratio(12_000)
    with boa.reverts("vault: base charge too low"):
        world.vault.set_base_charge(89)


def test_set_hedge_ratio__bounds__hold(world):
    world.pass_time(DAY)
    world.book.set_hedge_ratio_bounds(9_000, 11_000)
    bounds = event(world.book, "HedgeRatioBoundsSet")
    assert (bounds.min_before_bps, bounds.max_before_bps) == (0, 12_000)
    assert (bounds.min_after_bps, bounds.max_after_bps) == (9_000, 11_000)
    with boa.reverts("book: ratio under its bound"):
        world.book.set_hedge_ratio(8_999)
    with boa.reverts("book: ratio over its bound"):
        world.book.set_hedge_ratio(11_001)
    for bounds, reason in (
        ((10_001, 11_000), "book: ratio under its bound"),
        ((9_000, 9_999), "book: ratio over its bound"),
        ((9_001, 9_000), "book: ratio bounds crossed"),
        ((0, 12_001), "book: ratio bound too high"),
    ):
        with boa.reverts(reason):
            world.book.set_hedge_ratio_bounds(*bounds)
    for call in (
        lambda: world.book.set_hedge_ratio(10_000, sender=world.keeper),
        lambda: world.book.set_hedge_ratio_bounds(0, 1, sender=world.keeper),
    ):
        with boa.reverts("ownable: caller is not the owner"):
            call()


@pytest.mark.parametrize("role", ["keeper", "guardian"])
def test_set_role__owner_only__logged(world, role):
    heir = boa.env.generate_address("heir")
    setter = getattr(world.book, f"set_{role}")
    with boa.reverts("ownable: caller is not the owner"):
        setter(heir, sender=getattr(world, role))
    with boa.reverts(f"book: {role} is zero"):
        setter(NOBODY)
    setter(heir)
    changed = event(world.book, f"{role.capitalize()}Set")
    assert tuple(changed)[-2:] == (getattr(world, role), heir)
    assert getattr(world.book, role)() == heir


def test_pause__only_the_guardian_not_too_long_not_chained(world):
    book, guardian = world.book, world.guardian
    for other in (boa.env.eoa, world.keeper):
        with boa.reverts("book: caller is not guardian"):
            book.pause_rebalancing(HOUR, sender=other)
    with boa.reverts("pause: longer than 72 h"):
        book.pause_rebalancing(72 * HOUR + 1, sender=guardian)
    with boa.reverts("pause: zero duration"):
        book.pause_rebalancing(0, sender=guardian)
    with boa.env.anchor():
        book.pause_rebalancing(1, sender=guardian)
        assert world.state()["paused_until"] == boa.env.timestamp + 1
    book.pause_rebalancing(72 * HOUR, sender=guardian)
    assert event(book, "RebalancingPaused").paused_until == boa.env.timestamp + 72 * HOUR
    with boa.reverts("ownable: caller is not the owner"):
        book.lift_rebalancing_pause(sender=world.keeper)
    book.lift_rebalancing_pause()
    assert event(book, "RebalancingPaused").paused_until == 0 == world.state()["paused_until"]
    world.pass_time(144 * HOUR - 1)
    with boa.reverts("pause: too soon after the last"):
        book.pause_rebalancing(HOUR, sender=guardian)
    world.pass_time(1)
    book.pause_rebalancing(HOUR, sender=guardian)
    book.lift_rebalancing_pause(sender=guardian)


def test_vaults_calls__by_another__refused(world):
    for caller in (boa.env.eoa, world.keeper, world.guardian):
        with boa.reverts("book: caller is not the vault"):
            world.book.open_flow(0, sender=caller)
        with boa.reverts("book: caller is not the vault"):
            world.book.free_margin(1, world.price(), sender=caller)


def test_free_margin__several_venues__in_their_order(world):
    world.deposit(world.depositor("depositor"), 50)
    second = add_settable_venue(world)
    world.rebalance(
        Leg(margin_assets=world.assets(10)),
        Leg(margin_assets=world.assets(20), venue=second.address),
    )
    price = world.price()
    assert world.book.free_assets(price) == world.assets(30)
    freed = world.book.free_margin(world.assets(12), price, sender=world.vault.address)
    assert freed == world.assets(12)
    moved = [log for log in world.book.get_logs() if type(log).__name__ == "MarginMoved"]
    assert [(m.venue, m.assets, m.assets_after) for m in moved] == [
        (world.venue.address, -world.assets(10), 0),
        (second.address, -world.assets(2), world.assets(18)),
    ]
    assert all(m.decision_id == b"\0" * 32 for m in moved)
    rest = world.book.free_margin(world.assets(99), price, sender=world.vault.address)
    assert rest == world.assets(18)


def test_last_price__each_flow__stores_it(world):
    assert world.state()["last_price_wad"] == 0
    depositor = world.depositor("depositor")
    world.deposit(depositor, 1)
    assert (world.state()["last_price_wad"], world.state()["last_price_at"]) == (
        10**21,
        boa.env.timestamp,
    )
    first_at = boa.env.timestamp
    world.pass_time(60)
    world.set_price(1_001)
    assert world.state()["last_price_at"] == first_at
    world.vault.redeem(10**20, depositor, depositor, sender=depositor)
    assert world.state()["last_price_wad"] == 1_001 * 10**18
    world.break_oracle()
    assert world.state()["last_price_wad"] == 1_001 * 10**18


def test_valuation__bad_price__reverts_with_the_reason(world):
    world.break_oracle()
    with boa.reverts("oracle: asset feed zero"):
        world.book.valuation()


def test_valuation__hedged__adds_up(world):
    world.deposit(world.depositor("depositor"), 100)
    world.hedge(0.3)
    world.set_price(1_100)
    valued = world.book.valuation()
    margin = world.margin()
    assert (valued.price_wad, valued.assets) == (1_100 * 10**18, world.assets(30))
    assert valued.quote_value == margin.quote + margin.profit
    assert valued.delta == -world.assets(100)
