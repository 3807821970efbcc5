# SPDX-License-Identifier: MIT
"""An operation from proposal to its end: when, by whom, once, in order."""

from __future__ import annotations

from dataclasses import replace

import boa
import pytest

from tests.market_world import DAY, deployer
from tests.timelock_world import DELAY, Operation

GRACE = 7 * DAY
MISSING = "access_control: account is missing role"
NOT_READY = "timelock_controller: operation is not ready"


def after(seconds):
    boa.env.time_travel(seconds=seconds)


@pytest.mark.parametrize("waited", [0, 1, DAY, DELAY - 1])
def test_execute__before_its_time__refused_to_the_second(scene, waited):
    operation = scene.register(1)
    id_ = scene.schedule(operation)
    after(waited)
    assert not scene.timelock.is_operation_ready(id_)
    with boa.reverts(NOT_READY):
        scene.execute(operation)
    after(DELAY - waited)
    assert scene.timelock.is_operation_ready(id_)
    scene.execute(operation)
    assert scene.allotment() == 1


def test_execute__last_second_and_one_later__done_and_expired(scene):
    operation = scene.register(1)
    id_ = scene.schedule(operation)
    after(DELAY + GRACE)
    with boa.env.anchor():
        scene.execute(operation)
        assert scene.allotment() == 1
    after(1)
    assert not scene.timelock.is_operation_ready(id_)
    with boa.reverts("timelock: operation expired"):
        scene.execute(operation)
    with boa.reverts("timelock_controller: operation already scheduled"):
        scene.schedule(operation)
    scene.timelock.cancel(id_, sender=scene.proposer)
    scene.carry_out(operation)  # proposed anew, with the whole delay
    assert scene.allotment() == 1


@pytest.mark.parametrize("delay", [0, DAY, DELAY - 1])
def test_schedule__shorter_than_the_delay__refused(scene, delay):
    with boa.reverts("timelock_controller: insufficient delay"):
        scene.schedule(scene.register(1), delay)


def test_schedule__longer_than_the_delay__waits_as_long(scene):
    operation = scene.register(1)
    id_ = scene.schedule(operation, DELAY + 1)
    assert scene.timelock.get_timestamp(id_) == boa.env.timestamp + DELAY + 1
    after(DELAY)
    with boa.reverts(NOT_READY):
        scene.execute(operation)


def test_schedule__event__names_the_whole_call(scene):
    operation = scene.register(7, salt=b"\x05" * 32)
    scene.timelock.schedule(*operation.words(), DELAY, sender=scene.proposer)
    logs = {type(event).__name__: event for event in scene.timelock.get_logs()}
    event, id_ = logs["CallScheduled"], scene.timelock.hash_operation(*operation.words())
    assert (event.id, event.target, event.payload) == (id_, operation.target, operation.payload)
    assert (event.predecessor, event.delay) == (operation.predecessor, DELAY)
    assert logs["CallSalt"].salt == operation.salt


@pytest.mark.parametrize("role", ["guardian", "stranger"])
def test_schedule__by_another__refused(scene, role):
    with boa.reverts(MISSING):
        scene.timelock.schedule(*scene.register(1).words(), DELAY, sender=getattr(scene, role))


@pytest.mark.parametrize("role", ["guardian", "stranger", "proposer"])
def test_execute__when_due__by_anybody(scene, role):
    operation = scene.register(1)
    scene.schedule(operation)
    after(DELAY)
    scene.execute(operation, sender=getattr(scene, role))
    (event,) = [e for e in scene.timelock.get_logs() if type(e).__name__ == "CallExecuted"]
    assert (event.target, event.payload) == (operation.target, operation.payload)
    assert scene.allotment() == 1


def test_execute__twice__done_once(scene):
    operation = scene.register(1)
    scene.carry_out(operation)
    scene.carry_out(scene.register(2))
    with boa.reverts(NOT_READY):
        scene.execute(operation)
    with boa.reverts("timelock_controller: operation already scheduled"):
        scene.schedule(operation)
    assert scene.allotment() == 2
    scene.carry_out(replace(operation, salt=b"\x01" * 32))
    assert scene.allotment() == 1


@pytest.mark.parametrize("role", ["guardian", "proposer"])
def test_cancel__waiting_or_due__never_executed(scene, role):
    early, late = scene.register(1), scene.register(2)
    for operation, waited in ((early, 1), (late, DELAY)):
        id_ = scene.schedule(operation)
        after(waited)
        scene.timelock.cancel(id_, sender=getattr(scene, role))
        assert scene.timelock.get_timestamp(id_) == 0
        after(DELAY)
        with boa.reverts(NOT_READY):
            scene.execute(operation)
        with boa.reverts("timelock_controller: operation cannot be cancelled"):
            scene.timelock.cancel(id_, sender=getattr(scene, role))
    assert scene.allotment() == 0


def test_cancel__by_a_stranger_or_when_done__refused(scene):
    operation = scene.register(1)
    id_ = scene.schedule(operation)
    with boa.reverts(MISSING):
        scene.timelock.cancel(id_, sender=scene.stranger)
    after(DELAY)
    scene.execute(operation)
    with boa.reverts("timelock_controller: operation cannot be cancelled"):
        scene.timelock.cancel(id_, sender=scene.guardian)


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": b"\x00" * 68},
        {"salt": b"\x01" * 32},
        {"predecessor": b"\x01" * 32},
        {"amount": 1},
        {"target": "0x" + "11" * 20},
    ],
)
def test_execute__not_what_was_scheduled__refused(scene, changes):
    operation = scene.register(1)
    scene.schedule(operation)
    after(DELAY)
    with boa.reverts(NOT_READY):
        scene.execute(replace(operation, **changes))


