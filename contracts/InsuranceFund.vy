# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
"""
@title Staked first-loss capital behind one or more venues
@notice Stakers put quote at risk and share what venues earn for the fund. A registered venue
     draws on it, within its allotment, for losses that an account and its margin could not bear.
@dev Two tranches of quote: staked (A, with shares S) and pending (P, with claims U, of those who
     come or ask to leave). held = A + P. Prices of claims are in `modules/tranche.vy`; the shares
     of nobody there make it dear to inflate the price of one.

         a stake                  a claim on P, for a day at least
         its entry                shares for what that is worth, at A + what venues owe
         a request                the worth of shares at A; then a claim on P
         a payment                min(value at request, worth of the claim)
         an end without payment   an entry of that; at most the shares given up
         a loss L                 P bears L * P / held, up; A the rest
         revenue                  A's alone

     Hence who comes or leaves bears losses and earns nothing, and what he does not earn is the
     others' at once, so that nobody gains by coming just before a request ends, nor just before
     a liquidation that everybody sees: its penalty is theirs who have stood behind the venue for
     a day. Entering just before `collect` gains nothing either, because claims on venues are in
     the price. A donation buys shares for the fund itself and moves no price.

     After losses that leave a price under a millionth of the first, a million claims become one
     until it is above: after a total loss the old ones are worth nothing, numbers stay bounded,
     and whoever comes next loses nothing to them. Voiding them instead would take whatever large
     stake came in just over that price.

     A venue draws at most allotment - drawn; revenue from it lowers `drawn`. The ledger, not
     `balanceOf`, is what the fund has: tokens sent directly are ignored. The token must move
     what it is told, and call nobody: in the middle of a venue's call its debt reads as zero.
@custom:units Raw quote units; shares 10**6 for the first quote unit.
@custom:rounding For those who stay: shares and payments down, losses of requests up.
@custom:halt The owner strikes a venue off the register; its liquidations go on with the next
     layer, because `cover` then pays nothing instead of reverting. Nothing stops leaving.
@custom:access
     stake, enter, donate                      anyone   at once
     request_unstake, unstake, cancel_request  anyone   at once
     collect, cover (pays registered venues)   anyone   at once
     register                                  owner    delay
     transfer_ownership                        owner    delay
     accept_ownership                          offered  at once
"""

from ethereum.ercs import IERC20
from interfaces import IInsuranceFund
from interfaces import IVenueRecovery

from modules import fixed_point
from modules import tranche
from modules import words
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


struct Pending:
    given: tranche.Claim  # shares that were given up
    claim: tranche.Claim  # on the pending tranche
    value: uint256  # quote, at request
    requested_at: uint256  # Unix seconds, zero: no request


struct Coming:
    claim: tranche.Claim  # on the pending tranche
    value: uint256  # quote, at the stake
    staked_at: uint256  # Unix seconds, zero: no stake is entering


MAX_QUOTE: constant(uint256) = 2**104  # no product below exceeds 256 bits
MAX_VENUES: constant(uint256) = 8
READ_GAS: constant(uint256) = 100_000  # what a venue may burn; an honest one needs 30,000
STATE_SIZE: constant(uint256) = 320  # bytes of IPerpVenue.MarketState; the fund's claim is last

DAY: constant(uint256) = 86_400  # seconds
ENTRY_DELAY: public(constant(uint256)) = DAY  # what fails already is liquidated within hours
MIN_DELAY: constant(uint256) = DAY  # a loss in flight takes hours to be liquidated
MAX_DELAY: constant(uint256) = 90 * DAY
MIN_WINDOW: constant(uint256) = 3_600  # a congested chain
MAX_WINDOW: constant(uint256) = 30 * DAY  # longer would be leaving at will

QUOTE: public(immutable(address))
UNSTAKE_DELAY: public(immutable(uint256))  # seconds
UNSTAKE_WINDOW: public(immutable(uint256))  # seconds

