# SPDX-License-Identifier: MIT
"""Runs of the queue: when, at which price, how much, in which order."""

from __future__ import annotations

import boa
import pytest

from tests.vault_world import (
    BPS,
    HOUR,
    QUEUE_CANCEL_DELAY,
    QUEUE_DELAY,
    Leg,
    lose_all,
    vault_world,
)


@pytest.fixture
def world():
    with boa.env.anchor():
        yield vault_world(base_charge_bps=100)


@pytest.fixture
def owners(world):
    """Three with 20 each; nothing is hedged, so that exits close the gap and pay no impact."""
    accounts = [world.depositor(f"owner {n}") for n in range(3)]
    for account in accounts:
        world.deposit(account, 20)
    return accounts


def events(contract, name):
    return [log for log in contract.get_logs() if type(log).__name__ == name]


def test_process__empty_or_early__nothing_is_due(world, owners):
    with boa.reverts("queue: nothing is due"):
        world.queue.process(10)
    world.request(owners[0], 10**22)
    with boa.reverts("queue: nothing is due"):
        world.queue.process(0)
    with boa.reverts("queue: nothing is due"):
        world.queue.process(10)


def test_process__round_published_at_the_end_of_the_delay__is_not_yet_one(world, owners):
    """The round must have begun later than request + delay; its time is the feed's, not ours."""
    world.request(owners[0], 10**22)
    world.pass_time(QUEUE_DELAY)
    boa.env.time_travel(seconds=60)
    with boa.reverts("queue: nothing is due"):
        world.queue.process(10)
    world.pass_time(1)
    assert world.queue.process(10) == 1


def test_process__first_round_after_the_delay__no_base_charge(world, owners):
    shares = 10**22
    gross = world.vault.convertToAssets(shares)
    world.request(owners[0], shares)
    world.become_due()
    world.queue.process(10)
    filled = events(world.queue, "RedemptionFilled")[0]
    assert (filled.base_charge, filled.impact_charge) == (0, 0)
    assert filled.assets == world.queue.claim_of(owners[0]) == gross
    assert filled.oracle_round_id == world.base.asset_feed.last_round()[0]