def test_execute__predecessor__first_things_first(scene):
    first = scene.register(1)
    second = scene.register(2, predecessor=bytes(scene.timelock.hash_operation(*first.words())))
    scene.schedule(first)
    scene.schedule(second)
    after(DELAY)
    with boa.reverts("timelock_controller: missing dependency"):
        scene.execute(second)
    scene.execute(first)
    scene.execute(second)
    assert scene.allotment() == 2


def test_execute__predecessor_cancelled_or_never_there__never(scene):
    first = scene.register(1)
    id_ = scene.schedule(first)
    orphans = [scene.register(n, predecessor=p) for n, p in ((2, id_), (3, b"\x09" * 32))]
    for orphan in orphans:
        scene.schedule(orphan)
    scene.timelock.cancel(id_, sender=scene.guardian)
    after(DELAY)
    for orphan in orphans:
        with boa.reverts("timelock_controller: missing dependency"):
            scene.execute(orphan)


def test_execute__call_that_fails__says_why_and_can_be_tried_again(scene):
    other = deployer("InsuranceFund.vy").deploy(scene.stranger, 7 * DAY, DAY)
    operation = replace(scene.register(1), target=other.address)
    scene.schedule(operation)
    after(DELAY)
    with boa.reverts("ownable: caller is not the owner"):
        scene.execute(operation)
    other.transfer_ownership(scene.timelock.address)
    scene.timelock.accept_ownerships([other.address])
    scene.execute(operation)
    assert other.allotment(scene.stranger) == 1


def test_coins__neither_taken_nor_sent(scene):
    boa.env.set_balance(scene.stranger, 10**18)
    sent = boa.env.execute_code(
        to_address=scene.timelock.address, sender=scene.stranger, data=b"", value=1
    )
    assert sent.is_error
    operation = replace(scene.register(1), amount=1)
    scene.schedule(operation)
    after(DELAY)
    with boa.reverts():
        scene.execute(operation)
    assert scene.allotment() == 0


# --- the delay itself ------------------------------------------------------


@pytest.mark.parametrize("role", ["guardian", "proposer", "stranger"])
def test_update_delay__by_an_account__refused(scene, role):
    with boa.reverts("timelock: caller is not itself"):
        scene.timelock.update_delay(3 * DAY, sender=getattr(scene, role))


@pytest.mark.parametrize("delay", [0, DAY - 1, 30 * DAY + 1])
def test_update_delay__out_of_range__refused_even_to_itself(scene, delay):
    operation = scene.own("update_delay", delay)
    scene.schedule(operation)
    after(DELAY)
    with boa.reverts("timelock: delay out of range"):
        scene.execute(operation)
    assert scene.timelock.get_minimum_delay() == DELAY


@pytest.mark.parametrize("delay", [DAY, 30 * DAY])
def test_update_delay__through_itself__for_what_is_scheduled_later(scene, delay):
    before = scene.register(1)
    scene.schedule(scene.own("update_delay", delay))
    scene.schedule(before)
    after(DELAY)
    scene.execute(scene.own("update_delay", delay))
    (event,) = [e for e in scene.timelock.get_logs() if type(e).__name__ == "MinimumDelayChange"]
    assert (event.old_duration, event.new_duration) == (DELAY, delay)
    scene.execute(before)
    with boa.reverts("timelock_controller: insufficient delay"):
        scene.schedule(scene.register(2), delay - 1)
    scene.schedule(scene.register(2), delay)


# --- reentrancy ------------------------------------------------------------


@pytest.fixture
def reenterer(scene):
    return deployer("testing/Reenterer.vy").deploy()


def through(reenterer, target, calldata):
    """Return the operation in which the called contract makes that call itself."""
    return Operation(reenterer.address, reenterer.execute.prepare_calldata(target, calldata))


def test_execute__inside_another__refused(scene, reenterer):
    inner = scene.register(1)
    scene.schedule(inner)
    calldata = scene.timelock.execute.prepare_calldata(*inner.words())
    outer = through(reenterer, scene.timelock.address, calldata)
    scene.schedule(outer)
    after(DELAY)
    with boa.reverts():
        scene.execute(outer)
    assert scene.allotment() == 0
    scene.execute(inner)  # alone it is good


def test_accept_ownerships__inside_an_operation__refused(scene, reenterer):
    calldata = scene.timelock.accept_ownerships.prepare_calldata([])
    outer = through(reenterer, scene.timelock.address, calldata)
    scene.schedule(outer)
    after(DELAY)
    with boa.reverts():
        scene.execute(outer)


def test_cancel__by_the_called_contract__undoes_all(scene, reenterer):
    """A guardian that is a contract and is called in an operation cannot leave it half done."""
    lock = deployer("Timelock.vy").deploy(DELAY, scene.proposer, reenterer.address)
    hook = reenterer.before_transfer.prepare_calldata(scene.stranger, scene.stranger, 0)
    operation = Operation(reenterer.address, hook)
    id_ = lock.hash_operation(*operation.words())
    reenterer.arm(lock.address, lock.cancel.prepare_calldata(id_))
    lock.schedule(*operation.words(), DELAY, sender=scene.proposer)
    after(DELAY)
    with boa.reverts(NOT_READY):
        lock.execute(*operation.words())
    assert lock.get_timestamp(id_) == boa.env.timestamp
