# SPDX-License-Identifier: MIT
"""
Traders, prices, time, liquidations and a provider at random, against the model.

Invariants after every step: tokens are conserved per token to the unit; value is conserved with
everybody at closing; nobody healthy is liquidated and everybody unhealthy can be; an account
without a position pays nothing. The share of refused calls is reported and kept under 20 %.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import boa
import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.venue_pair import Pair

TRADERS = ("alice", "bob", "carol", "dave")
calls: Counter[str] = Counter()
refused: Counter[str] = Counter()


class Market(RuleBasedStateMachine):
    """One venue of four traders, one of whom never trades."""

    asset_decimals = 18
    quote_decimals = 6

    @initialize(
        price=st.integers(50, 5_000),
        insurance=st.sampled_from([0, 20, 100_000]),
        first=st.lists(st.integers(5, 60), min_size=4, max_size=4),
        seed=st.integers(0, 2**32),
    )
    def open(self, price: int, insurance: int, first: list[int], seed: int) -> None:
        self.anchor = boa.env.anchor()
        self.anchor.__enter__()
        self.pair = Pair(
            self.asset_decimals,
            self.quote_decimals,
            price=price,
            liquidity=2_000 * price,
            insurance=insurance,
        )
        self.whole_price = price
        self.accounts = [self.pair.trader(name) for name in TRADERS]
        for i, size in enumerate(first):  # a market that is already there
            margin = size // 6 + 2
            self.deposit(i, margin, in_assets=i % 2 == 1)
            if size:
                self.pair.trade(self.accounts[i], self.pair.world.assets(size) * (-1) ** i)
        self.saver = self.pair.trader("saver", quote=1_000, assets=3)
        self.liquidator = self.pair.trader("liquidator")
        self.burst(seed)

    def teardown(self) -> None:
        if hasattr(self, "anchor"):
            self.anchor.__exit__(None, None, None)

    def attempt(self, name: str, call: Any) -> None:
        """Run the call; count it, and count it as refused when the contract refuses."""
        calls[name] += 1
        with boa.env.anchor():
            try:
                call(dry=True)
            except boa.BoaError as error:
                refused[name] += 1
                note(f"{name} refused: {str(error)[:80]}")
                return
        call(dry=False)

    def deposit(self, who: int, margin: int, in_assets: bool) -> None:
        world = self.pair.world
        calls["deposit"] += 1
        assets = world.assets(margin) if in_assets else 0
        quote = 0 if in_assets else world.quotes(margin * self.whole_price)
        self.pair.deposit(self.accounts[who], assets, quote)

    def trade(self, who: int, share: int) -> None:
        """Trade a share of what the account's equity carries at about eight times."""
        world, account = self.pair.world, self.accounts[who]
        price = world.price()
        margin = self.pair.venue.margin(account, price)
        equity = max(margin[4], 0)
        size = share * 8 * equity * self.pair.model.divisor // (100 * price)
        size = max(-world.assets(150), min(world.assets(150), size))
        if abs(size) < world.terms["min_size"]:
            return

        def call(dry: bool) -> None:
            world.trade_raw(account, size) if dry else self.pair.trade(account, size)

        self.attempt("trade", call)

    def close(self, who: int) -> None:
        account = self.accounts[who]
        size = self.pair.stored(account)[2]
        if not size:
            return

        def call(dry: bool) -> None:
            self.pair.world.trade_raw(account, -size) if dry else self.pair.trade(account, -size)

        self.attempt("close", call)

    def withdraw_assets(self, who: int, share: int) -> None:
        account, price = self.accounts[who], self.pair.world.price()
        calls["withdraw assets"] += 1
        assets = self.pair.venue.free_assets(account, price, 0) * share // 100
        if assets:  # what is called free must be
            self.pair.withdraw(account, assets, 0)

    def withdraw_quote(self, who: int, share: int) -> None:
        account, price = self.accounts[who], self.pair.world.price()
        margin = self.pair.venue.margin(account, price)
        quote = max(min(margin[4] - margin[5], margin[1]), 0) * share // 100
        if not quote:
            return

        def call(dry: bool) -> None:
            if dry:
                self.pair.venue.withdraw(0, quote, account, sender=account)
            else:
                self.pair.withdraw(account, 0, quote)

        self.attempt("withdraw quote", call)

    def price(self, change_bps: int) -> None:
        old = self.pair.world.price()
        new = max(old * (10_000 + change_bps) // 10_000, 10**18)
        self.pair.world.set_price(f"{new // 10**10 / 10**8:.6f}")

    def wait(self, seconds: int) -> None:
        self.pair.world.pass_time(seconds)

    def poke(self, to_pool: bool) -> None:
        """What anyone may do: move the clock, or tokens."""
        calls["poke"] += 1
        self.pair.settle() if to_pool else self.pair.accrue()

    def liquidate(self, who: int, check: bool) -> None:
        """Everybody unhealthy can be liquidated, and nobody else."""
        pair, account = self.pair, self.accounts[who]
        margin = pair.venue.margin(account, pair.world.price())
        if margin[4] >= margin[6]:
            assert not pair.venue.liquidation(account, pair.world.price())[0]
            if check:
                with boa.reverts("venue: account is healthy"):
                    pair.venue.liquidate(account, sender=self.liquidator)
            return
        calls["liquidate"] += 1
        before = pair.stored(account)[2]
        done = pair.liquidate(account, self.liquidator)
        assert abs(done.size) <= abs(before)
        assert not pair.venue.liquidation(account, pair.world.price())[0]

    def provide(self, share: int) -> None:
        """Provide a share of equity, or remove one (negative)."""
        pool, price = self.pair.world.pool, self.pair.world.price()
        equity = pool.equity(price)
        if equity <= 0 or pool.total_shares() == 0:
            return None
        if share < 0:
            return self.remove(-share)
        calls["provide"] += 1
        owner, quote, supply = self.pair.world.owner, equity * share // 100, pool.total_shares()
        pool.request_provide(quote, 0)
        self.pair.world.become_due()
        if (later := pool.equity(price)) <= 0:
            assert pool.cancel_provide() == quote
            return None
        assert pool.execute_provide(owner) == quote * supply // max(equity, later)
        assert pool.equity(price) == later + quote
        return None

    def remove(self, share: int) -> None:
        pool, owner = self.pair.world.pool, self.pair.world.owner
        shares = pool.total_shares() * share // 100

        def call(dry: bool) -> None:
            if not dry:
                self.pair.settle()
            pool.execute_remove(owner)

        pool.request_remove(shares, 0, owner)
        self.pair.world.become_due()
        self.attempt("remove", call)
        if pool.removal_of(owner)[0]:
            assert pool.cancel_remove() == shares

    # One rule for all, in bursts: Hypothesis switches whole rules off in most of its runs and
    # makes its first ten examples tiny; a market in which nobody trades and nothing happens to
    # the price finds nothing. What a burst does follows from its seed.
    @rule(seed=st.integers(0, 2**32))
    def burst(self, seed: int) -> None:
        random = Random(seed)
        for _ in range(20):
            kind = random.choice("TTTTTDCWQPPPPLLLLKSV")
            self.act(kind, random.randrange(4), random.randint(1, 100), random.random() < 0.5)
            self.pair.check_tokens()
            self.pair.check_value(self.pair.world.price())

    def act(self, kind: str, who: int, amount: int, negative: bool) -> None:
        signed = -amount if negative else amount
        actions = {
            "T": lambda: self.trade(who, signed),
            "D": lambda: self.deposit(who, 1 + amount // 20, negative),
            "C": lambda: self.close(who),
            "W": lambda: self.withdraw_assets(who, amount),
            "Q": lambda: self.withdraw_quote(who, amount * 3 // 5 + 1),
            "P": lambda: self.price(10 * signed),
            "L": lambda: [self.liquidate(i, i == who and amount < 20) for i in range(4)],
            "K": lambda: self.poke(negative),
            "S": lambda: self.wait(amount * amount * 20),
            "V": lambda: self.provide(-(amount // 7) - 1 if negative else amount * 2 // 5 + 1),
        }
        actions[kind]()

    @invariant()
    def tokens_are_conserved(self) -> None:
        if hasattr(self, "pair"):
            self.pair.check_tokens()

    @invariant()
    def value_is_conserved(self) -> None:
        if hasattr(self, "pair"):
            self.pair.check_value(self.pair.world.price())

    @invariant()
    def positions_are_bounded(self) -> None:
        if not hasattr(self, "pair"):
            return
        model, terms = self.pair.model, self.pair.world.terms
        assert max(model.longs, model.shorts) <= terms["max_side"]
        for each in model.everybody():
            assert each.size == 0 or abs(each.size) >= terms["min_size"]

    @invariant()
    def saver_never_pays(self) -> None:
        if hasattr(self, "pair"):
            world = self.pair.world
            assert self.pair.stored(self.saver)[:2] == (world.assets(3), world.quotes(1_000))


class SmallUnits(Market):
    """The same with an asset of 8 and a quote of 18 decimals."""

    asset_decimals = 8
    quote_decimals = 18


QUICK = settings(max_examples=12, stateful_step_count=3)
TestMarket = Market.TestCase
TestMarket.settings = QUICK
TestSmallUnits = SmallUnits.TestCase
TestSmallUnits.settings = QUICK


@pytest.fixture(scope="module", autouse=True)
def _report() -> Any:
    yield
    total, no = sum(calls.values()), sum(refused.values())
    share = f"{no} refused ({no / max(total, 1):.1%})"
    print(f"\n{total} calls, {share}: {dict(refused)} of {dict(calls)}")
    assert no <= total // 5