# By venue, quote: allotment, zero where not registered | drawn less revenue; survives striking off
_limits: HashMap[address, int256]
_venues: DynArray[address, MAX_VENUES]  # those with an allotment
_staked: tranche.Tranche  # what earns
_pending: tranche.Tranche  # what is behind requests and stakes that have not entered
_claims: HashMap[address, tranche.Claim]  # on the staked tranche; this contract's are donations
_requests: HashMap[address, Pending]
_entries: HashMap[address, Coming]


@deploy
def __init__(quote: address, unstake_delay: uint256, unstake_window: uint256):
    """
    @param quote The quote token of every venue that will be registered.
    @param unstake_delay Seconds from a request until it can be paid, a day to 90 days.
    @param unstake_window Seconds from then until it expires, an hour to 30 days.
    """
    assert quote != empty(address), "fund: zero address"
    assert unstake_delay >= MIN_DELAY and unstake_delay <= MAX_DELAY, "fund: unstake delay"
    assert unstake_window >= MIN_WINDOW and unstake_window <= MAX_WINDOW, "fund: unstake window"
    ownable.__init__()
    ownable_2step.__init__()
    QUOTE = quote
    UNSTAKE_DELAY = unstake_delay
    UNSTAKE_WINDOW = unstake_window
    log IInsuranceFund.FundOpened(
        quote=quote, unstake_delay=unstake_delay, unstake_window=unstake_window
    )


# Calls open to users


@external
def stake(quote: uint256):
    assert self._entries[msg.sender].staked_at == 0, "fund: entry is open"
    held_before: uint256 = self._checked_held(quote)
    before: tranche.Tranche = self._pending
    claim: uint256 = tranche.shares_for(quote, before, 0)
    self._pending.quote = before.quote + quote
    self._pending.shares = before.shares + claim
    self._entries[msg.sender] = Coming(
        claim=tranche.Claim(shares=claim, generation=before.generation),
        value=quote,
        staked_at=block.timestamp,
    )
    self._pull(quote)
    log IInsuranceFund.Staked(
        staker=msg.sender,
        quote=quote,
        held_before=held_before,
        held_after=held_before + quote,
        pending_before=before.quote,
        pending_after=before.quote + quote,
    )


@external
def enter(staker: address) -> uint256:
    entry: Coming = self._entries[staker]
    assert entry.staked_at > 0, "fund: no entry"
    assert block.timestamp >= entry.staked_at + ENTRY_DELAY, "fund: entry is too recent"
    owed: uint256 = self._uncollected()
    pending_before: uint256 = self._pending.quote
    self._entries[staker] = empty(Coming)
    quote: uint256 = self._taken(entry.claim, entry.value)
    staked: tranche.Tranche = self._staked
    shares: uint256 = tranche.shares_for(quote, staked, owed)
    self._add(staker, quote, shares)
    log IInsuranceFund.Entered(
        staker=staker,
        quote=quote,
        shares=shares,
        uncollected=owed,
        pending_before=pending_before,
        pending_after=self._pending.quote,
        total_shares_before=staked.shares,
        total_shares_after=staked.shares + shares,
    )
    return shares


@external
def donate(quote: uint256):
    held_before: uint256 = self._checked_held(quote)
    owed: uint256 = self._uncollected()
    before: tranche.Tranche = self._staked
    shares: uint256 = tranche.shares_for(quote, before, owed)
    assert shares > 0, "fund: zero shares"
    self._add(self, quote, shares)
    self._pull(quote)
    log IInsuranceFund.Donated(
        donor=msg.sender,
        quote=quote,
        shares=shares,
        uncollected=owed,
        held_before=held_before,
        held_after=held_before + quote,
        total_shares_before=before.shares,
        total_shares_after=before.shares + shares,
    )


