# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
"""
@title First-loss capital behind one or more venues
@notice Anyone may add quote; a registered venue draws on it for losses that the account and
     its margin could not bear. What is paid is what there is.
@dev The ledger, not `balanceOf`, is what the fund has: tokens sent directly are ignored.
     Stakes, requests to leave and allotments by venue come later: `_limit` is their place.
@custom:units Raw quote units.
@custom:rounding No division here.
@custom:halt The owner strikes a venue off the register; its liquidations go on with the next
     layer, because `cover` then pays nothing instead of reverting.
"""

from ethereum.ercs import IERC20
from interfaces import IInsuranceFund
from interfaces import IPerpVenue

from snekmate.auth import ownable
from snekmate.auth import ownable_2step

implements: IInsuranceFund

initializes: ownable
initializes: ownable_2step[ownable := ownable]

exports: (
    ownable_2step.owner,
    ownable_2step.pending_owner,
    ownable_2step.transfer_ownership,
    ownable_2step.accept_ownership,
)

QUOTE: public(immutable(address))

held: public(uint256)  # quote that the fund has, by its own ledger
registered: public(HashMap[address, bool])  # venues that may draw


@deploy
def __init__(quote: address):
    """
    @param quote The quote token of every venue that will be registered.
    """
    assert quote != empty(address), "fund: zero address"
    ownable.__init__()
    ownable_2step.__init__()
    QUOTE = quote


# Calls open to users


@external
def donate(quote: uint256):
    assert quote > 0, "fund: zero amount"
    held_before: uint256 = self.held
    self.held = held_before + quote
    assert extcall IERC20(QUOTE).transferFrom(
        msg.sender, self, quote, default_return_value=True
    ), "fund: transfer failed"
    log IInsuranceFund.Donated(
        donor=msg.sender, quote=quote, held_before=held_before, held_after=held_before + quote
    )


@external
def collect(venue_address: address) -> uint256:
    assert self.registered[venue_address], "fund: venue not registered"
    # The change of our own balance, whatever the venue answers.
    tokens_before: uint256 = staticcall IERC20(QUOTE).balanceOf(self)
    extcall IPerpVenue(venue_address).pay_fund()
    received: uint256 = staticcall IERC20(QUOTE).balanceOf(self) - tokens_before
    assert received > 0, "fund: nothing to collect"
    held_before: uint256 = self.held
    self.held = held_before + received
    log IInsuranceFund.RevenueCollected(
        venue=venue_address,
        quote=received,
        held_before=held_before,
        held_after=held_before + received,
    )
    return received


@external
def cover(amount: uint256) -> uint256:
    paid: uint256 = min(amount, self._limit(msg.sender))
    if paid == 0:
        return 0
    held_before: uint256 = self.held
    self.held = held_before - paid
    assert extcall IERC20(QUOTE).transfer(
        msg.sender, paid, default_return_value=True
    ), "fund: transfer failed"
    log IInsuranceFund.Covered(
        venue=msg.sender,
        asked=amount,
        paid=paid,
        held_before=held_before,
        held_after=held_before - paid,
    )
    return paid


# Owner calls


@external
def register(venue_address: address, allowed: bool):
    ownable._check_owner()
    assert venue_address != empty(address), "fund: zero address"
    before: bool = self.registered[venue_address]
    self.registered[venue_address] = allowed
    log IInsuranceFund.VenueRegistered(
        venue=venue_address, registered_before=before, registered_after=allowed
    )


# Views


@external
@view
def available(venue_address: address) -> uint256:
    return self._limit(venue_address)


# Internals


@internal
@view
def _limit(venue_address: address) -> uint256:
    """
    @dev What this venue may draw now: everything, or nothing for a stranger.
    """
    return self.held if self.registered[venue_address] else 0
