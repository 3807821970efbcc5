# SPDX-License-Identifier: MIT
"""
Q-02: a cooldown that is switched off must free those who wait.

Nobody switches ours: delays are fixed at construction and the queue has no owner. What others may
do to the vault, pausing entry or ending it, holds nobody longer than was said.
"""

from __future__ import annotations

import boa

from tests.vault_world import DAY, QUEUE_CANCEL_DELAY


def test_q02__queue__has_no_call_that_sets_anything(world):
    calls = {
        entry["name"]
        for entry in world.queue.abi
        if entry["type"] == "function" and entry["stateMutability"] not in {"view", "pure"}
    }
    assert calls == {"request", "cancel", "process", "claim"}


def test_q02__paused_and_unwinding__who_waits_is_served_as_was_said(world, owners):
    world.hedge()
    for owner in owners:
        world.request(owner, world.vault.balanceOf(owner) // 4)
    world.vault.pause_entry(DAY, sender=world.guardian)
    world.book.pause_rebalancing(DAY, sender=world.guardian)
    world.book.start_unwind(sender=world.guardian)
    world.become_due()
    assert world.queue.process(2) == 2


def test_q02__without_a_price__shares_come_back_when_it_was_said(world, owners):
    shares = world.vault.balanceOf(owners[0])
    number = world.request(owners[0], shares)
    world.break_oracle()
    boa.env.time_travel(seconds=QUEUE_CANCEL_DELAY)
    world.queue.cancel(number, sender=owners[0])
    assert world.vault.balanceOf(owners[0]) == shares
