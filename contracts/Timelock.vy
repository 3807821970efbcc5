# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
"""
@title The owner of a system: what the risk owner proposes waits before it happens
@notice Owns every contract of a system that has an owner, so that each change that can increase
     risk is public for a delay, long enough for depositors to leave, before it happens. Holds
     nothing and takes no coins.
@dev snekmate's `timelock_controller`, one call an operation, with these differences:
     the delay is at least MIN_DELAY from the first second on, so there is no moment in which
     somebody acts at once; an operation expires GRACE after it is due, so that none lies in wait;
     roles are granted to one proposer and one guardian by name, and by nothing else, so that two
     views tell who holds them. There is no administrator.

     The guardian may cancel everything, his own replacement too: then parameters stay as they
     are, which is the better failure, because who steals the proposer's key could otherwise
     replace him first.

     Anybody executes what is due. That moves the choice of the moment from one key to everybody
     and lets a change that protects depositors not hang on one person; predecessors order what
     must be in order. Anybody may let it accept an ownership that is offered to it, which only
     ever adds to what waits.
@custom:units Durations in seconds, moments in Unix seconds.
@custom:rounding None.
@custom:halt None; who would stop something proposes it, or is the guardian.
@custom:access
     schedule                                  proposer            at once
     cancel                                    proposer, guardian  at once
     execute, accept_ownerships                anyone              at once
     update_delay, set_proposer, set_guardian  itself              delay
"""

from snekmate.auth import access_control
from snekmate.governance import timelock_controller as controller

from interfaces import ITimelock

implements: ITimelock

initializes: access_control
initializes: controller[access_control := access_control]

exports: (
    controller.schedule,
    controller.cancel,
    controller.get_timestamp,  # 0: no such operation, 1: executed, else due at
    controller.get_minimum_delay,
    controller.is_operation_done,
    controller.hash_operation,
    controller.PROPOSER_ROLE,
    controller.CANCELLER_ROLE,
    access_control.hasRole,
    access_control.DEFAULT_ADMIN_ROLE,
)


interface Owned:
    def accept_ownership(): nonpayable


MAX_PAYLOAD: constant(uint256) = 1_024  # bytes, as the controller has it
MAX_TARGETS: constant(uint256) = 8

MIN_DELAY: public(constant(uint256)) = 86_400  # seconds; a day to see it and to leave
MAX_DELAY: public(constant(uint256)) = 30 * 86_400  # seconds; longer would freeze a system
GRACE: public(constant(uint256)) = 7 * 86_400  # seconds in which what is due may be executed

proposer: public(address)
guardian: public(address)


@deploy
def __init__(delay_secs: uint256, proposer: address, guardian: address):
    """
    @param delay_secs From a proposal until it may be executed, MIN_DELAY to MAX_DELAY.
    @param proposer The risk owner's account.
    @param guardian Who may cancel as well; another account.
    """
    self._check_delay(delay_secs)
    access_control.__init__()
    controller.__init__(delay_secs, [], [], empty(address))
    self._set_proposer(proposer)
    self._set_guardian(guardian)


# Open to all


@external
def execute(
    target: address,
    amount: uint256,
    payload: Bytes[MAX_PAYLOAD],
    predecessor: bytes32,
    salt: bytes32,
):
    """
    @notice Carry out what was scheduled, once, between its due time and GRACE after it.
    @dev As the controller's, whose interface it keeps, and its expiry.
    @param amount Zero, because there are no coins here.
    """
    id: bytes32 = controller._hash_operation(target, amount, payload, predecessor, salt)
    controller._before_call(id, predecessor)
    assert self._in_time(id), "timelock: operation expired"
    controller._execute(target, amount, payload)
    log controller.CallExecuted(id=id, index=0, target=target, amount=amount, payload=payload)
    controller._after_call(id)


@external
def accept_ownerships(targets: DynArray[address, MAX_TARGETS]):
    """
    @notice Become the owner of contracts that were offered, for good or until it is proposed.
    """
    for target: address in targets:
        extcall Owned(target).accept_ownership()


# Its own, in an operation


# Reentrant: it is called in the middle of `execute`, and by nothing else.
@external
@reentrant
def update_delay(delay_secs: uint256):
    """
    @notice Change the delay of what is scheduled from now on.
    """
    self._only_self()
    self._check_delay(delay_secs)
    log controller.MinimumDelayChange(
        old_duration=controller.get_minimum_delay, new_duration=delay_secs
    )
    controller.get_minimum_delay = delay_secs


# Reentrant: as `update_delay`.
@external
@reentrant
def set_proposer(proposer: address):
    """
    @notice Replace who may schedule, and cancel. What the one before has scheduled stays.
    """
    self._only_self()
    access_control._revoke_role(controller.PROPOSER_ROLE, self.proposer)
    access_control._revoke_role(controller.CANCELLER_ROLE, self.proposer)
    self._set_proposer(proposer)


# Reentrant: as `update_delay`.
@external
@reentrant
def set_guardian(guardian: address):
    """
    @notice Replace who else may cancel.
    """
    self._only_self()
    access_control._revoke_role(controller.CANCELLER_ROLE, self.guardian)
    self._set_guardian(guardian)


# Views


@external
@view
def is_operation_ready(id: bytes32) -> bool:
    """
    @notice Whether the operation can be executed now, as far as its time goes.
    """
    return controller._is_operation_ready(id) and self._in_time(id)


@internal
@view
def _in_time(id: bytes32) -> bool:
    return block.timestamp <= controller.get_timestamp[id] + GRACE


@internal
def _only_self():
    assert msg.sender == self, "timelock: caller is not itself"


@internal
@pure
def _check_delay(delay_secs: uint256):
    assert delay_secs >= MIN_DELAY and delay_secs <= MAX_DELAY, "timelock: delay out of range"


@internal
def _set_proposer(proposer: address):
    assert proposer != empty(address), "timelock: proposer is zero"
    assert proposer != self.guardian, "timelock: one account for both"
    log ITimelock.ProposerSet(proposer_before=self.proposer, proposer_after=proposer)
    self.proposer = proposer
    access_control._grant_role(controller.PROPOSER_ROLE, proposer)
    access_control._grant_role(controller.CANCELLER_ROLE, proposer)


@internal
def _set_guardian(guardian: address):
    assert guardian != empty(address), "timelock: guardian is zero"
    assert guardian != self.proposer, "timelock: one account for both"
    log ITimelock.GuardianSet(guardian_before=self.guardian, guardian_after=guardian)
    self.guardian = guardian
    access_control._grant_role(controller.CANCELLER_ROLE, guardian)
