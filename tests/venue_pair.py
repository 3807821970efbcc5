# SPDX-License-Identifier: MIT
"""A venue and its model side by side: every call goes to both, and both must agree to the unit."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import boa

from tests.venue_model import Account, Liquidated, Model
from tests.venue_world import World, world


class Pair:
    """
    Calls the chain and the model, then compares account, market, claims and ledgers.

    Parameters
    ----------
    *args, **kwargs
        As for `tests.venue_world.world`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._watch(world(*args, **kwargs))

    @classmethod
    def on(cls, untouched: World) -> Pair:
        """Return a pair on a world in which nobody has called the venue yet."""
        pair = cls.__new__(cls)
        pair._watch(untouched)
        return pair

    def _watch(self, watched: World) -> None:
        self.world = watched
        self.venue = self.world.venue
        self.logs: list[Any] = []  # of the last liquidation
        self.model = Model(
            terms=self.world.terms,
            divisor=self.world.divisor(),
            fund=self.world.fund.held(),
            at=self.venue.state()[6],
        )

    def now(self) -> int:
        """Return the chain's time."""
        return int(boa.env.timestamp)

    def trader(self, name: str, quote: float | str = 0, assets: float | str = 0) -> str:
        """Return a new account with that margin deposited (whole tokens)."""
        account = self.world.actor(name)
        if quote or assets:
            self.deposit(account, self.world.assets(assets), self.world.quotes(quote))
        return account

    def deposit(self, account: str, assets: int, quote: int) -> None:
        """Add margin, raw units."""
        self.venue.deposit(assets, quote, sender=account)
        self.model.deposit(account, assets, quote, self.now())
        self.check(account)

    def withdraw(self, account: str, assets: int, quote: int) -> None:
        """Take margin, raw units."""
        before = self.model.account(account)
        priced = before.size != 0 or before.quote < 0
        price = self.world.price() if priced else 0
        held = self.venue.reserves()[0]
        self.venue.withdraw(assets, quote, account, sender=account)
        self.model.withdraw(account, assets, quote, self.now(), price)
        self.model.pool_claim += max(0, quote - held)
        self.check(account)

    def trade(self, account: str, size: int) -> int:
        """Trade raw asset units at any price and return quote paid."""
        price = self.world.price()
        paid = self.world.trade_raw(account, size)
        assert paid == self.model.trade(account, size, self.now(), price)
        self.check(account)
        return paid

    def liquidate(self, account: str, by: str) -> Liquidated:
        """Liquidate and return what the model says happened."""
        price = self.world.price()
        size = self.venue.liquidate(account, sender=by)
        self.logs = self.venue.get_logs()
        done = self.model.liquidate(account, by, self.now(), price)
        assert size == done.size
        self.check(account)
        self.check(by)
        assert self.stored(self.world.pool.address)[2:] == self.words(self.model.stop)[2:]
        return done

    def settle(self) -> None:
        """Let anyone move tokens between venue and pool."""
        held, debt, _ = self.venue.reserves()
        claim = self.venue.state()[8]
        pool_quote = self.world.pool.holdings()[0]
        self.venue.settle()
        surplus = max(claim - debt, -pool_quote)
        self.model.pool_claim -= surplus
        self.model.pool_assets = 0
        assert self.venue.reserves()[0] == held - surplus
        self.check(None)

    def accrue(self) -> None:
        """Let anyone bring funding to this second."""
        self.venue.accrue()
        self.model.accrue(self.now(), self.world.price())
        self.check(None)

    # Comparison

    def model_now(self) -> Model:
        """Return the model as a settlement at this second would leave it."""
        model = deepcopy(self.model)
        model.accrue(self.now())
        return model

    @staticmethod
    def words(account: Account) -> tuple[int, ...]:
        """Return the model's account as the contract returns it."""
        return (account.assets, account.quote, account.size, account.entry, account.index)

    def stored(self, account: str) -> tuple[int, ...]:
        """Return the account as the contract stores it."""
        return tuple(self.venue.account(account))

    def check(self, account: str | None) -> None:
        """Compare one account and all sums."""
        model = self.model
        if account is not None:
            assert self.stored(account) == self.words(model.account(account))
        open_cost = sum(
            each.entry * model.divisor + abs(each.size) * (model.index(each.size) - each.index)
            for each in [*model.everybody(), model.stop]
        )
        assert tuple(self.venue.state()) == (
            model.longs,
            model.shorts,
            model.long_index,
            model.short_index,
            open_cost,
            model.price,
            model.at,
            model.mean,
            model.pool_claim,
            model.fund_claim,
        )
        _, debt, pool_assets = self.venue.reserves()
        assert (debt, pool_assets) == (model.debt(), model.pool_assets)

    def check_tokens(self) -> None:
        """Conservation, per token, to the unit."""
        world, model = self.world, self.model
        held = self.venue.reserves()[0]
        everybody = model.everybody()
        assert held == world.quote.balanceOf(self.venue.address)
        assert held == (sum(each.quote for each in everybody) + model.pool_claim + model.fund_claim)
        assert world.asset.balanceOf(self.venue.address) == (
            sum(each.assets for each in everybody) + model.pool_assets
        )
        quote, assets = world.pool.holdings()
        assert quote == world.quote.balanceOf(world.pool.address)
        assert assets == world.asset.balanceOf(world.pool.address)
        assert world.fund.held() == world.quote.balanceOf(world.fund.address)

    def check_value(self, price: int) -> None:
        """Accounts and pool, both at closing and both at the index, sum to what is held."""
        world, model = self.world, self.model_now()
        quote, assets = world.pool.holdings()
        tokens = quote + world.quote.balanceOf(self.venue.address) - model.fund_claim
        held = tokens * model.divisor + price * (assets + world.asset.balanceOf(self.venue.address))
        scale, skew = model.terms["skew_scale"], model.skew
        pool = (quote + self.venue.pool_value(price)) * model.divisor + assets * price
        closing = 0  # times divisor * 2L, exact
        for each in model.everybody():
            owed = abs(each.size) * (model.index(each.size) - each.index)
            closing += 2 * scale * (
                each.quote * model.divisor + each.assets * price - each.entry * model.divisor - owed
            ) + each.size * price * (2 * scale + skew)
        # The contract rounds three times, each time against the pool.
        missing = 2 * scale * (held - pool) - closing
        assert 0 <= missing < 3 * 2 * scale * model.divisor
