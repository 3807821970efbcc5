# SPDX-License-Identifier: MIT
"""
Staked first-loss capital behind one or more venues (`InsuranceFund.vy`), raw quote units.

Two tranches, staked and pending (stakes of less than a day, requests to leave): losses are shared
in proportion, revenue is the staked one's alone. Claims on a tranche of `quote` and `shares` for
an amount are amount * (shares + V) / (quote + 1), the worth of claims is claims * (quote + 1) /
(shares + V), both down; who enters the staked one also pays for what venues owe.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from keeper.simulation.reference.reverted import require, require_word
from keeper.units import mul_div_down, mul_div_up

NOT_OWNER = "ownable: caller is not the owner"
VIRTUAL: Final = 10**6  # shares of nobody
SPLIT: Final = 10**6  # old claims for a new one
MAX_SPLITS: Final = 12
MAX_QUOTE: Final = 2**104
MAX_VENUES: Final = 8
ENTRY_DELAY_SECS: Final = 86_400


class Paying(Protocol):
    """A venue, as far as the fund knows it."""

    address: str
    fund_claim: int  # what it owes the fund
    quote_held: int  # the tokens it has

    def pay_fund(self, sender: str) -> int:
        """Hand over what is the fund's, and return it."""


class Claim(NamedTuple):
    """Claims on a tranche, in units of their generation."""

    shares: int = 0
    generation: int = 0

    def as_of(self, generation: int) -> int:
        """Return them in units of a later generation, down."""
        splits = min(generation - self.generation, MAX_SPLITS)
        return mul_div_down(self.shares, 1, SPLIT**splits)


@dataclass(slots=True)
class Tranche:
    """Quote and the claims on it."""

    quote: int = 0
    shares: int = 0
    generation: int = 0

    def shares_for(self, quote: int, owed: int = 0) -> int:
        """Return the claims that `quote` buys, down."""
        require_word(quote * (self.shares + VIRTUAL))
        return mul_div_down(quote, self.shares + VIRTUAL, self.quote + owed + 1)

    def worth_of(self, shares: int) -> int:
        """Return what claims are worth, down."""
        return mul_div_down(shares, self.quote + 1, self.shares + VIRTUAL)

    def lose(self, loss: int) -> None:
        """Bear a loss; a million claims become one until each is worth enough."""
        self.quote -= loss
        while self.shares + VIRTUAL > VIRTUAL * SPLIT * (self.quote + 1):
            self.shares = mul_div_down(self.shares, 1, SPLIT)
            self.generation += 1


class Pending(NamedTuple):
    """A request to leave."""

    given: Claim  # shares that were given up
    claim: Claim  # on the pending tranche
    value: int  # at request
    requested_at: int


class Coming(NamedTuple):
    """A stake that has not entered."""

    claim: Claim  # on the pending tranche
    value: int  # at the stake
    staked_at: int


class Entry(NamedTuple):
    """Such a stake as views show it (`IInsuranceFund.Entry`)."""

    value: int = 0
    worth: int = 0
    enters_at: int = 0


class Request(NamedTuple):
    """A request as views show it (`IInsuranceFund.Request`)."""

    shares: int = 0
    value: int = 0
    worth: int = 0
    opens_at: int = 0
    expires_at: int = 0