@external
def request_unstake(shares: uint256) -> uint256:
    assert shares > 0, "fund: zero amount"
    assert self._requests[msg.sender].requested_at == 0, "fund: request is open"
    staked: tranche.Tranche = self._staked
    owned: uint256 = self._owned(msg.sender)
    assert shares <= owned, "fund: not enough shares"
    value: uint256 = tranche.worth_of(shares, staked)
    assert value > 0, "fund: worth nothing"
    before: tranche.Tranche = self._pending
    claim: uint256 = tranche.shares_for(value, before, 0)
    self._claims[msg.sender] = tranche.Claim(shares=owned - shares, generation=staked.generation)
    self._staked.quote = staked.quote - value
    self._staked.shares = staked.shares - shares
    self._pending.quote = before.quote + value
    self._pending.shares = before.shares + claim
    self._requests[msg.sender] = Pending(
        given=tranche.Claim(shares=shares, generation=staked.generation),
        claim=tranche.Claim(shares=claim, generation=before.generation),
        value=value,
        requested_at=block.timestamp,
    )
    log IInsuranceFund.UnstakeRequested(
        staker=msg.sender,
        shares=shares,
        value=value,
        pending_before=before.quote,
        pending_after=before.quote + value,
        total_shares_before=staked.shares,
        total_shares_after=staked.shares - shares,
    )
    return value


@external
def unstake(min_quote: uint256) -> uint256:
    request: Pending = self._requests[msg.sender]
    assert request.requested_at > 0, "fund: no request"
    opens_at: uint256 = request.requested_at + UNSTAKE_DELAY
    assert block.timestamp >= opens_at, "fund: request is too recent"
    assert block.timestamp <= opens_at + UNSTAKE_WINDOW, "fund: request has expired"
    held_before: uint256 = self._held()
    pending_before: uint256 = self._pending.quote
    self._requests[msg.sender] = empty(Pending)
    paid: uint256 = self._taken(request.claim, request.value)
    assert paid >= min_quote, "fund: under minimum quote"
    if paid > 0:
        self._send(msg.sender, paid)
    log IInsuranceFund.Unstaked(
        staker=msg.sender,
        paid=paid,
        value=request.value,
        held_before=held_before,
        held_after=held_before - paid,
        pending_before=pending_before,
        pending_after=self._pending.quote,
    )
    return paid


@external
def cancel_request() -> uint256:
    request: Pending = self._requests[msg.sender]
    assert request.requested_at > 0, "fund: no request"
    owed: uint256 = self._uncollected()
    pending_before: uint256 = self._pending.quote
    self._requests[msg.sender] = empty(Pending)
    quote: uint256 = self._taken(request.claim, request.value)
    staked: tranche.Tranche = self._staked
    given: uint256 = tranche.as_of(request.given, staked.generation)
    shares: uint256 = min(given, tranche.shares_for(quote, staked, owed))
    self._add(msg.sender, quote, shares)
    log IInsuranceFund.RequestEnded(
        staker=msg.sender,
        quote=quote,
        shares_given=given,
        shares_kept=shares,
        uncollected=owed,
        pending_before=pending_before,
        pending_after=self._pending.quote,
        total_shares_before=staked.shares,
        total_shares_after=staked.shares + shares,
    )
    return shares


@external
def collect(venue_address: address) -> uint256:
    limit: int256 = self._limits[venue_address]
    assert words.high_of(limit) > 0, "fund: venue not registered"
    # The change of our own balance, whatever the venue answers.
    tokens_before: uint256 = staticcall IERC20(QUOTE).balanceOf(self)
    extcall IVenueRecovery(venue_address).pay_fund()
    received: uint256 = staticcall IERC20(QUOTE).balanceOf(self) - tokens_before
    assert received > 0, "fund: nothing to collect"
    held_before: uint256 = self._checked_held(received)
    drawn_before: uint256 = convert(words.low_of(limit), uint256)
    drawn_after: uint256 = drawn_before - min(drawn_before, received)
    self._staked.quote += received
    self._limits[venue_address] = words.pack(words.high_of(limit), convert(drawn_after, int256))
    log IInsuranceFund.RevenueCollected(
        venue=venue_address,
        quote=received,
        held_before=held_before,
        held_after=held_before + received,
        drawn_before=drawn_before,
        drawn_after=drawn_after,
    )
    return received


