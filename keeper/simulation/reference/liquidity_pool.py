# SPDX-License-Identifier: MIT
"""
The venue's other side: tokens of its providers, and who provided them (`LiquidityPool.vy`).

Shares are worth the closing value, what would be left if everybody closed on the curve. Shares
minted = quote * total shares / equity, both down. Shares burned pay their part of the asset
inventory in kind and the rest of their value in quote.
"""

from __future__ import annotations

from typing import Protocol

from keeper.simulation.reference.insurance_fund import NOT_OWNER
from keeper.simulation.reference.oracle import Price
from keeper.simulation.reference.reverted import Reverted, atomic, require
from keeper.snapshot import ZERO_ADDRESS
from keeper.units import div_floor, mul_div_down, mul_div_up, positive_part


class Oracle(Protocol):
    """Whatever answers with a checked price."""

    def read(self, *, at: int) -> Price:
        """Return the price at this second or raise `Reverted`."""


class Backed(Protocol):
    """The venue, as far as its pool knows it."""

    address: str

    def settle(self, *, at: int) -> None:
        """Move tokens between venue and pool."""

    def pool_value(self, price_wad: int, *, at: int) -> int:
        """Return what the pool owns at the venue."""

    def pool_equity_required(self, price_wad: int) -> int:
        """Return pool equity that the skew needs."""

    def checkpoint(self) -> tuple[int, ...]:
        """Return what `restore` needs, the pool included."""

    def restore(self, saved: tuple[int, ...]) -> None:
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
    """

    def __init__(
        self, oracle: Oracle, price_divisor: int, address: str = "pool", owner: str = "owner"
    ) -> None:
        self.oracle = oracle
        self.price_divisor = price_divisor
        self.address = address
        self.owner = owner
        self.venue: Backed | None = None
        self.quote_held = 0
        self.assets_held = 0
        self.shares_of: dict[str, int] = {}
        self.total_shares = 0

    def checkpoint(self) -> tuple[int, ...]:
        """Return what a refused call must restore; shares change last and need not be."""
        if self.venue is not None:
            return self.venue.checkpoint()
        return (self.quote_held, self.assets_held, self.total_shares)

    def restore(self, saved: tuple[int, ...]) -> None:
        """Undo a refused call. Without a venue nothing is written before the last check."""
        if self.venue is not None:
            self.venue.restore(saved)

    def set_venue(self, sender: str, venue: Backed) -> None:
        """Name the venue that may draw on this pool. Owner only, once."""
        require(sender == self.owner, NOT_OWNER)
        require(self.venue is None, "pool: venue already set")
        self.venue = venue

    @atomic
    def provide(self, sender: str, quote: int, min_shares: int = 0, *, at: int) -> int:
        """Add quote and return the shares minted, down. Owner only."""
        require(sender == self.owner, NOT_OWNER)
        require(quote > 0, "pool: zero amount")
        price_wad = self.oracle.read(at=at).price_wad
        equity = self.equity(price_wad, at=at)
        shares = quote
        if self.total_shares > 0:
            require(equity > 0, "pool: insolvent")
            shares = mul_div_down(quote, self.total_shares, equity)
        require(shares > 0, "pool: zero shares")
        require(shares >= min_shares, "pool: under minimum shares")
        self.total_shares += shares
        self.shares_of[sender] = self.shares_of.get(sender, 0) + shares
        self.quote_held += quote
        return shares

    @atomic
    def remove(
        self,
        sender: str,
        shares: int,
        min_quote: int = 0,
        receiver: str = "receiver",
        *,
        at: int,
    ) -> tuple[int, int]:
        """Burn shares and return quote and assets paid for them, down. Owner only."""
        require(sender == self.owner, NOT_OWNER)
        require(shares > 0, "pool: zero amount")
        require(receiver != ZERO_ADDRESS, "pool: zero receiver")
        require(shares <= self.shares_of.get(sender, 0), "pool: not enough shares")
        price_wad = self.oracle.read(at=at).price_wad
        if self.venue is None:
            raise Reverted
        self.venue.settle(at=at)
        quote, assets = self._worth(shares, self.equity(price_wad, at=at), price_wad)
        require(quote >= min_quote, "pool: under minimum quote")
        require(quote <= self.quote_held, "pool: not enough quote")
        self.total_shares -= shares
        self.quote_held -= quote
        self.assets_held -= assets
        needed = self.venue.pool_equity_required(price_wad)
        require(self.equity(price_wad, at=at) >= needed, "pool: skew needs the equity")
        self.shares_of[sender] -= shares
        return quote, assets

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

    def holdings(self) -> tuple[int, int]:
        """Return quote and assets, by ledger."""
        return self.quote_held, self.assets_held

    def equity(self, price_wad: int, *, at: int) -> int:
        """Return tokens here and what the venue owes (signed), quote, down."""
        booked = 0 if self.venue is None else self.venue.pool_value(price_wad, at=at)
        inventory = div_floor(self.assets_held * price_wad, self.price_divisor)
        return self.quote_held + booked + inventory

    def _worth(self, shares: int, equity: int, price_wad: int) -> tuple[int, int]:
        """Return the shares' part of equity: inventory in kind first, the rest in quote."""
        supply, divisor = self.total_shares, self.price_divisor
        value = mul_div_down(shares, positive_part(equity), supply)
        assets = min(
            mul_div_down(self.assets_held, shares, supply),
            mul_div_down(value, divisor, price_wad),
        )
        return positive_part(value - mul_div_up(assets, price_wad, divisor)), assets

    def _require_venue(self, sender: str) -> None:
        known = self.venue is not None and self.venue.address == sender
        require(known, "pool: not the venue")
