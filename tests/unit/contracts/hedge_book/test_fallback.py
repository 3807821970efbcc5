# SPDX-License-Identifier: MIT
"""Who may come in the keeper's place, when, for how much; and the unwinding of a book."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import NOBODY
from tests.vault_world import FALLBACK, HOUR, Leg, add_settable_venue, vault_world

GRACE, RAMP, MOST = FALLBACK


@pytest.fixture(scope="module")
def deployed():
    with boa.env.anchor():
        world = vault_world()
        holder = world.depositor("holder")
        world.deposit(holder, 100)
        yield world, holder


@pytest.fixture
def world(deployed):
    """100 assets at 1,000, nothing hedged."""
    with boa.env.anchor():
        yield deployed[0]


@pytest.fixture
def holder(deployed):
    return deployed[1]


@pytest.fixture
def anybody():
    return str(boa.env.generate_address("anybody"))


def fall_back(world, anybody, leg, reward=0, receiver=None):
    words = world._leg(leg)
    world.book.fall_back(words, reward, receiver or anybody, sender=anybody)
    return next(e for e in world.book.get_logs() if type(e).__name__ == "Rebalanced").record


def whole_hedge(world):
    return Leg(margin_assets=world.assets(30), size=-world.assets(100))


def wait(world, seconds):
    world.pass_time(seconds)
    world.set_price(1_000)


def test_flag__nothing_urgent__says_so(world):
    world.hedge()
    assert world.book.flag() == 0
    assert world.state()["flagged_at"] == 0


def test_flag__again__the_first_counts(world, anybody):
    first_at = boa.env.timestamp
    assert world.book.flag(sender=anybody) == first_at
    wait(world, 60)
    assert world.book.flag() == first_at == world.state()["flagged_at"]


def test_flag__keeper_comes__cleared(world):
    world.book.flag()
    world.hedge()
    assert world.state()["flagged_at"] == 0


def test_flag__a_flow_finds_all_in_order__cleared(world, holder):
    """Otherwise an old flag would let anybody come at once, much later."""
    world.hedge()
    world.book.eval(f"ledger.see({world.price()}, {boa.env.timestamp})")
    world.vault.redeem(10**20, holder, holder, sender=holder)
    assert world.state()["flagged_at"] == 0


def test_flag__bad_price__refused(world):
    world.break_oracle()
    with boa.reverts("oracle: asset feed zero"):
        world.book.flag()


def test_fall_back__no_flag_or_no_grace_yet__refused(world, anybody):
    with boa.reverts("book: not flagged"):
        fall_back(world, anybody, whole_hedge(world))
    world.book.flag()
    wait(world, GRACE - 1)
    with boa.reverts("book: the keeper has time left"):
        fall_back(world, anybody, whole_hedge(world))
    wait(world, 1)
    record = fall_back(world, anybody, whole_hedge(world))
    assert record.sender == anybody
    assert record.delta_after == 0
    assert world.state()["flagged_at"] == 0


def test_fall_back__reward__rises_along_the_ramp_and_is_a_cost(world, anybody):
    """K-02, K-06: nothing at first, all of it a ramp later, and in the cost that is checked."""
    world.book.flag()
    wait(world, GRACE)
    with boa.reverts("book: reward too high"):
        fall_back(world, anybody, whole_hedge(world), 1)
    with boa.env.anchor():  # a second has not earned a whole unit more, so it is rounded down
        wait(world, 1)
        with boa.reverts("book: reward too high"):
            fall_back(world, anybody, whole_hedge(world), MOST // RAMP + 1)
        fall_back(world, anybody, whole_hedge(world), MOST // RAMP)
    wait(world, RAMP // 2)
    with boa.reverts("book: reward too high"):
        fall_back(world, anybody, whole_hedge(world), MOST // 2 + 1)
    with boa.env.anchor():
        plain = fall_back(world, anybody, whole_hedge(world)).cost
    rewarded = fall_back(world, anybody, whole_hedge(world), MOST // 2)
    assert rewarded.cost - plain == world.value(MOST // 2)
    assert world.asset.balanceOf(anybody) == MOST // 2
    assert world.vault.idle_assets() == world.assets(70) - MOST // 2
    assert world.state()["cost_used"] == pytest.approx(rewarded.cost, rel=2e-3)


def test_fall_back__reward__cannot_exceed_the_cost_bound(world, anybody):
    """A leg of next to nothing for the whole reward."""
    world.book.set_limits(tuple((world.limits | {"min_step_bps": 1}).values()))
    world.book.flag()
    wait(world, GRACE + RAMP)
    small = Leg(margin_assets=world.assets("0.01"), size=-world.assets("0.02"))
    with boa.reverts("book: cost over its bound"):
        fall_back(world, anybody, small, MOST)


def test_fall_back__leaves_the_keeper_late__clock_starts_again(world, anybody):
    world.book.flag()
    wait(world, GRACE)
    fall_back(world, anybody, Leg(margin_assets=world.assets(20), size=-world.assets(50)))
    assert world.state()["flagged_at"] == boa.env.timestamp
    with boa.reverts("book: the keeper has time left"):
        fall_back(world, anybody, Leg(margin_assets=world.assets(10), size=-world.assets(50)))


def test_fall_back__recovered_meanwhile__refused(world, anybody):
    """Nobody cleared the flag, but nothing is urgent any more."""
    world.hedge()
    world.book.eval(f"ledger.see({world.price()}, {boa.env.timestamp})")
    wait(world, GRACE)
    with boa.reverts("book: nothing is urgent"):
        fall_back(world, anybody, Leg(size=-world.assets(1)))


def test_fall_back__same_checks_as_the_keepers(world, anybody):
    world.book.flag()
    wait(world, GRACE)
    for leg, reason in (
        (Leg(size=-world.assets(100)), "venue: under initial margin"),
        (Leg(margin_assets=world.assets(30), size=-world.assets(102)), "book: drift overshoots"),
        (Leg(margin_assets=world.assets(30), size=world.assets(5)), "book: drift not reduced"),
        (Leg(margin_assets=world.assets(70), size=-world.assets(100)), "book: over the allotment"),
    ):
        with boa.reverts(reason):
            fall_back(world, anybody, leg)


def test_fall_back__takes_margin_or_adds_where_there_is_enough__refused(world, anybody):
    world.book.flag()
    wait(world, GRACE)
    with boa.reverts("book: fallback takes no margin"):
        fall_back(world, anybody, Leg(margin_assets=-1, size=-world.assets(1)))
    with boa.reverts("book: margin over its floor"):
        fall_back(world, anybody, Leg(margin_assets=world.assets(1)))


def test_fall_back__margin_under_its_floor__added_for_a_reward(world, anybody):
    """Maintenance of 25,000: an equity of 30,000 is under the floor of 1.5, 50,000 is over it."""
    venue = add_settable_venue(world)
    world.rebalance(
        Leg(margin_assets=world.assets(30), size=-world.assets(100), venue=venue.address)
    )
    venue.set_maintenance(2_500)
    world.book.flag()
    wait(world, GRACE + RAMP)
    before = world.state()["cost_used"]
    with boa.reverts("book: margin still under its floor"):  # each grace period, for nothing
        fall_back(
            world, anybody, Leg(margin_assets=world.assets("0.001"), venue=venue.address), MOST
        )
    fall_back(world, anybody, Leg(margin_assets=world.assets(20), venue=venue.address), MOST)
    assert world.asset.balanceOf(anybody) == MOST
    assert world.state()["cost_used"] > before


@pytest.mark.parametrize("receiver", ["nobody", "book", "vault"])
def test_fall_back__bad_receiver__refused(world, anybody, receiver):
    world.book.flag()
    wait(world, GRACE)
    address = NOBODY if receiver == "nobody" else getattr(world, receiver).address
    with boa.reverts("book: bad receiver"):
        fall_back(world, anybody, whole_hedge(world), receiver=address)


def test_carry_out__by_anybody__refused(world, anybody):
    plan = world.plan(whole_hedge(world))
    for sender in (anybody, world.keeper, boa.env.eoa):
        with boa.reverts("book: caller is not the book"):
            world.book.carry_out(plan, sender, 0, sender, sender=sender)


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ((59, HOUR, 1), "book: grace too short"),
        ((7 * 86_400 + 1, HOUR, 1), "book: grace too long"),
        ((HOUR, 0, 1), "book: ramp is zero"),
        ((HOUR, 86_401, 1), "book: ramp too long"),
        ((HOUR, HOUR, 2**112), "book: reward over its bound"),
    ],
)
def test_set_fallback__nonsense__own_reason(world, terms, reason):
    with boa.reverts(reason):
        world.book.set_fallback(terms)


def test_set_fallback__owner_only__logged(world):
    with boa.reverts("ownable: caller is not the owner"):
        world.book.set_fallback((60, 1, 0), sender=world.guardian)
    world.book.set_fallback((60, 1, 0))
    changed = next(e for e in world.book.get_logs() if type(e).__name__ == "FallbackSet")
    assert (tuple(changed.terms_before), tuple(changed.terms_after)) == (FALLBACK, (60, 1, 0))
    assert tuple(world.book.fallback_terms()) == (60, 1, 0)


# Unwinding


@pytest.fixture
def hedged(world):
    """The whole hedge is there, 30 of margin, and the cooldown is over."""
    world.hedge()
    wait(world, world.limits["cooldown_secs"])
    return world


def test_start_unwind__guardian_or_owner__once(hedged):
    for sender in (hedged.keeper, str(boa.env.generate_address("anybody"))):
        with boa.reverts("ownable: caller is not the owner"):
            hedged.book.start_unwind(sender=sender)
    hedged.book.start_unwind(sender=hedged.guardian)
    assert hedged.state()["unwinds"]
    with boa.reverts("book: unwinding already"):
        hedged.book.start_unwind()


def test_unwinding__nobody_enters_and_no_ratio_comes_back(hedged):
    hedged.book.start_unwind(sender=hedged.guardian)
    late = hedged.depositor("late")
    assert hedged.vault.maxDeposit(late) == 0
    with boa.reverts("vault: hedge is not sound"):
        hedged.deposit(late, 1)
    for call in (
        lambda: hedged.book.set_hedge_ratio(10_000),
        lambda: hedged.book.set_hedge_ratio_bounds(0, 10_000),
    ):
        with boa.reverts("book: unwinding"):
            call()


def test_unwinding__plans_only_shrink_positions(hedged):
    hedged.book.start_unwind(sender=hedged.guardian)
    with boa.reverts("book: unwinding only shrinks"):
        hedged.rebalance(Leg(size=-hedged.assets(1)))
    hedged.rebalance(Leg(size=hedged.assets(60)))
    assert hedged.margin().delta == -hedged.assets(40)


def test_unwinding__keeper_does_not_come__anybody_ends_it_and_all_leave(hedged, holder, anybody):
    """K-06: the position is closed in steps, margin comes out, all but the base charge is paid."""
    hedged.book.start_unwind(sender=hedged.guardian)
    hedged.book.flag()
    wait(hedged, GRACE)
    steps = Leg(size=hedged.assets(60)), Leg(size=hedged.assets(40))
    for leg in steps:
        fall_back(hedged, anybody, leg)
        wait(hedged, GRACE)
    assert hedged.margin().delta == 0
    shares = hedged.vault.balanceOf(holder)
    paid = hedged.vault.redeem(hedged.vault.maxRedeem(holder), holder, holder, sender=holder)
    assert paid > hedged.assets("99.0")
    assert hedged.vault.balanceOf(holder) < shares // 500