@external
def cover(amount: uint256) -> uint256:
    paid: uint256 = min(amount, self._limit(msg.sender))
    if paid == 0:
        return 0
    held_before: uint256 = self._held()
    pending_before: uint256 = self._pending.quote
    pending_loss: uint256 = fixed_point.mul_div_up(paid, pending_before, held_before)
    limit: int256 = self._limits[msg.sender]
    drawn_before: uint256 = convert(words.low_of(limit), uint256)
    self._limits[msg.sender] = words.pack(
        words.high_of(limit), convert(drawn_before + paid, int256)
    )
    if pending_loss > 0:
        self._pending = self._reduced(self._pending, pending_loss, True)
    if paid > pending_loss:
        self._staked = self._reduced(self._staked, paid - pending_loss, False)
    self._send(msg.sender, paid)
    log IInsuranceFund.Covered(
        venue=msg.sender,
        asked=amount,
        paid=paid,
        held_before=held_before,
        held_after=held_before - paid,
        pending_before=pending_before,
        pending_after=pending_before - pending_loss,
        drawn_before=drawn_before,
        drawn_after=drawn_before + paid,
    )
    return paid


# Owner calls


@external
def register(venue_address: address, allotment: uint256):
    ownable._check_owner()
    assert venue_address != empty(address), "fund: zero address"
    limit: int256 = self._limits[venue_address]
    before: int256 = words.high_of(limit)
    after: int256 = convert(min(allotment, MAX_QUOTE), int256)
    self._limits[venue_address] = words.pack(after, words.low_of(limit))
    if before == 0 and after > 0:
        assert len(self._venues) < MAX_VENUES, "fund: too many venues"
        self._venues.append(venue_address)
    elif before > 0 and after == 0:
        self._strike_off(venue_address)
    log IInsuranceFund.VenueRegistered(
        venue=venue_address,
        allotment_before=convert(before, uint256),
        allotment_after=convert(after, uint256),
        drawn=convert(words.low_of(limit), uint256),
    )


# Views


@external
@view
def held() -> uint256:
    return self._held()


@external
@view
def pending() -> uint256:
    return self._pending.quote


@external
@view
def uncollected() -> uint256:
    return self._uncollected()


@external
@view
def total_shares() -> uint256:
    return self._staked.shares


@external
@view
def shares_of(owner: address) -> uint256:
    return self._owned(owner)


@external
@view
def worth(owner: address) -> uint256:
    return tranche.worth_of(self._owned(owner), self._staked)


@external
@view
def preview_stake(quote: uint256) -> uint256:
    return tranche.shares_for(quote, self._staked, self._uncollected())


@external
@view
def request_of(owner: address) -> IInsuranceFund.Request:
    request: Pending = self._requests[owner]
    if request.requested_at == 0:
        return empty(IInsuranceFund.Request)
    return IInsuranceFund.Request(
        shares=tranche.as_of(request.given, self._staked.generation),
        value=request.value,
        worth=self._claim_worth(request.claim, request.value),
        opens_at=request.requested_at + UNSTAKE_DELAY,
        expires_at=request.requested_at + UNSTAKE_DELAY + UNSTAKE_WINDOW,
    )


@external
@view
def entry_of(owner: address) -> IInsuranceFund.Entry:
    entry: Coming = self._entries[owner]
    if entry.staked_at == 0:
        return empty(IInsuranceFund.Entry)
    return IInsuranceFund.Entry(
        value=entry.value,
        worth=self._claim_worth(entry.claim, entry.value),
        enters_at=entry.staked_at + ENTRY_DELAY,
    )


@external
@view
def allotment(venue_address: address) -> uint256:
    return convert(words.high_of(self._limits[venue_address]), uint256)


@external
@view
def drawn(venue_address: address) -> uint256:
    return convert(words.low_of(self._limits[venue_address]), uint256)


@external
@view
def available(venue_address: address) -> uint256:
    return self._limit(venue_address)


@external
@view
def venues() -> DynArray[address, MAX_VENUES]:
    return self._venues


# Internals: shares


@internal
@view
def _owned(owner: address) -> uint256:
    return tranche.as_of(self._claims[owner], self._staked.generation)