@dataclass(slots=True)
class InsuranceFund:
    """
    The fund, empty.

    Parameters
    ----------
    address, owner : str
        How the fund and its owner are named in calls.
    unstake_delay_secs, unstake_window_secs : int
        From a request until it can be paid, and from then until it expires.
    """

    address: str = "fund"
    owner: str = "owner"
    unstake_delay_secs: int = 7 * 86_400
    unstake_window_secs: int = 2 * 86_400
    staked: Tranche = field(default_factory=Tranche)
    pending: Tranche = field(default_factory=Tranche)
    claims: dict[str, Claim] = field(default_factory=dict)
    requests: dict[str, Pending] = field(default_factory=dict)
    entries: dict[str, Coming] = field(default_factory=dict)
    venues: list[Paying] = field(default_factory=list)
    allotment: dict[str, int] = field(default_factory=dict)
    drawn: dict[str, int] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """Return quote by the fund's own ledger."""
        return self.staked.quote + self.pending.quote

    def checkpoint(self, venue: str) -> tuple[int, ...]:
        """Return all that a call of this venue may change."""
        staked, pending = self.staked, self.pending
        return (
            staked.quote,
            staked.shares,
            staked.generation,
            pending.quote,
            pending.shares,
            pending.generation,
            self.drawn.get(venue, 0),
        )

    def restore(self, venue: str, saved: tuple[int, ...]) -> None:
        """Become what the fund was at the checkpoint."""
        staked, pending = self.staked, self.pending
        staked.quote, staked.shares, staked.generation = saved[:3]
        pending.quote, pending.shares, pending.generation = saved[3:6]
        self.drawn[venue] = saved[6]

    # Stakers

    def stake(self, sender: str, quote: int, *, at: int) -> None:
        """Put quote at risk; it earns once it has entered."""
        require(sender not in self.entries, "fund: entry is open")
        self._require_room(quote)
        claim = Claim(self.pending.shares_for(quote), self.pending.generation)
        self.pending.quote += quote
        self.pending.shares += claim.shares
        self.entries[sender] = Coming(claim, quote, at)

    def enter(self, staker: str, *, at: int) -> int:
        """Turn a stake of a day ago into shares, and return them, down; anyone may."""
        require(staker in self.entries, "fund: no entry")
        entry = self.entries[staker]
        require(at >= entry.staked_at + ENTRY_DELAY_SECS, "fund: entry is too recent")
        owed = self.uncollected()
        del self.entries[staker]
        quote = self._taken(entry.claim, entry.value)
        shares = self.staked.shares_for(quote, owed)
        self._add(staker, quote, shares)
        return shares

    def donate(self, quote: int) -> None:
        """Add capital for nobody; anyone may."""
        self._require_room(quote)
        shares = self.preview_stake(quote)
        require(shares > 0, "fund: zero shares")
        self._add(self.address, quote, shares)

    def request_unstake(self, sender: str, shares: int, *, at: int) -> int:
        """Give up shares for a claim of their value, and return that, down."""
        require(shares > 0, "fund: zero amount")
        require(sender not in self.requests, "fund: request is open")
        owned = self.shares_of(sender)
        require(shares <= owned, "fund: not enough shares")
        value = self.staked.worth_of(shares)
        require(value > 0, "fund: worth nothing")
        claim = self.pending.shares_for(value)
        given = Claim(shares, self.staked.generation)
        self.claims[sender] = Claim(owned - shares, self.staked.generation)
        self.staked.quote -= value
        self.staked.shares -= shares
        self.pending.quote += value
        self.pending.shares += claim
        self.requests[sender] = Pending(given, Claim(claim, self.pending.generation), value, at)
        return value

    def unstake(self, sender: str, min_quote: int = 0, *, at: int) -> int:
        """Pay a request within its window, and return what was paid, down."""
        require(sender in self.requests, "fund: no request")
        request = self.request_of(sender)
        require(at >= request.opens_at, "fund: request is too recent")
        require(at <= request.expires_at, "fund: request has expired")
        require(request.worth >= min_quote, "fund: under minimum quote")
        return self._take_request(sender)

    def cancel_request(self, sender: str) -> int:
        """End a request, stake what it is worth, and return the shares for it, down."""
        require(sender in self.requests, "fund: no request")
        given = self.request_of(sender).shares
        owed = self.uncollected()
        quote = self._take_request(sender)
        shares = min(given, self.staked.shares_for(quote, owed))
        self._add(sender, quote, shares)
        return shares

    # Venues

    def collect(self, venue: Paying) -> int:
        """Take in what a venue owes the fund, and return it; anyone may ask for it."""
        address = venue.address
        require(self.allotment.get(address, 0) > 0, "fund: venue not registered")
        received = venue.pay_fund(self.address)
        require(received > 0, "fund: nothing to collect")
        self._require_room(received)
        drawn = self.drawn.get(address, 0)
        self.drawn[address] = drawn - min(drawn, received)
        self.staked.quote += received
        return received

    def cover(self, sender: str, amount: int) -> int:
        """Pay a registered venue what there is and it may draw, and return it."""
        paid = min(amount, self.available(sender))
        if paid == 0:
            return 0
        pending_loss = mul_div_up(paid, self.pending.quote, self.held)
        self.drawn[sender] = self.drawn.get(sender, 0) + paid
        self.pending.lose(pending_loss)
        self.staked.lose(paid - pending_loss)
        return paid

    def register(self, sender: str, venue: Paying, allotment: int) -> None:
        """Let a venue draw so much more than it brought in; zero strikes it off. Owner only."""
        require(sender == self.owner, NOT_OWNER)
        before, allotment = self.allotment.get(venue.address, 0), min(allotment, MAX_QUOTE)
        if before == 0 and allotment > 0:
            require(len(self.venues) < MAX_VENUES, "fund: too many venues")
            self.venues.append(venue)
        elif before > 0 and allotment == 0:
            last = self.venues.pop()
            self.venues = [last if each is venue else each for each in self.venues]
        self.allotment[venue.address] = allotment

    # Views

    def available(self, venue: str) -> int:
        """Return what this venue may draw now."""
        allotment = self.allotment.get(venue, 0)
        return min(self.held, allotment - min(allotment, self.drawn.get(venue, 0)))

    def uncollected(self) -> int:
        """Return what venues owe, each believed up to its tokens and its allotment."""
        return sum(
            min(each.fund_claim, each.quote_held + self.allotment[each.address])
            for each in self.venues
        )

    def preview_stake(self, quote: int) -> int:
        """Return the shares that a stake which enters now would be given, down."""
        return self.staked.shares_for(quote, self.uncollected())

    def shares_of(self, owner: str) -> int:
        """Return the owner's shares that earn."""
        return self.claims.get(owner, Claim()).as_of(self.staked.generation)

    def worth(self, owner: str) -> int:
        """Return what the owner's shares are worth now, down."""
        return self.staked.worth_of(self.shares_of(owner))

    def request_of(self, owner: str) -> Request:
        """Return the owner's request, all zero if there is none."""
        request = self.requests.get(owner)
        if request is None:
            return Request()
        opens_at = request.requested_at + self.unstake_delay_secs
        return Request(
            shares=request.given.as_of(self.staked.generation),
            value=request.value,
            worth=self._claim_worth(request.claim, request.value),
            opens_at=opens_at,
            expires_at=opens_at + self.unstake_window_secs,
        )

    def entry_of(self, owner: str) -> Entry:
        """Return the owner's stake that has not entered, all zero if there is none."""
        entry = self.entries.get(owner)
        if entry is None:
            return Entry()
        worth = self._claim_worth(entry.claim, entry.value)
        return Entry(entry.value, worth, entry.staked_at + ENTRY_DELAY_SECS)

    def _claim_worth(self, claim: Claim, most: int) -> int:
        """Return what a claim on the pending tranche is worth, at most what it began with."""
        return min(most, self.pending.worth_of(claim.as_of(self.pending.generation)))

    def _require_room(self, quote: int) -> None:
        require(quote > 0, "fund: zero amount")
        require(self.held + quote <= MAX_QUOTE, "fund: too much quote")

    def _add(self, owner: str, quote: int, shares: int) -> None:
        self.claims[owner] = Claim(self.shares_of(owner) + shares, self.staked.generation)
        self.staked.quote += quote
        self.staked.shares += shares

    def _take_request(self, sender: str) -> int:
        """End a request and take its worth out of the pending tranche."""
        request = self.requests.pop(sender)
        return self._taken(request.claim, request.value)

    def _taken(self, claim: Claim, most: int) -> int:
        """Take out what a claim is worth; what rounding leaves is the stakers'."""
        quote = self._claim_worth(claim, most)
        self.pending.shares -= claim.as_of(self.pending.generation)
        self.pending.quote -= quote
        if self.pending.shares == 0:
            self.staked.quote += self.pending.quote
            self.pending.quote = 0
        return quote
