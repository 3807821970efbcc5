# SPDX-License-Identifier: MIT
"""
Exits that wait their turn (`RedemptionQueue.vy`): escrowed shares, reserved assets.

A round of the asset's feed fills a request if it was published more than `delay` after it, and
without a base charge if the round before was not. Raw asset and share units, times in Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from keeper.simulation.reference.flow_rules import Fill, Order, Priced, fill_orders
from keeper.simulation.reference.reverted import require
from keeper.units import magnitude

MAX_ORDERS = 50
MAX_AMOUNT = 2**128 - 1


class Waiting(NamedTuple):
    """A request as far as it is not filled; without shares it is over."""

    owner: str
    shares: int
    min_assets: int
    requested_at: int


class FeedRound(NamedTuple):
    """When the feed's round and the one before were published; zero: it cannot say."""

    updated_at: int
    updated_before_at: int


class Market(NamedTuple):
    """What a run finds: the vault at one price, what margin is free, premium and its mean."""

    priced: Priced
    idle: int
    free: int
    premium_wad: int
    mean_premium_wad: int


@dataclass(slots=True, kw_only=True)
class RedemptionQueue:
    """
    The queue of one vault.

    `first` is where the next run begins; `claims` are by owner and sum to `reserved_assets`.
    """

    delay: int
    cancel_delay: int
    min_shares: int
    premium_tolerance_wad: int
    requests: list[Waiting] = field(default_factory=list)
    first: int = 0
    claims: dict[str, int] = field(default_factory=dict)

    @property
    def pending_shares(self) -> int:
        """Return the shares of all that wait."""
        return sum(waiting.shares for waiting in self.requests)

    @property
    def reserved_assets(self) -> int:
        """Return the sum of all claims."""
        return sum(self.claims.values())

    def request(self, owner: str, shares: int, min_assets: int, *, worth: int, at: int) -> int:
        """Return the number of a new request; `worth` is what the shares are worth now."""
        require(self.min_shares <= shares, "queue: under minimum shares")
        require(shares <= MAX_AMOUNT, "queue: shares out of range")
        require(min_assets <= worth or min_assets == 0, "queue: minimum over the value")
        self.requests.append(Waiting(owner, shares, min_assets, at))
        return len(self.requests) - 1

    def cancel(self, sender: str, number: int, *, at: int) -> int:
        """Return the shares that go back to the owner."""
        over = number >= len(self.requests) or not self.requests[number].shares
        require(not over, "queue: nothing waits")
        waiting = self.requests[number]
        require(sender == waiting.owner, "queue: caller is not the owner")
        require(at >= waiting.requested_at + self.cancel_delay, "queue: too early")
        self._end(number)
        return waiting.shares

    def process(self, most: int, current: FeedRound, market: Market) -> list[tuple[int, Fill]]:
        """
        Serve whose turn it is.

        Returns
        -------
        list of (int, Fill)
            Number and fill of each request that was filled or has lapsed.
        """
        end = min(self.first + min(most, MAX_ORDERS), len(self.requests))
        numbers = self._due(end, current)
        start = next((n for n in range(self.first, end) if self.requests[n].shares), end)
        if not numbers:
            require(start != self.first, "queue: nothing is due")
            self.first = start
            return []
        orders = [self._order(number, current) for number in numbers]
        fills = self._fills(orders, market)
        require(bool(fills), "queue: not enough liquid")
        self.first = start
        done = list(zip(numbers, fills, strict=False))
        for number, fill in done:
            self._book(number, fill)
        return done

    def claim(self, owner: str) -> int:
        """Return what is paid to `owner`."""
        assets = self.claims.get(owner, 0)
        require(assets != 0, "queue: nothing to claim")
        self.claims[owner] = 0
        return assets

    def _due(self, end: int, current: FeedRound) -> list[int]:
        """Return the requests in order up to the first that is too young."""
        numbers = []
        for number in range(self.first, end):
            waiting = self.requests[number]
            if not waiting.shares:
                continue
            if current.updated_at <= waiting.requested_at + self.delay:
                break
            numbers.append(number)
        return numbers

    def _order(self, number: int, current: FeedRound) -> Order:
        waiting = self.requests[number]
        due_at = waiting.requested_at + self.delay
        base_free = 0 < current.updated_before_at <= due_at
        return Order(waiting.shares, waiting.min_assets, base_free)

    def _fills(self, orders: list[Order], market: Market) -> list[Fill]:
        """Free margin for all that is asked for, then fill."""
        priced = market.priced
        wanted = priced.gross(sum(order.shares for order in orders))
        liquid = market.idle + min(market.free, max(0, wanted - market.idle))
        require(priced.equity > 0, "vault: equity not positive")
        away = magnitude(market.premium_wad - market.mean_premium_wad)
        require(away <= self.premium_tolerance_wad, "queue: premium is off its mean")
        return fill_orders(priced, orders, liquid, self.min_shares)

    def _book(self, number: int, fill: Fill) -> None:
        waiting = self.requests[number]
        left = waiting.shares - fill.shares
        if fill.lapsed or not left:
            self._end(number)
            self.first = number + 1
        else:
            least = max(0, waiting.min_assets - fill.assets)
            self.requests[number] = waiting._replace(shares=left, min_assets=least)
        if fill.assets:
            self.claims[waiting.owner] = self.claims.get(waiting.owner, 0) + fill.assets

    def _end(self, number: int) -> None:
        self.requests[number] = self.requests[number]._replace(shares=0, min_assets=0)
