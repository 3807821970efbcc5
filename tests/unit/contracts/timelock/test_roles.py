# SPDX-License-Identifier: MIT
"""Who holds which role from the first block on, and how that changes."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import DAY, NOBODY, deployer
from tests.timelock_world import DELAY


def holders(scene, role):
    """Return the names of those who hold a role."""
    known = {
        "proposer": scene.proposer,
        "guardian": scene.guardian,
        "stranger": scene.stranger,
        "deployer": boa.env.eoa,
        "itself": scene.timelock.address,
        "anyone": NOBODY,
    }
    return {name for name, account in known.items() if scene.timelock.hasRole(role, account)}


def test_construct__roles__one_proposer_one_guardian_no_administrator(scene):
    lock = scene.timelock
    assert (lock.proposer(), lock.guardian()) == (scene.proposer, scene.guardian)
    assert holders(scene, lock.PROPOSER_ROLE()) == {"proposer"}
    assert holders(scene, lock.CANCELLER_ROLE()) == {"proposer", "guardian"}
    assert holders(scene, lock.DEFAULT_ADMIN_ROLE()) == {"itself"}
    assert lock.get_minimum_delay() == DELAY


@pytest.mark.parametrize(
    ("delay", "proposer", "guardian", "reason"),
    [
        (DAY - 1, "p", "g", "timelock: delay out of range"),
        (0, "p", "g", "timelock: delay out of range"),
        (30 * DAY + 1, "p", "g", "timelock: delay out of range"),
        (DAY, None, "g", "timelock: proposer is zero"),
        (DAY, "p", None, "timelock: guardian is zero"),
        (DAY, "p", "p", "timelock: one account for both"),
    ],
)
def test_construct__bad_arguments__own_reason(delay, proposer, guardian, reason):
    accounts = [boa.env.generate_address(n) if n else NOBODY for n in (proposer, guardian)]
    if proposer == guardian:
        accounts[1] = accounts[0]
    with boa.reverts(reason):
        deployer("Timelock.vy").deploy(delay, *accounts)


@pytest.mark.parametrize("delay", [DAY, 30 * DAY])
def test_construct__delay_at_its_bounds__taken(delay):
    accounts = [boa.env.generate_address() for _ in range(2)]
    assert deployer("Timelock.vy").deploy(delay, *accounts).get_minimum_delay() == delay


def test_accept_ownerships__not_offered__all_or_nothing(scene):
    other = deployer("InsuranceFund.vy").deploy(scene.stranger, 7 * DAY, DAY)
    third = deployer("InsuranceFund.vy").deploy(scene.stranger, 7 * DAY, DAY)
    other.transfer_ownership(scene.timelock.address)
    lock = scene.timelock
    with boa.reverts("ownable_2step: caller is not the new owner"):
        lock.accept_ownerships([other.address, third.address], sender=scene.stranger)
    assert other.owner() == boa.env.eoa
    third.transfer_ownership(lock.address)
    lock.accept_ownerships([other.address, third.address], sender=scene.stranger)
    assert {other.owner(), third.owner()} == {lock.address}
    assert {other.pending_owner(), third.pending_owner()} == {NOBODY}


def test_former_owner__after_the_handover__may_do_nothing(scene):
    with boa.reverts("ownable: caller is not the owner"):
        scene.fund.register(scene.stranger, 1)
    with boa.reverts("ownable: caller is not the owner"):
        scene.fund.transfer_ownership(boa.env.eoa)
    with boa.reverts("access_control: account is missing role"):
        scene.timelock.schedule(*scene.register(1).words(), DELAY)
    with boa.reverts("access_control: account is missing role"):
        scene.timelock.cancel(bytes(32))


def test_set_proposer__through_itself__the_one_before_has_nothing_left(scene):
    heir, lock = str(boa.env.generate_address("heir")), scene.timelock
    waiting = scene.register(1)
    scene.schedule(waiting)
    scene.carry_out(scene.own("set_proposer", heir))
    assert lock.proposer() == heir
    assert holders(scene, lock.PROPOSER_ROLE()) == set()
    assert holders(scene, lock.CANCELLER_ROLE()) == {"guardian"}
    assert lock.hasRole(lock.PROPOSER_ROLE(), heir)
    assert lock.hasRole(lock.CANCELLER_ROLE(), heir)
    with boa.reverts("access_control: account is missing role"):
        scene.schedule(scene.register(2))
    lock.cancel(lock.hash_operation(*waiting.words()), sender=heir)


def test_set_guardian__through_itself__the_one_before_has_nothing_left(scene):
    heir, lock = str(boa.env.generate_address("heir")), scene.timelock
    scene.carry_out(scene.own("set_guardian", heir))
    assert lock.guardian() == heir
    assert holders(scene, lock.CANCELLER_ROLE()) == {"proposer"}
    id_ = scene.schedule(scene.register(1))
    with boa.reverts("access_control: account is missing role"):
        lock.cancel(id_, sender=scene.guardian)
    lock.cancel(id_, sender=heir)


@pytest.mark.parametrize(
    ("method", "holder", "reason"),
    [
        ("set_proposer", "guardian", "timelock: one account for both"),
        ("set_guardian", "proposer", "timelock: one account for both"),
        ("set_proposer", None, "timelock: proposer is zero"),
        ("set_guardian", None, "timelock: guardian is zero"),
    ],
)
def test_set_role__nobody_or_the_others_account__refused(scene, method, holder, reason):
    operation = scene.own(method, getattr(scene, holder) if holder else NOBODY)
    scene.schedule(operation)
    boa.env.time_travel(seconds=DELAY)
    with boa.reverts(reason):
        scene.execute(operation)


@pytest.mark.parametrize("role", ["proposer", "guardian"])
def test_set_role__each_change__is_logged(scene, role):
    scene.carry_out(scene.own(f"set_{role}", scene.stranger))
    (event,) = [e for e in scene.timelock.get_logs() if type(e).__name__ == f"{role.title()}Set"]
    before, after = (getattr(event, f"{role}_{when}") for when in ("before", "after"))
    assert (before, after) == (getattr(scene, role), scene.stranger)


def test_guardian__cancels_his_own_replacement__stays(scene):
    """The better of two failures; the other one lets a thief with the proposer's key do it."""
    id_ = scene.schedule(scene.own("set_guardian", scene.stranger))
    scene.timelock.cancel(id_, sender=scene.guardian)
    assert scene.timelock.guardian() == scene.guardian
    assert scene.timelock.get_timestamp(id_) == 0
