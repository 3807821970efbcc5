# SPDX-License-Identifier: MIT
"""
Exits while there is no price (`ExitInKind.vy`): hollow shares, claims, settlements.

Whose shares they are is not modelled, as in `hedge_vault`: the supply is, with what of it is
hollow. Claims are kept by round. The reference's venues always answer, so that no settlement waits.
Raw asset, quote and share units, prices WAD, times Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from keeper.simulation.reference.hedge_vault import HedgeVault
from keeper.simulation.reference.reverted import require, require_word
from keeper.units import BPS, DAY_SECS, mul_div_down, mul_div_up, positive_part

VIRTUAL_SHARES: Final = 10**3
WINDOW_SECS: Final = 30 * DAY_SECS


class Round(NamedTuple):
    """Claims of a settled round that are not redeemed yet, and the shares for them."""

    claims: int
    shares: int


class Settlement(NamedTuple):
    """What hollow shares become: full ones, and what that cost their owners, quote."""

    shares: int
    charge: int


@dataclass(slots=True, kw_only=True)
class ExitInKind:
    """
    The exit of one vault.

    `supply` are the vault's shares, hollow ones included; who deposits or redeems tells of it.
    """

    vault: HedgeVault
    delay: int
    min_supply: int
    supply: int = 0
    hollow: int = 0
    announced_at: int = 0
    rounds: list[Round] = field(default_factory=list)  # settled

    def announce(self, *, at: int) -> None:
        """Say that there is no price; refused while an announcement stands."""
        self._require_no_price(at)
        old = self.announced_at
        stands = old and at < self._closes_at(old) and self.vault.last_price_at < old
        require(not stands, "exit: announced already")
        self.announced_at = at

    def retract(self, *, at: int) -> None:
        """Take the announcement back at a good price."""
        require(self.announced_at != 0, "exit: not announced")
        self.vault.oracle.read(at=at)
        self.announced_at = 0

    def exit(self, shares: int, *, at: int) -> tuple[int, int]:
        """Return assets and quote for shares that are hollow from then on."""
        self._require_open(at)
        require(shares != 0, "exit: zero shares")
        full = self.supply - self.hollow
        rest = full - shares
        require(rest == 0 or rest >= self.min_supply, "vault: supply under minimum")
        there = self.vault.idle_assets, self.vault.idle_quote
        require_word(max(there) * shares)
        assets, quote = (mul_div_down(idle, shares, full + VIRTUAL_SHARES) for idle in there)
        self.vault.idle_assets -= assets
        self.vault.idle_quote -= quote
        self.hollow += shares
        self.vault.unsettled = True
        return assets, quote

    def settle(self, *, at: int) -> Settlement:
        """Make hollow shares full ones of the same worth."""
        require(self.hollow != 0, "exit: nothing to settle")
        price_wad = self.vault.oracle.read(at=at).price_wad
        done = self.settlement(price_wad, at=at)
        self.announced_at = 0
        self.supply -= self.hollow - done.shares
        self.rounds.append(Round(self.hollow, done.shares))
        self.hollow = 0
        self.vault.unsettled = False
        return done

    def settlement(self, price_wad: int, *, at: int) -> Settlement:
        """Return what a settlement at this price would be, shares down, charge up."""
        vault = self.vault
        if self.supply == self.hollow:
            return Settlement(self.hollow, 0)
        idle = mul_div_down(vault.idle_assets, price_wad, vault.price_divisor) + vault.idle_quote
        venues = sum(map(positive_part, vault.position(price_wad, at=at).values))
        full = self.supply - self.hollow + VIRTUAL_SHARES
        part = mul_div_down(self.hollow, venues, self.supply + VIRTUAL_SHARES)
        taken = mul_div_up(self.hollow, idle, full)
        charge = min(part, mul_div_up(taken, vault.identity.base_charge_bps, BPS))
        worth = part - charge
        return Settlement(mul_div_down(worth, full, idle + 1 + venues - worth), charge)

    def redeem(self, number: int, claims: int) -> int:
        """Return the shares for claims of a settled round."""
        require(claims != 0, "exit: zero claims")
        require(number < len(self.rounds), "exit: round is not settled")
        left = self.rounds[number]
        require(claims <= left.claims, "claims: not enough claims")
        require_word(claims * left.shares)
        shares = mul_div_down(claims, left.shares, left.claims)
        require(shares != 0, "exit: claims are worth nothing")
        self.rounds[number] = Round(left.claims - claims, left.shares - shares)
        return shares

    def _require_open(self, at: int) -> None:
        require(self.announced_at != 0, "exit: not announced")
        require(at >= self.announced_at + self.delay, "exit: too early")
        require(at < self._closes_at(self.announced_at), "exit: announcement lapsed")
        self._require_no_price(at)
        seen = self.vault.last_price_at >= self.announced_at
        require(not seen, "exit: a good price was seen")

    def _require_no_price(self, at: int) -> None:
        require(not self.vault.oracle.try_read(at=at)[0], "exit: there is a good price")

    def _closes_at(self, announced_at: int) -> int:
        return announced_at + self.delay + WINDOW_SECS
