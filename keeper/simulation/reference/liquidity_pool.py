# SPDX-License-Identifier: MIT
"""
The venue's other side: tokens of its providers, and who provided them (`LiquidityPool.vy`).

Shares are worth the closing value, what would be left if everybody closed on the curve. Anybody
enters and leaves by request, executed in a later oracle round at the worse of the value then and
the value at the request. Shares burned pay their part of the asset inventory in kind and the rest
of their value in quote.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from keeper.simulation.reference.insurance_fund import NOT_OWNER
from keeper.simulation.reference.oracle import Price
from keeper.simulation.reference.reverted import Reverted, atomic, require
from keeper.snapshot import ZERO_ADDRESS
from keeper.units import div_floor, mul_div_down, mul_div_up, positive_part

PRICE_STAND = 60  # seconds
MAX_WINDOW = 30 * 86_400  # seconds
OPEN, GATED, BATCH, CLOSED = range(4)  # stages of the venue


class Provision(NamedTuple):
    """A request to enter, with the value at that time; none where quote is zero."""

    quote: int = 0
    min_shares: int = 0
    equity: int = 0
    total_shares: int = 0
    round_id: int = 0
    requested_at: int = 0


class Removal(NamedTuple):
    """A request to leave, with the value at that time; none where shares is zero."""

    shares: int = 0
    min_quote: int = 0
    receiver: str = ZERO_ADDRESS
    equity: int = 0
    total_shares: int = 0
    round_id: int = 0
    requested_at: int = 0


class NotedPrice(NamedTuple):
    """A price of a round, and since when the pool knows it."""

    price_wad: int = 0
    round_id: int = 0
    noted_at: int = 0


class Oracle(Protocol):
    """Whatever answers with a checked price."""

    def read(self, *, at: int) -> Price:
        """Return the price at this second or raise `Reverted`."""


class Backed(Protocol):
    """The venue, as far as its pool knows it."""

    address: str

    def settle(self, *, at: int) -> None:
        """Move tokens between venue and pool."""

    def stage_now(self, *, at: int) -> int:
        """Return 0 where the venue is open, 3 where it is wound up."""

    def queue(self, long: bool) -> tuple[int, int]:
        """Return losses that wait for deleveraging, and the sizes that failed."""

    def pool_value(self, price_wad: int, *, at: int) -> int:
        """Return what the pool owns at the venue."""

    def pool_equity_required(self, price_wad: int) -> int:
        """Return pool equity that the skew needs."""

    def checkpoint(self) -> tuple[Any, ...]:
        """Return what `restore` needs, the pool included."""

    def restore(self, saved: tuple[Any, ...]) -> None:
        """Undo a refused call."""


class LiquidityPool:
    """
    The pool, empty and without a venue.

    Parameters
    ----------
    oracle : Oracle
        The price that shares are valued at.
    price_divisor : int
        quote = assets * price_wad / price_divisor.
    address, owner : str
        How the pool and its owner are named in calls.
    min_delay, window : int
        Seconds from a request until it is due, and until it can only be cancelled.
    min_holding : int
        Shares that a provider has at least if he has any.
    """

    def __init__(
        self,
        oracle: Oracle,
        price_divisor: int,
        address: str = "pool",
        owner: str = "owner",
        *,
        min_delay: int = 3_600,
        window: int = 4 * 3_600,
        min_holding: int = 10**6,
    ) -> None:
        require(PRICE_STAND <= min_delay <= MAX_WINDOW, "pool: min delay")
        require(2 * min_delay <= window <= MAX_WINDOW, "pool: window")
        self.oracle = oracle
        self.price_divisor = price_divisor
        self.address = address
        self.owner = owner
        self.venue: Backed | None = None
        self.quote_held = 0
        self.assets_held = 0
        self.quote_escrowed = 0
        self.shares_of: dict[str, int] = {}
        self.total_shares = 0
        self.provision_of: dict[str, Provision] = {}
        self.removal_of: dict[str, Removal] = {}
        self.noted_price = NotedPrice()
        self.min_delay, self.window, self.min_holding = min_delay, window, min_holding

    def checkpoint(self) -> tuple[Any, ...]:
        """Return what a refused call must restore; shares, requests and escrow change last."""
        if self.venue is not None:
            return self.venue.checkpoint()
        return (self.quote_held, self.assets_held, self.total_shares)

    def restore(self, saved: tuple[Any, ...]) -> None:
        """Undo a refused call. Without a venue nothing is written before the last check."""
        if self.venue is not None:
            self.venue.restore(saved)

    def set_venue(self, sender: str, venue: Backed) -> None:
        """Name the venue that may draw on this pool. Owner only, once."""
        require(sender == self.owner, NOT_OWNER)
        require(self.venue is None, "pool: venue already set")
        self.venue = venue

    @atomic
    def request_provide(self, sender: str, quote: int, min_shares: int = 0, *, at: int) -> None:
        """Put quote into escrow, to become shares when the request is executed."""
        require(quote > 0, "pool: zero amount")
        require(not self.provision(sender).quote, "pool: already requested")
        price = self.oracle.read(at=at)
        equity = self._entry_equity(price.price_wad, at)
        self._note(price, at)
        self.quote_escrowed += quote
        self.provision_of[sender] = Provision(
            quote, min_shares, equity, self.total_shares, price.round_id, at
        )

    @atomic
    def execute_provide(self, owner: str, *, at: int) -> int:
        """Turn escrowed quote into shares, at the value that gives fewer, and return them."""
        request = self.provision(owner)
        require(request.quote > 0, "pool: nothing requested")
        price = self.oracle.read(at=at)
        if self.total_shares > 0:
            self._require_due(request.round_id, request.requested_at, price, at)
        equity = self._entry_equity(price.price_wad, at)
        shares = self._minted(request, equity)
        require(shares > 0, "pool: zero shares")
        require(shares >= request.min_shares, "pool: under minimum shares")
        held = self.shares_of.get(owner, 0)
        self._require_holding(held + shares)
        self.provision_of[owner] = Provision()
        self.quote_escrowed -= request.quote
        self.quote_held += request.quote
        self.total_shares += shares
        self.shares_of[owner] = held + shares
        return shares

    @atomic
    def cancel_provide(self, sender: str) -> int:
        """Give escrowed quote back and return it."""
        quote = self.provision(sender).quote
        require(quote > 0, "pool: nothing requested")
        self.provision_of[sender] = Provision()
        self.quote_escrowed -= quote
        return quote

    @atomic
    def request_remove(
        self,
        sender: str,
        shares: int,
        min_quote: int = 0,
        receiver: str = "receiver",
        *,
        at: int,
    ) -> None:
        """Put shares into escrow, to be burned when the request is executed."""
        require(shares > 0, "pool: zero amount")
        require(receiver != ZERO_ADDRESS, "pool: zero receiver")
        require(not self.removal(sender).shares, "pool: already requested")
        held = self.shares_of.get(sender, 0)
        require(shares <= held, "pool: not enough shares")
        self._require_holding(held - shares)
        price = self.oracle.read(at=at)
        equity = self.equity(price.price_wad, at=at)
        require(equity > 0, "pool: insolvent")
        self._note(price, at)
        self.shares_of[sender] = held - shares
        self.removal_of[sender] = Removal(
            shares, min_quote, receiver, equity, self.total_shares, price.round_id, at
        )

    @atomic
    def execute_remove(self, owner: str, *, at: int) -> tuple[int, int]:
        """Burn escrowed shares at the lower value and return quote and assets paid."""
        request = self.removal(owner)
        require(request.shares > 0, "pool: nothing requested")
        price = self.oracle.read(at=at)
        price_wad = price.price_wad
        self._require_due(request.round_id, request.requested_at, price, at)
        if self.venue is None:
            raise Reverted
        self.venue.settle(at=at)
        equity = self.equity(price_wad, at=at)
        require(equity > 0, "pool: insolvent")
        quote, assets = self._worth(request, equity, price_wad)
        require(quote >= request.min_quote, "pool: under minimum quote")
        require(quote <= self.quote_held, "pool: not enough quote")
        self.total_shares -= request.shares
        self.quote_held -= quote
        self.assets_held -= assets
        needed = self.venue.pool_equity_required(price_wad)
        require(self.equity(price_wad, at=at) >= needed, "pool: skew needs the equity")
        self.removal_of[owner] = Removal()
        return quote, assets

    @atomic
    def cancel_remove(self, sender: str) -> int:
        """Give escrowed shares back and return how many."""
        shares = self.removal(sender).shares
        require(shares > 0, "pool: nothing requested")
        self.removal_of[sender] = Removal()
        self.shares_of[sender] = self.shares_of.get(sender, 0) + shares
        return shares

    @atomic
    def note_price(self, *, at: int) -> None:
        """Note the price of now, so that it counts as standing a minute later."""
        self._note(self.oracle.read(at=at), at)

    @atomic
    def leave(self, sender: str, receiver: str = "receiver", *, at: int) -> tuple[int, int]:
        """Burn all shares after the venue's end, and return their part of what is left."""
        require(receiver != ZERO_ADDRESS, "pool: zero receiver")
        require(self._stage(at) == CLOSED, "pool: venue goes on")
        if self.venue is not None:
            self.venue.settle(at=at)
        shares = self.shares_of.get(sender, 0) + self.removal(sender).shares
        require(shares > 0, "pool: not enough shares")
        quote = mul_div_down(self.quote_held, shares, self.total_shares)
        assets = mul_div_down(self.assets_held, shares, self.total_shares)
        self.shares_of[sender] = 0
        self.removal_of[sender] = Removal()
        self.total_shares -= shares
        self.quote_held -= quote
        self.assets_held -= assets
        return quote, assets

    def provision(self, owner: str) -> Provision:
        """Return the owner's request to enter."""
        return self.provision_of.get(owner, Provision())

    def removal(self, owner: str) -> Removal:
        """Return the owner's request to leave."""
        return self.removal_of.get(owner, Removal())

    def pay(self, sender: str, quote: int) -> int:
        """Send the venue what there is, up to `quote`, and return it. The venue only."""
        self._require_venue(sender)
        paid = min(quote, self.quote_held)
        self.quote_held -= paid
        return paid

    def book(self, sender: str, quote: int, assets: int) -> None:
        """Take what the venue sent. The venue only."""
        self._require_venue(sender)
        self.quote_held += quote
        self.assets_held += assets

    def hand_over(self, sender: str) -> tuple[int, int]:
        """Send the venue all that is here but escrow, and return it. The venue only."""
        self._require_venue(sender)
        held = self.holdings()
        self.quote_held = self.assets_held = 0
        return held

    def holdings(self) -> tuple[int, int]:
        """Return quote and assets, by ledger."""
        return self.quote_held, self.assets_held

    def equity(self, price_wad: int, *, at: int) -> int:
        """Return tokens here and what the venue owes (signed), quote, down."""
        booked = 0 if self.venue is None else self.venue.pool_value(price_wad, at=at)
        inventory = div_floor(self.assets_held * price_wad, self.price_divisor)
        return self.quote_held + booked + inventory

    def _minted(self, request: Provision, equity: int) -> int:
        """Return shares at the value that gives fewer; one for one where there were none."""
        if self.total_shares == 0:
            return request.quote
        shares = mul_div_down(request.quote, self.total_shares, equity)
        if request.total_shares == 0:
            return min(shares, request.quote)
        return min(shares, mul_div_down(request.quote, request.total_shares, request.equity))

    def _worth(self, request: Removal, equity: int, price_wad: int) -> tuple[int, int]:
        """Return the shares' part of the lower equity: inventory first, the rest in quote."""
        supply, divisor = self.total_shares, self.price_divisor
        value = min(
            mul_div_down(request.shares, equity, supply),
            mul_div_down(request.shares, request.equity, request.total_shares),
        )
        assets = min(
            mul_div_down(self.assets_held, request.shares, supply),
            mul_div_down(value, divisor, price_wad),
        )
        return positive_part(value - mul_div_up(assets, price_wad, divisor)), assets

    def _stage(self, at: int) -> int:
        """Return the stage of the venue."""
        return OPEN if self.venue is None else self.venue.stage_now(at=at)

    def _note(self, price: Price, at: int) -> None:
        """Note a price that is not the noted one."""
        if self.noted_price[:2] != (price.price_wad, price.round_id):
            self.noted_price = NotedPrice(price.price_wad, price.round_id, at)

    def _require_due(self, round_id: int, requested_at: int, price: Price, at: int) -> None:
        require(price.round_id > round_id, "pool: same oracle round")
        waited, noted = at - requested_at, self.noted_price
        require(waited >= self.min_delay, "pool: too early")
        require(waited <= self.window, "pool: request expired")
        stands = noted[:2] == (price.price_wad, price.round_id)
        require(stands and at - noted.noted_at >= PRICE_STAND, "pool: price has not stood")

    def _entry_equity(self, price_wad: int, at: int) -> int:
        """Return equity and what deleveraging may bring back of losses that wait."""
        equity = self.equity(price_wad, at=at)
        require(equity >= (self.total_shares > 0), "pool: insolvent")
        if self.venue is None:
            return equity
        return equity + self.venue.queue(True)[0] + self.venue.queue(False)[0]

    def _require_holding(self, shares: int) -> None:
        require(shares == 0 or shares >= self.min_holding, "pool: under minimum holding")

    def _require_venue(self, sender: str) -> None:
        known = self.venue is not None and self.venue.address == sender
        require(known, "pool: not the venue")