def test_process__second_round_after_the_delay__base_charge(world, owners):
    shares = 10**22
    gross = world.vault.convertToAssets(shares)
    world.request(owners[0], shares)
    world.become_due()
    world.pass_time(60)
    world.queue.process(10)
    filled = events(world.queue, "RedemptionFilled")[0]
    assert filled.base_charge == -(-gross * 100 // BPS)
    assert filled.assets == gross - filled.base_charge


def test_process__round_before_unknown__base_charge(world, owners):
    """The phase of the feed changed: nobody can say when the round before was."""
    world.request(owners[0], 10**22)
    boa.env.time_travel(seconds=QUEUE_DELAY + 1)
    now = boa.env.timestamp
    world.base.asset_feed.set_round(2**64 + 1, 1_000 * 10**8, now, now, 2**64 + 1)
    world.base.quote_feed.set_answer(10**8)
    world.queue.process(10)
    assert events(world.queue, "RedemptionFilled")[0].base_charge > 0


def test_process__feed_fails__nothing_is_due(world, owners):
    world.request(owners[0], 10**22)
    world.become_due()
    world.base.asset_feed.set_reverting(True)
    with boa.reverts("queue: nothing is due"):
        world.queue.process(10)
    world.base.asset_feed.set_reverting(False)
    world.base.quote_feed.set_reverting(True)
    with boa.reverts("oracle: quote feed reverted"):
        world.queue.process(10)


def test_process__each_after_the_one_before__in_order(world, owners):
    numbers = [world.request(owner, 10**22) for owner in owners]
    world.become_due()
    assert world.queue.process(2) == 2
    assert [log.id for log in events(world.queue, "RedemptionFilled")] == numbers[:2]
    assert (world.queue.first(), world.queue.claim_of(owners[2])) == (2, 0)
    assert world.queue.process(10) == 1
    assert world.queue.first() == world.queue.count() == 3
    assert world.queue.pending_shares() == world.vault.balanceOf(world.queue.address) == 0


def test_process__ledgers__after_it(world, owners):
    idle, supply = world.vault.idle_assets(), world.vault.totalSupply()
    world.request(owners[0], 10**22)
    world.become_due()
    world.queue.process(1)
    claim = world.queue.claim_of(owners[0])
    assert world.vault.idle_assets() == idle - claim
    assert world.vault.totalSupply() == supply - 10**22
    assert world.asset.balanceOf(world.vault.address) == idle - claim
    assert world.asset.balanceOf(world.queue.address) == claim


def test_process__more_than_idle__takes_free_margin(world, owners):
    world.hedge(margin_share=0.6)
    idle = world.vault.idle_assets()
    world.request(owners[0], world.vault.balanceOf(owners[0]))
    world.request(owners[1], world.vault.balanceOf(owners[1]))
    world.become_due()
    assert world.book.free_assets(world.price()) > 0
    world.queue.process(10)
    assert world.queue.reserved_assets() > idle


def test_process__liquid_runs_out__part_is_filled_and_the_rest_waits(world, owners):
    for owner in owners:
        world.request(owner, world.vault.balanceOf(owner))
    world.hedge(margin_share=0.6)
    world.become_due()
    free = world.vault.idle_assets() + world.book.free_assets(world.price())
    assert world.queue.process(10) == 3
    filled = events(world.queue, "RedemptionFilled")
    assert [log.shares_after == 0 for log in filled] == [True, True, False]
    assert world.queue.first() == 2
    assert free - 10 <= world.queue.reserved_assets() <= free
    assert world.queue.request_of(2).shares == filled[2].shares_after > 0
    with boa.reverts("queue: not enough liquid"):
        world.queue.process(10)
    world.deposit(world.depositor("new"), 5)
    world.queue.process(10)
    assert events(world.queue, "RedemptionFilled")[0].id == 2


def test_process__part_under_the_minimum__waits(world, owners):
    """Less than 0.01 is liquid after the run, which is not worth a part; an entry of 1 is."""
    for owner in owners:
        world.request(owner, world.vault.balanceOf(owner))
    world.hedge(margin_share=0.6)
    world.become_due()
    world.queue.process(10)
    new = world.depositor("new")
    world.deposit(new, "0.009")
    with boa.reverts("queue: not enough liquid"):
        world.queue.process(10)
    world.deposit(new, "0.1")
    assert world.queue.process(10) == 1
    assert events(world.queue, "RedemptionFilled")[0].shares >= world.queue.MIN_SHARES()


def test_process__worth_less_than_the_minimum__lapses_and_the_next_is_served(world, owners):
    """The price of the asset rises by 2 % against a hedged vault: fewer assets for a share."""
    world.hedge()
    shares = 10**22
    least = world.vault.convertToAssets(shares) * 99 // 100
    before = world.vault.balanceOf(owners[0])
    world.request(owners[0], shares, least)
    world.request(owners[1], shares)
    boa.env.time_travel(seconds=QUEUE_DELAY + 1)
    world.set_price(1_020)
    assert world.queue.process(10) == 1
    lapsed = events(world.queue, "RedemptionLapsed")[0]
    assert (lapsed.id, lapsed.owner, lapsed.shares) == (0, owners[0], shares)
    assert lapsed.pending_shares_after == shares
    assert world.vault.balanceOf(owners[0]) == before
    assert world.queue.claim_of(owners[0]) == 0 < world.queue.claim_of(owners[1])
    assert world.queue.first() == 2
    assert world.queue.pending_shares() == 0


def test_process__minimum_of_a_part__counts_what_was_received(world, owners):
    for owner in owners[1:]:
        world.vault.transfer(owners[0], world.vault.balanceOf(owner), sender=owner)
    shares = world.vault.balanceOf(owners[0])
    least = world.vault.convertToAssets(shares) * 99 // 100
    number = world.request(owners[0], shares, least)
    world.hedge(margin_share=0.6)
    world.become_due()
    world.queue.process(1)
    filled = events(world.queue, "RedemptionFilled")[0]
    assert 0 < filled.shares_after < shares
    assert filled.min_assets_after == least - filled.assets == world.queue.request_of(number)[2]
    assert filled.min_assets_after > 0


def test_process__all_there_is__pays_no_charge_and_leaves_nothing(world, owners):
    for owner in owners:
        world.request(owner, world.vault.balanceOf(owner))
    worth = world.vault.totalAssets()
    world.become_due()
    world.pass_time(60)
    assert world.queue.process(10) == 3
    assert world.vault.totalSupply() == 0
    last = events(world.queue, "RedemptionFilled")[2]
    assert last.base_charge == last.impact_charge == 0
    assert worth - world.queue.reserved_assets() == world.vault.idle_assets() <= 1


def test_process__rest_under_the_minimum_supply__is_left_out(world, owners):
    """Somebody keeps a thousandth of the minimum: the last request cannot be filled whole."""
    vault, rest = world.vault, world.vault.MIN_SUPPLY() // 1_000
    for owner in owners[:2]:
        vault.transfer(owners[2], vault.balanceOf(owner), sender=owner)
    vault.transfer(owners[0], rest, sender=owners[2])
    number = world.request(owners[2], vault.balanceOf(owners[2]))
    world.become_due()
    world.queue.process(1)
    assert vault.totalSupply() == vault.MIN_SUPPLY()
    assert world.queue.request_of(number).shares == vault.MIN_SUPPLY() - rest


def test_process__cancelled_ones__are_stepped_over(world, owners):
    numbers = [world.request(owner, 10**22) for owner in owners]
    world.pass_time(QUEUE_CANCEL_DELAY)
    for number in numbers[:2]:
        world.queue.cancel(number, sender=owners[number])
    assert world.queue.process(1) == 0
    assert world.queue.first() == 1
    assert world.queue.process(2) == 1
    assert world.queue.first() == 3


def test_process__equity_not_positive__refused(world, owners):
    world.request(owners[0], 10**22)
    world.become_due()
    lose_all(world)
    assert world.vault.totalAssets() == 0
    with boa.reverts("vault: equity not positive"):
        world.queue.process(1)


def test_process__vaults_fill__only_for_the_queue(world, owners):
    with boa.reverts("vault: caller is not the queue"):
        world.vault.fill((1, 1), [], sender=owners[0])


def test_process__base_charge_of_a_hedged_vault__stays_in_it(world, owners):
    world.hedge()
    before = world.vault.convertToAssets(10**21)
    world.request(owners[0], 10**22)
    world.become_due()
    world.pass_time(60)
    world.queue.process(1)
    assert world.vault.convertToAssets(10**21) > before


def test_rebalance__uses_nothing_that_is_reserved(world, owners):
    world.request(owners[0], world.vault.balanceOf(owners[0]))
    world.become_due()
    world.queue.process(1)
    idle = world.vault.idle_assets()
    with boa.reverts("vault: not enough idle assets"):
        world.rebalance(Leg(margin_assets=idle + 1, size=-idle))
    world.pass_time(HOUR)
    world.rebalance(Leg(margin_assets=idle // 2, size=-idle))
    assert world.queue.claim(owners[0]) > 0


def test_process__fewer_assets_than_the_ledger_says__refused(world, owners):
    """A token that delivers less than it was told would leave one unit short, as here."""
    world.request(owners[0], 10**22)
    world.become_due()
    world.queue.eval("self.reserved_assets = 1")
    with boa.reverts("queue: assets not received"):
        world.queue.process(1)


def test_process__behind_a_part__nothing_happens(world, owners):
    """Not even a lapse: whoever is behind a request that waits keeps his place."""
    for owner in owners[1:]:
        spare = world.vault.balanceOf(owner) - 5 * 10**20
        world.vault.transfer(owners[0], spare, sender=owner)
    world.hedge(margin_share=0.6)
    head = world.request(owners[0], world.vault.balanceOf(owners[0]))
    behind = world.request(owners[1], 5 * 10**20, world.vault.convertToAssets(5 * 10**20))
    boa.env.time_travel(seconds=QUEUE_DELAY + 1)
    world.set_price(1_010)
    assert world.queue.process(10) == 1
    assert world.queue.first() == head
    assert world.queue.request_of(head).shares > 0
    assert world.queue.request_of(behind).shares == 5 * 10**20
    assert events(world.queue, "RedemptionLapsed") == []
