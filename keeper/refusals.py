# SPDX-License-Identifier: MIT
"""
Venues at which the chain refuses to trade, though what they say of themselves does not show it.

A plan that is refused in simulation costs nothing, and the same plan would be refused again in
every tick. Which of its venues is at fault the reason does not tell, as a foreign venue may give
any; so each leg that trades is simulated alone, and who is refused alone, for no reason of the
vault's own, is blamed. After some refusals in a row a venue is left out for a while, and the order
goes to the others; margin is still sent there. Where no other answers, or takes the order
(`strategy.hedge`), it is tried all the same. Kept by the process only: after a start everything is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from keeper.plan import Plan
from keeper.snapshot import Address, VaultSnapshot
from keeper.units import Assets, Wad

IN_A_ROW: Final = 3
SHUT_SECS: Final = 1_800


class Refusals:
    """What was refused of late, by vault and venue; time is the chain's."""

    def __init__(self) -> None:
        self._in_a_row: dict[tuple[Address, Address], tuple[int, int]] = {}  # and when last
        self._until: dict[tuple[Address, Address], int] = {}

    def refused(self, vault: Address, venues: Iterable[Address], at: int) -> None:
        """Count venues at which the chain refused to let a vault trade."""
        for venue in venues:
            place = vault, venue
            count, last = self._in_a_row.pop(place, (0, at))
            count = 1 if at - last > SHUT_SECS else count + 1
            if count < IN_A_ROW:
                self._in_a_row[place] = count, at
            else:
                self._until[place] = at + SHUT_SECS

    def passed(self, vault: Address, plan: Plan) -> None:
        """Forget the refusals of venues at which a plan could trade."""
        for part in parts(plan):
            self._in_a_row.pop((vault, part.legs[0].venue), None)

    def mask(self, vault: VaultSnapshot, at: int) -> int:
        """Return bit i for each venue i of a book that is left out now."""
        places = [(vault.vault, venue.venue) for venue in vault.venues]
        shut = [place for place in places if self._until.get(place, 0) > at]
        answering = {v.venue for v in vault.venues if v.answers}
        if answering <= {venue for _, venue in shut}:
            for place in shut:
                del self._until[place]
            return 0
        return sum(1 << places.index(place) for place in shut)


def parts(plan: Plan) -> list[Plan]:
    """Return each trade of a plan at a venue as a plan of its own."""
    return [
        replace(plan, legs=(leg,), spot_after=0, spot_assets=Assets(0), spot_limit_price_wad=Wad(0))
        for leg in plan.legs
        if leg.size
    ]