@internal
def _add(owner: address, quote: uint256, shares: uint256):
    """
    @dev `quote` becomes staked, and `shares` of it the owner's.
    """
    staked: tranche.Tranche = self._staked
    self._claims[owner] = tranche.Claim(
        shares=self._owned(owner) + shares, generation=staked.generation
    )
    self._staked.quote = staked.quote + quote
    self._staked.shares = staked.shares + shares


@internal
@view
def _claim_worth(claim: tranche.Claim, most: uint256) -> uint256:
    """
    @dev What a claim on the pending tranche is worth, down; never over what it began with.
    """
    pending: tranche.Tranche = self._pending
    return min(most, tranche.worth_of(tranche.as_of(claim, pending.generation), pending))


@internal
def _taken(claim: tranche.Claim, most: uint256) -> uint256:
    """
    @dev Takes what a claim is worth out of the pending tranche. What rounding leaves behind the
         last one is the stakers'.
    """
    pending: tranche.Tranche = self._pending
    shares: uint256 = tranche.as_of(claim, pending.generation)
    quote: uint256 = min(most, tranche.worth_of(shares, pending))
    left: uint256 = pending.quote - quote
    self._pending.shares = pending.shares - shares
    if pending.shares == shares and left > 0:
        self._staked.quote += left
        left = 0
    self._pending.quote = left
    return quote


@internal
def _reduced(before: tranche.Tranche, loss: uint256, pending: bool) -> tranche.Tranche:
    after: tranche.Tranche = tranche.after_loss(before, loss)
    if after.generation > before.generation:
        log IInsuranceFund.SharesConsolidated(
            pending=pending,
            quote=after.quote,
            generation_before=before.generation,
            generation_after=after.generation,
            shares_before=before.shares,
            shares_after=after.shares,
        )
    return after


# Internals: venues


@internal
@view
def _limit(venue_address: address) -> uint256:
    """
    @dev What this venue may draw now; nothing for a stranger.
    """
    limit: int256 = self._limits[venue_address]
    return min(self._held(), fixed_point.positive_part(words.high_of(limit) - words.low_of(limit)))


@internal
@view
def _uncollected() -> uint256:
    """
    @dev What venues say they owe. Each is believed up to the tokens it has and its allotment,
         which is what it could take anyway; one that does not answer owes nothing. With too
         little gas left an honest one would not answer either, and shares would be cheap.
    """
    total: uint256 = 0
    for venue_address: address in self._venues:
        assert msg.gas >= 2 * READ_GAS, "fund: too little gas"
        called: bool = False
        answer: Bytes[STATE_SIZE] = b""
        called, answer = raw_call(
            venue_address,
            method_id("state()"),
            max_outsize=STATE_SIZE,
            gas=READ_GAS,
            is_static_call=True,
            revert_on_failure=False,
        )
        if called and len(answer) == STATE_SIZE:
            believed: uint256 = staticcall IERC20(QUOTE).balanceOf(venue_address)
            believed += convert(words.high_of(self._limits[venue_address]), uint256)
            claim: uint256 = convert(slice(answer, STATE_SIZE - 32, 32), uint256)
            total += min(claim, believed)
    return total


@internal
def _strike_off(venue_address: address):
    """
    @dev Takes a venue off the list; the last one gets its place.
    """
    last: address = self._venues.pop()
    for i: uint256 in range(len(self._venues), bound=MAX_VENUES):
        if self._venues[i] == venue_address:
            self._venues[i] = last


# Internals: tokens


@internal
@view
def _held() -> uint256:
    return self._staked.quote + self._pending.quote


@internal
@view
def _checked_held(added: uint256) -> uint256:
    """
    @dev Quote here before some is added.
    """
    assert added > 0, "fund: zero amount"
    held: uint256 = self._held()
    assert held + added <= MAX_QUOTE, "fund: too much quote"
    return held


@internal
def _pull(quote: uint256):
    assert extcall IERC20(QUOTE).transferFrom(
        msg.sender, self, quote, default_return_value=True
    ), "fund: transfer failed"


@internal
def _send(receiver: address, quote: uint256):
    assert extcall IERC20(QUOTE).transfer(
        receiver, quote, default_return_value=True
    ), "fund: transfer failed"
