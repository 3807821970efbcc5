# SPDX-License-Identifier: MIT
"""A venue and the reference model side by side, for examples with chosen numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from keeper.simulation.reference import Round
from tests.reference_world import Twins


class Liquidated(NamedTuple):
    """What one liquidation did, by its event."""

    size: int
    sold: int
    penalty: int
    reward: int
    covered: int
    deficit: int


class Pair:
    """
    `Twins` with a provided pool and a seeded fund, whose calls return or raise what the chain says.

    Prices and time are the world's to move; the model follows before each call.

    Parameters
    ----------
    *args, **changes
        As for `tests.reference_world.Twins`.
    liquidity, insurance : float or str
        Whole quote put into pool and fund by the deploying account.
    """

    def __init__(
        self,
        *args: int,
        price: float | str = 1,
        liquidity: float | str = 1_000,
        insurance: float | str = 0,
        **changes: Any,
    ) -> None:
        self.on(Twins(*args, price=price, traders=(), **changes))
        world = self.world
        self.twins.provide(world.owner, world.quotes(liquidity))
        if world.quotes(insurance):
            self.twins.donate(world.owner, world.quotes(insurance))

    def on(self, twins: Twins) -> Pair:
        """Watch these twins."""
        self.twins = twins
        self.world = twins.world
        self.venue = twins.world.venue
        self.logs: list[Any] = []  # of the last liquidation
        return self

    def trader(self, name: str, quote: float | str = 0, assets: float | str = 0) -> str:
        """Return a new account with that margin deposited (whole tokens)."""
        account = self.world.actor(name)
        self.twins.traders.append(account)
        if quote or assets:
            self.deposit(account, self.world.assets(assets), self.world.quotes(quote))
        return account

    def deposit(self, account: str, assets: int, quote: int) -> None:
        """Add margin, raw units."""
        self._do(lambda: self.twins.deposit(account, assets, quote))

    def withdraw(self, account: str, assets: int, quote: int) -> None:
        """Take margin, raw units."""
        self._do(lambda: self.twins.withdraw(account, assets, quote))

    def trade(self, account: str, size: int) -> int:
        """Trade raw asset units at any price and return quote paid."""
        return int(self._do(lambda: self.twins.trade(account, size)))

    def settle(self) -> None:
        """Let anyone move tokens between venue and pool."""
        self._do(self.twins.settle)

    def accrue(self) -> None:
        """Let anyone bring funding to this second."""
        self._do(self.twins.accrue)

    def liquidate(self, account: str, by: str) -> Liquidated:
        """Liquidate and return what happened."""
        self._do(lambda: self.twins.liquidate(account, by))
        self.logs = self.twins.logs
        event = next(each for each in self.logs if type(each).__name__ == "AccountLiquidated")
        done = event.outcome
        return Liquidated(
            size=done.size,
            sold=done.assets_sold,
            penalty=done.penalty,
            reward=event.reward,
            covered=event.covered,
            deficit=event.deficit,
        )

    def stored(self, account: str) -> tuple[int, ...]:
        """Return the account as the contract stores it."""
        return tuple(self.venue.account(account))

    def check_tokens(self) -> None:
        """Conservation, per token, to the unit."""
        self.twins.compare()

    def check_value(self, price: int) -> None:
        """Accounts and pool, both at closing, sum to what is held."""
        self._follow()
        self.twins.check_value(price)

    def _do(self, call: Callable[[], bool]) -> Any:
        self._follow()
        if not call():
            assert self.twins.error is not None
            raise self.twins.error
        return self.twins.result

    def _follow(self) -> None:
        """Let the model's feeds say what those on chain say."""
        for feed, model in (
            (self.world.asset_feed, self.twins.asset_feed),
            (self.world.quote_feed, self.twins.quote_feed),
        ):
            model.set_round(Round(*feed.last_round()))
