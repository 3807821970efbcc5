# SPDX-License-Identifier: MIT
"""First-loss capital behind one or more venues (`InsuranceFund.vy`), raw quote units."""

from __future__ import annotations

from typing import Protocol

from keeper.simulation.reference.reverted import require, require_word

NOT_OWNER = "ownable: caller is not the owner"


class Paying(Protocol):
    """A venue, as far as the fund knows it."""

    address: str

    def pay_fund(self, sender: str) -> int:
        """Hand over what is the fund's, and return it."""


class InsuranceFund:
    """
    The fund, empty.

    Parameters
    ----------
    address, owner : str
        How the fund and its owner are named in calls.
    """

    def __init__(self, address: str = "fund", owner: str = "owner") -> None:
        self.address = address
        self.owner = owner
        self.held = 0  # quote, by its own ledger
        self.registered: dict[str, bool] = {}

    def donate(self, quote: int) -> None:
        """Add capital; anyone may."""
        require(quote > 0, "fund: zero amount")
        require_word(self.held + quote)
        self.held += quote

    def collect(self, venue: Paying) -> int:
        """Take in what a venue owes the fund, and return it; anyone may ask for it."""
        require(self.registered.get(venue.address, False), "fund: venue not registered")
        received = venue.pay_fund(self.address)
        require(received > 0, "fund: nothing to collect")
        self.held += received
        return received

    def cover(self, sender: str, amount: int) -> int:
        """Pay a registered venue what there is, up to `amount`, and return it."""
        paid = min(amount, self.available(sender))
        self.held -= paid
        return paid

    def register(self, sender: str, venue: str, allowed: bool) -> None:
        """Let a venue draw, or no longer. Owner only."""
        require(sender == self.owner, NOT_OWNER)
        self.registered[venue] = allowed

    def available(self, venue: str) -> int:
        """Return what this venue may draw now."""
        return self.held if self.registered.get(venue, False) else 0
