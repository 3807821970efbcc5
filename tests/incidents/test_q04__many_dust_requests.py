# SPDX-License-Identifier: MIT
"""Q-04: many small requests: a minimum, bounded gas, and chunks that give what one run gives."""

from __future__ import annotations

import boa
import pytest
from hypothesis import settings

from tests.vault_world import QUEUE_CANCEL_DELAY, vault_world

REQUESTS = min(1_000, 50 * (settings.default.max_examples // 6))  # 250; the thousand nightly
BASE_GAS = 21_000  # of any transaction
MOST_GAS = 3_000_000  # of a run of 50, execution only: a tenth of a block


@pytest.fixture(scope="module")
def world():
    """Requests by ten owners, of 0.01 to 0.1 each, all due in one round."""
    with boa.env.anchor():
        world = vault_world(gap_floor=200 * 10**18)
        owners = [world.depositor(f"owner {n}") for n in range(10)]
        for owner in owners:
            world.deposit(owner, 12)
            world.vault.approve(world.queue.address, 2**255, sender=owner)
        world.hedge(margin_share=0.2)
        for n in range(REQUESTS):
            world.queue.request(10**19 * (1 + n % 10), 0, sender=owners[n % 10])
        world.become_due()
        yield world, owners


def drained(world, owners, chunk):
    """Serve all in runs of `chunk`; return claims and the gas of the dearest run."""
    with boa.env.anchor():
        dearest = runs = 0
        while world.queue.first() < REQUESTS:
            world.queue.process(chunk)
            dearest, runs = max(dearest, world.queue.call_trace().gas_used), runs + 1
        assert world.queue.pending_shares() == world.vault.balanceOf(world.queue.address) == 0
        return [world.queue.claim_of(owner) for owner in owners], dearest, runs


def test_many_requests__in_chunks__give_what_large_runs_give(world):
    """To the unit: each is priced after the one before it, wherever a run ends."""
    world, owners = world
    claims, dearest, runs = drained(world, owners, 50)
    assert runs == REQUESTS // 50
    assert dearest <= MOST_GAS
    print(f"{REQUESTS} requests in {runs} runs of 50: {dearest // 50:,} gas each in the dearest")
    assert drained(world, owners, 37)[0] == claims


def test_run__asked_for_more__stops_at_fifty(world):
    world, _ = world
    with boa.env.anchor():
        assert world.queue.process(2**255) == 50


def test_cancelled_requests__are_stepped_over_in_bounded_gas(world):
    """A tenth of what it costs at least to send one; making and cancelling one takes two."""
    world, owners = world
    with boa.env.anchor():
        world.pass_time(QUEUE_CANCEL_DELAY)
        for number in range(50):
            world.queue.cancel(number, sender=owners[number % 10])
        assert world.queue.process(50) == 0
        assert world.queue.call_trace().gas_used < 50 * BASE_GAS // 10
        assert world.queue.first() == 50


def test_request__dust__refused(world):
    world, owners = world
    with boa.reverts("queue: under minimum shares"):
        world.queue.request(10**19 - 1, 0, sender=owners[0])
