# SPDX-License-Identifier: MIT
"""Settlement: what hollow shares become, who bears what, silent venues; claims and their end."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import MAX_UINT, NOBODY
from tests.vault_world import (
    BPS,
    DAY,
    EXIT_PATIENCE,
    HOUR,
    Leg,
    add_settable_venue,
    event,
    vault_world,
)

VIRTUAL = 1_000


@pytest.fixture(scope="module")
def built():
    """
    Two leavers of 30 and one who stays with 40. At a venue that does what it is told are 20
    assets of margin and a short of 50, at the other nothing; 80 are idle.
    """
    with boa.env.anchor():
        world = vault_world(allotment_bps=0)
        venue = add_settable_venue(world, 9_000)
        people = [world.depositor(name) for name in ("first", "second", "stayer")]
        for account, whole in zip(people, (30, 30, 40), strict=True):
            world.deposit(account, whole)
        leg = Leg(world.assets(20), 0, -world.assets(50), venue=venue.address)
        world.rebalance(leg)
        world.pass_time(60)
        yield world, venue, people


@pytest.fixture
def world(built):
    with boa.env.anchor():
        built[0].open_exit()
        yield built[0]


@pytest.fixture
def venue(built):
    return built[1]


@pytest.fixture
def people(built):
    return built[2]


def leave(world, account):
    shares = world.vault.balanceOf(account)
    return shares, world.leave_in_kind(account, shares)


def settled(world, hollow, supply, bps=90):
    """Return full shares and charge, recomputed: idle I, venues V, both in quote."""
    idle = world.value(world.vault.idle_assets()) + world.state()["idle_quote"]
    venues = sum(max(world.book.sight(i, world.price()).value, 0) for i in range(3))
    part = hollow * venues // (supply + VIRTUAL)
    full = supply - hollow + VIRTUAL
    taken = -(-hollow * idle // full)
    charge = min(part, -(-taken * bps // BPS))
    return (part - charge) * full // (idle + 1 + venues - part + charge), charge


def test_settle__same_price__stayers_and_leavers_are_worth_what_they_were(world, people):
    """
    Of 100 at 1,000, 80 idle and 20 at the venue: half of what is idle, less 90 bp, is charged to
    the 60 % that leave: 0.432. They were paid 48 and get 12 - 0.432 in shares.
    """
    worth = world.vault.convertToAssets(world.vault.balanceOf(people[2]))
    first, second = leave(world, people[0]), leave(world, people[1])
    hollow, supply = first[0] + second[0], world.vault.totalSupply()
    world.set_price(1_000)
    shares, charge = settled(world, hollow, supply)
    preview = world.exit.settled_supply(world.price())
    assert world.exit.settle() is True
    said = event(world.exit, "ExitsSettled")
    assert (said.round, said.hollow, said.shares, said.charge) == (0, hollow, shares, charge)
    assert (said.price_wad, said.venues_value) == (world.price(), world.quotes(20_000))
    assert abs(charge - world.quotes(432)) < world.quotes(3)
    assert world.vault.totalSupply() == supply - hollow + shares == preview
    assert world.vault.balanceOf(world.exit.address) == shares
    now = world.vault.convertToAssets(world.vault.balanceOf(people[2]))
    assert abs((now - worth) * 1_000 - charge * 10**12) < 10**9 * 1_000
    received = first[1][0] + second[1][0] + world.vault.convertToAssets(shares)
    left = world.vault.convertToAssets(world.vault.totalSupply() - shares)
    assert abs(received + left - world.assets(100)) <= 10**9
    assert (world.exit.round(), world.exit.hollow_shares()) == (1, 0)


@pytest.mark.parametrize("price", [400, 700, 1_000, 1_300])
def test_settle__any_price__price_of_a_share_is_that_of_who_stayed(world, people, price):
    leave(world, people[0])
    leave(world, people[1])
    world.set_price(price)
    before = world.vault.convertToAssets(10**30)
    world.exit.settle()
    assert world.vault.convertToAssets(10**30) == before


def test_settle__then_everything_is_open_again(world, people, venue):
    leave(world, people[0])
    world.set_price(1_000)
    world.exit.settle()
    assert world.vault.settled_idle_assets() == world.vault.idle_assets()
    world.deposit(world.depositor("new"), 1)
    world.vault.redeem(10**21, people[2], people[2], sender=people[2])
    world.pass_time(world.limits["cooldown_secs"])
    gap = world.gap()
    world.rebalance(Leg(size=-gap, venue=venue.address))
    with boa.reverts("exit: nothing to settle"):
        world.exit.settle()


def test_settle__no_price_or_nothing_hollow__refused(world, people):
    with boa.reverts("exit: nothing to settle"):
        world.exit.settle()
    leave(world, people[0])
    with boa.reverts("oracle: asset feed zero"):
        world.exit.settle()


def test_settle__announcement__is_over(world, people):
    leave(world, people[0])
    world.set_price(1_000)
    world.exit.settle()
    world.break_oracle()
    with boa.reverts("exit: not announced"):
        leave(world, people[1])


@pytest.mark.parametrize("price", [1_400, 2_000])
def test_settle__venues_worth_nothing__claims_neither(world, people, price):
    """At 1,400 the short has lost 20,000 and the margin is worth 28,000; at 2,000 all is gone."""
    hollow, _ = leave(world, people[0])
    supply = world.vault.totalSupply()
    world.set_price(price)
    world.exit.settle()
    said = event(world.exit, "ExitsSettled")
    if price == 2_000:
        assert (said.shares, said.charge, said.venues_value) == (0, 0, 0)
        assert world.vault.totalSupply() == supply - hollow
        with boa.reverts("exit: claims are worth nothing"):
            world.exit.redeem(0, hollow, people[0], sender=people[0])
    else:
        assert 0 < said.shares < hollow // 10


def test_settle__nobody_stayed__claims_are_the_shares(world, people):
    for account in people:
        leave(world, account)
    supply = world.vault.totalSupply()
    assert world.vault.idle_assets() <= world.assets(80) * VIRTUAL // supply + 3
    world.set_price(1_000)
    world.exit.settle()
    said = event(world.exit, "ExitsSettled")
    assert (said.shares, said.charge) == (supply, 0)
    held = world.exit.balanceOf(people[0], 0)
    assert world.exit.redeem(0, held, people[0], sender=people[0]) == held
    assert abs(world.vault.convertToAssets(supply) - world.assets(20)) <= 3


def test_settle__exit_and_price_back__brings_what_an_ordinary_exit_does(world, people):
    """
    Who leaves in kind just before the price is back and redeems at once pays the same charge, but
    for that on the charge: 90 bp of 90 bp of the 24 that were idle.
    """
    me = people[0]
    with boa.env.anchor():
        world.set_price(1_000)
        ordinary = world.vault.redeem(world.vault.balanceOf(me), me, me, sender=me)
    shares, (assets, _) = leave(world, me)
    world.set_price(1_000)
    world.exit.settle()
    got = world.exit.redeem(0, shares, me, sender=me)
    in_kind = assets + world.vault.redeem(got, me, me, sender=me)
    assert 0 <= in_kind - ordinary <= assets * 90**2 // BPS**2 + 1_000


def test_settle__one_venue_owes_more_than_it_has__does_not_count_against_the_other(world, people):
    """As in the value of a share, where no venue counts as less than nothing."""
    liar = add_settable_venue(world, 0)
    liar.set_faults(BPS, BPS, -world.quotes(10**6), 0)
    hollow, _ = leave(world, people[0])
    supply = world.vault.totalSupply()
    world.set_price(1_000)
    expected, _ = settled(world, hollow, supply)
    assert world.exit.settle() is True
    said = event(world.exit, "ExitsSettled")
    assert said.venues_value == world.quotes(20_000)
    assert said.shares == expected > 0


def test_settle__silent_venue__waits_and_then_goes_on_without(world, people, venue):
    hollow, _ = leave(world, people[0])
    world.set_price(1_000)
    venue.set_silence(1)
    assert world.exit.settle() is False
    waits_since = boa.env.timestamp
    assert event(world.exit, "SettlementWaits").waits_since == waits_since
    assert (world.exit.hollow_shares(), world.exit.waits_since()) == (hollow, waits_since)
    with boa.reverts("vault: exits in kind unsettled"):
        world.deposit(people[1], 1)
    world.pass_time(EXIT_PATIENCE - 1)
    with boa.reverts("exit: a venue is silent"):
        world.exit.settle()
    world.pass_time(1)
    assert world.exit.settle() is True
    said = event(world.exit, "ExitsSettled")
    assert (said.shares, said.venues_value) == (0, 0)
    assert world.exit.waits_since() == 0
    world.vault.redeem(10**21, people[2], people[2], sender=people[2])


def test_settle__silent_venue__answers_in_time__nothing_is_lost(world, people, venue):
    leave(world, people[0])
    world.set_price(1_000)
    venue.set_silence(2)
    assert world.exit.settle() is False
    world.pass_time(HOUR)
    venue.set_silence(0)
    assert world.exit.settle() is True
    assert event(world.exit, "ExitsSettled").venues_value == world.quotes(20_000)


def test_settle__put_off__nobody_exits_at_the_next_bad_price(world, people, venue):
    leave(world, people[0])
    world.set_price(1_000)
    venue.set_silence(1)
    world.exit.settle()
    world.break_oracle()
    with boa.reverts("exit: not announced"):
        leave(world, people[1])


def test_settle__venue_that_claims_too_much__counts_as_far_as_it_is_believed(world, people, venue):
    leave(world, people[0])
    venue.set_faults(BPS, BPS, world.quotes(10**6), 0)
    world.set_price(1_000)
    assert world.exit.settle() is True
    value = event(world.exit, "ExitsSettled").venues_value
    assert world.quotes(20_000) < value < world.quotes(30_000)  # credit: 1 % of the stake a day


def test_settle__little_gas__makes_no_venue_silent(world, people):
    leave(world, people[0])
    world.set_price(1_000)
    for gas in range(60_000, 600_000, 10_000):
        with boa.env.anchor():
            try:
                assert world.exit.settle(gas=gas) is True
            except boa.BoaError:
                continue
            assert event(world.exit, "ExitsSettled").venues_value == world.quotes(20_000)


def test_redeem__rounds__are_kept_apart(world, people):
    first, _ = leave(world, people[0])
    world.set_price(1_000)
    world.exit.settle()
    world.pass_time(60)
    world.open_exit()
    second, _ = leave(world, people[1])
    with boa.reverts("exit: round is not settled"):
        world.exit.redeem(1, second, people[1], sender=people[1])
    world.set_price(500)
    world.exit.settle()
    rates = []
    for round_id, claims, account in ((0, first, people[0]), (1, second, people[1])):
        assert world.exit.round_of(round_id).claims == claims
        had = world.vault.balanceOf(account)
        got = world.exit.redeem(round_id, claims, account, sender=account)
        assert world.vault.balanceOf(account) == had + got
        rates.append(got * 10**6 // claims)
    assert rates[0] != rates[1]
    assert world.vault.balanceOf(world.exit.address) == 0
    assert tuple(world.exit.round_of(0)) == tuple(world.exit.round_of(1)) == (0, 0)


def test_redeem__in_parts__all_is_paid_in_the_end(world, people):
    claims, _ = leave(world, people[0])
    world.set_price(1_000)
    world.exit.settle()
    shares = world.exit.round_of(0).shares
    parts = [claims // 7, claims // 3, claims - claims // 7 - claims // 3]
    got = [world.exit.redeem(0, part, people[2], sender=people[0]) for part in parts]
    said = event(world.exit, "ClaimsRedeemed")
    assert (said.round, said.owner, said.receiver) == (0, people[0], people[2])
    assert (said.claims, said.shares) == (parts[2], got[2])
    assert (said.claims_after, said.shares_after) == (0, 0)
    assert sum(got) == shares
    assert abs(got[0] - parts[0] * shares // claims) <= 1


def test_redeem__bad_arguments__refused(world, people):
    claims, _ = leave(world, people[0])
    world.set_price(1_000)
    world.exit.settle()
    me = people[0]
    with boa.reverts("exit: zero claims"):
        world.exit.redeem(0, 0, me, sender=me)
    with boa.reverts("claims: not enough claims"):
        world.exit.redeem(0, claims + 1, me, sender=me)
    with boa.reverts("claims: not enough claims"):
        world.exit.redeem(0, 1, people[1], sender=people[1])
    for receiver in (NOBODY, world.exit.address, world.vault.address):
        with boa.reverts("exit: bad receiver"):
            world.exit.redeem(0, claims, receiver, sender=me)


def test_claims__transferred__are_the_receivers(world, people):
    claims, _ = leave(world, people[0])
    owner, buyer, spender = people[0], people[1], people[2]
    token = world.exit
    assert token.transfer(buyer, 0, claims // 2, sender=owner)
    moved = event(token, "Transfer")
    assert (moved.caller, moved.sender, moved.receiver) == (owner, owner, buyer)
    assert (moved.id, moved.amount) == (0, claims // 2)
    with boa.reverts("claims: not enough allowance"):
        token.transferFrom(owner, buyer, 0, 1, sender=spender)
    token.approve(spender, 0, 10, sender=owner)
    token.transferFrom(owner, buyer, 0, 10, sender=spender)
    assert token.allowance(owner, spender, 0) == 0
    token.approve(spender, 0, MAX_UINT, sender=owner)
    token.transferFrom(owner, buyer, 0, 10, sender=spender)
    assert token.allowance(owner, spender, 0) == MAX_UINT
    token.approve(spender, 0, 0, sender=owner)
    token.setOperator(spender, True, sender=owner)
    token.transferFrom(owner, buyer, 0, 10, sender=spender)
    token.setOperator(spender, False, sender=owner)
    with boa.reverts("claims: not enough allowance"):
        token.transferFrom(owner, buyer, 0, 1, sender=spender)
    for receiver in (NOBODY, token.address):
        with boa.reverts("claims: bad receiver"):
            token.transfer(receiver, 0, 1, sender=owner)
    with boa.reverts("claims: not enough claims"):
        token.transfer(buyer, 1, 1, sender=owner)
    world.set_price(1_000)
    token.settle()
    held = token.balanceOf(buyer, 0)
    assert held == claims // 2 + 30
    assert token.redeem(0, held, buyer, sender=buyer) > 0


def test_claims__interface_ids__erc165_and_erc6909(world):
    ids = {"01ffc9a7": True, "0f632fb3": True, "d9b67a26": False, "ffffffff": False}
    for id_, known in ids.items():
        assert world.exit.supportsInterface(bytes.fromhex(id_)) is known


def test_settle__queue_runs_again_afterwards(world, people):
    world.set_price(1_000)
    world.exit.retract()
    world.request(people[2], 10**22)
    world.open_exit()
    leave(world, people[0])
    boa.env.time_travel(seconds=DAY)
    world.set_price(1_000)
    world.exit.settle()
    assert world.queue.process(1) == 1
