# SPDX-License-Identifier: MIT
"""
A vault over two venues, on chain and as the reference model: every call goes to both.

After each call the reason of a refusal and the whole snapshot of the lens must be the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import boa

from keeper.plan import Leg, Plan
from keeper.simulation.reference import (
    Feed,
    InsuranceFund,
    LiquidityPool,
    PriceOracle,
    Reverted,
    Source,
    SpotMarket,
    Terms,
    Venue,
)
from keeper.simulation.reference.exit_in_kind import ExitInKind
from keeper.simulation.reference.hedge_vault import Fallback, HedgeVault, Identity, Registered
from keeper.snapshot import (
    Address,
    Limits,
    Margin,
    Market,
    State,
    VaultSnapshot,
    VenueSnapshot,
)
from tests import market_world
from tests.reference_world import outcome, reason_of
from tests.vault_world import EXIT_DELAY, FALLBACK, LIMIT_NAMES, vault_world
from tests.venue_world import FEED_UNIT, POOL_DELAY, POOL_WINDOW, deploy_pool, deploy_venue

PRICE, DEPOSIT, LIQUIDITY, SPOT_FEE_WAD, SPOT_DEPTH = 1_000, 100, 10_000_000, 10**15, 100_000
ALLOTMENTS_BPS = 6_000, 3_000


class VaultTwins:
    """The vault of `vault_world` and a second venue like the first, twice."""

    def __init__(self) -> None:
        self.world = vault_world(price=PRICE, liquidity=LIQUIDITY, allotment_bps=ALLOTMENTS_BPS[0])
        self.second = self._second_venue()
        self.venues = [self.world.venue, self.second]
        self.trader = self.world.base.actor("trader")
        for venue in self.venues:
            for token in (self.world.asset, self.world.quote):
                token.approve(venue.address, market_world.MAX_UINT, sender=self.trader)
            venue.deposit(0, self.world.quotes(10**9), sender=self.trader)
        self.deployed_at = self.now
        self._build()
        self.depositor = self.world.depositor("depositor")
        self.deposit(self.world.assets(DEPOSIT))
        self.compare()
        self._start = deepcopy(self._model())

    def restart(self) -> None:
        """Let the model be as it was when the chain was deployed and nothing hedged."""
        parts = deepcopy(self._start)
        self.vault, self.oracle, self.asset_feed, self.quote_feed, self.exit = parts
        self.refused.clear()

    def _model(self) -> tuple[Any, ...]:
        return self.vault, self.oracle, self.asset_feed, self.quote_feed, self.exit

    def _second_venue(self) -> Any:
        base = self.world.base
        pool = deploy_pool(base.asset, base.quote, base.oracle)
        parts = (base.asset, base.quote, base.oracle, pool, base.fund)
        venue = deploy_venue(parts, base.terms)
        pool.set_venue(venue.address)
        base.fund.register(venue.address, market_world.MAX_UINT)
        base.quote.approve(pool.address, market_world.MAX_UINT)
        pool.request_provide(self.world.quotes(LIQUIDITY), 0)
        pool.execute_provide(base.owner)
        self.world.book.add_venue(venue.address, ALLOTMENTS_BPS[1])
        return venue

    @property
    def now(self) -> int:
        return int(boa.env.timestamp)

    def _build(self) -> None:
        """Build the model of the chain, with nothing in the vault."""
        world, at = self.world, self.now
        self.asset_feed = Feed(8, PRICE * FEED_UNIT, at=at)
        self.quote_feed = Feed(8, FEED_UNIT, at=at)
        self.oracle = PriceOracle(
            Source(self.asset_feed, market_world.ASSET_MAX_AGE, 50),
            Source(self.quote_feed, market_world.QUOTE_MAX_AGE, 25),
            market_world.MAX_DEVIATION_BPS,
        )
        fund = InsuranceFund(lower(world.base.fund), world.base.owner)
        spot = SpotMarket(SPOT_FEE_WAD)
        spot.seed("owner", *world.spot.reserves())
        registered = [
            Registered(self._venue(venue, fund), share)
            for venue, share in zip(self.venues, ALLOTMENTS_BPS, strict=True)
        ]
        limits = Limits(**{name: world.limits[name] for name in LIMIT_NAMES})
        state = world.state()
        identity = Identity(
            vault=lower(world.vault),
            book=lower(world.book),
            asset=lower(world.asset),
            quote=lower(world.quote),
            oracle=lower(world.base.oracle),
            spot=lower(world.spot),
            owner=Address(world.base.owner.lower()),
            keeper=Address(world.keeper.lower()),
            guardian=Address(world.guardian.lower()),
            base_charge_bps=90,
            hedge_ratio_set_at=state["hedge_ratio_set_at"],
        )
        self.vault = HedgeVault(
            identity,
            self.oracle,
            spot,
            registered,
            limits,
            Fallback(*FALLBACK),
            at=self.deployed_at,
        )
        self.exit = ExitInKind(
            vault=self.vault,
            delay=EXIT_DELAY,
            min_supply=world.vault.MIN_SUPPLY(),
        )
        self.publish(PRICE * FEED_UNIT)
        self.refused: Counter[str] = Counter()

    def _venue(self, contract: Any, fund: InsuranceFund) -> Venue:
        world, owner, at = self.world, self.world.base.owner, self.deployed_at
        pool = LiquidityPool(
            self.oracle, world.base.divisor(), contract.POOL().lower(), owner,
            min_delay=POOL_DELAY, window=POOL_WINDOW, min_holding=10**6,
        )  # fmt: skip
        terms = Terms(**world.base.terms)
        venue = Venue(terms, self.oracle, pool, fund, at=at, address=lower(contract))
        pool.set_venue(owner, venue)
        fund.register(owner, venue, market_world.MAX_UINT)
        pool.request_provide(owner, world.quotes(LIQUIDITY), at=at)
        pool.execute_provide(owner, at=at)
        venue.deposit(self.trader.lower(), 0, world.quotes(10**9), at=at)
        return venue

    # What moves both

    def publish(self, asset: int) -> None:
        self.world.base.asset_feed.set_answer(asset)
        self.world.base.quote_feed.set_answer(FEED_UNIT)
        self.asset_feed.set_answer(asset, at=self.now)
        self.quote_feed.set_answer(FEED_UNIT, at=self.now)

    def wait(self, seconds: int) -> None:
        boa.env.time_travel(seconds=seconds)

    def deposit(self, assets: int) -> None:
        assets = min(assets, self.world.vault.maxDeposit(self.depositor))
        if assets < self.world.assets(1):
            return
        self.world.vault.deposit(assets, self.depositor, sender=self.depositor)
        self.vault.credit(assets, at=self.now)
        self.exit.supply = self.world.vault.totalSupply()

    def pause(self, seconds: int) -> None:
        self.world.book.pause_rebalancing(seconds, sender=self.world.guardian)
        self.vault.paused_until = self.now + seconds

    def trade(self, n: int, size: int) -> None:
        """Let the trader trade at the n-th venue; both sides accept or refuse."""
        limit = market_world.MAX_UINT if size > 0 else 0
        chain, model = self.venues[n], self.vault.venues[n].venue
        on_chain = refusal_on_chain(lambda: chain.trade(0, size, limit, sender=self.trader))
        in_model = refusal_in_model(
            lambda: model.trade(self.trader.lower(), 0, size, limit, at=self.now)
        )
        assert on_chain == in_model

    def rebalance(self, plan: Plan) -> str | None:
        """Send the plan to both, compare, and return why it was refused."""
        legs = [leg.words() for leg in plan.legs]
        words = (*plan.words()[:3], legs, *plan.words()[4:])
        return self._both(
            lambda: self.world.book.rebalance(words, sender=self.world.keeper),
            lambda: self.vault.rebalance(plan, at=self.now),
        )

    def flag(self) -> None:
        """Let anybody flag on both."""
        self._both(
            lambda: self.world.book.flag(sender=self.trader), lambda: self.vault.flag(at=self.now)
        )

    def fall_back(self, leg: Leg, reward: int) -> str | None:
        """Let the trader come in the keeper's place on both, and return why he was refused."""
        chain = lambda: self.world.book.fall_back(  # noqa: E731
            leg.words(), reward, self.trader, sender=self.trader
        )
        return self._both(chain, lambda: self.vault.fall_back(leg, reward, at=self.now))

    def unwind(self) -> None:
        """Let the guardian start the unwinding of both."""
        self.world.book.start_unwind(sender=self.world.guardian)
        self.vault.start_unwind(at=self.now)

    def liquidate(self, n: int) -> None:
        """Let the trader liquidate the book at the n-th venue, if it can be."""
        chain, model = self.venues[n], self.vault.venues[n].venue
        self._both(
            lambda: chain.liquidate(self.world.book.address, sender=self.trader),
            lambda: model.liquidate(self.trader.lower(), lower(self.world.book), at=self.now),
        )

    def outage(self) -> None:
        """Let the asset's feed answer zero on both."""
        self.world.break_oracle()
        self.asset_feed.set_answer(0, at=self.now)

    def announce(self) -> str | None:
        """Let the trader say that there is no price."""
        return self._both(
            lambda: self.world.exit.announce(sender=self.trader),
            lambda: self.exit.announce(at=self.now),
        )

    def retract(self) -> str | None:
        """Let the trader say that there is one again."""
        return self._both(
            lambda: self.world.exit.retract(sender=self.trader),
            lambda: self.exit.retract(at=self.now),
        )

    def leave_in_kind(self, shares: int) -> str | None:
        """Let the depositor leave with so many shares, for the same from both."""
        paid: list[Any] = []
        chain = lambda: paid.append(  # noqa: E731
            self.world.leave_in_kind(self.depositor, shares)
        )
        return self._both(chain, lambda: paid.append(self.exit.exit(shares, at=self.now)), paid)

    def settle(self) -> str | None:
        """Let the trader settle exits in kind on both."""
        return self._both(
            lambda: self.world.exit.settle(sender=self.trader),
            lambda: self.exit.settle(at=self.now),
        )

    def redeem_claims(self, number: int, claims: int) -> str | None:
        """Let the depositor redeem claims, for the same from both."""
        got: list[Any] = []
        chain = lambda: got.append(  # noqa: E731
            self.world.exit.redeem(number, claims, self.depositor, sender=self.depositor)
        )
        return self._both(chain, lambda: got.append(self.exit.redeem(number, claims)), got)

    def _both(
        self, chain: Callable[[], Any], model: Callable[[], Any], gave: list[Any] | None = None
    ) -> str | None:
        on_chain, in_model = refusal_on_chain(chain), refusal_in_model(model)
        assert on_chain == in_model, f"the chain says {on_chain!r}, the model {in_model!r}"
        assert not gave or gave[0] == gave[1]
        self.compare()
        if on_chain is not None:
            self.refused[on_chain] += 1
        return on_chain

    def plan(self, *legs: Leg, **fields: Any) -> Plan:
        """Return a plan that is valid in what is left out."""
        given: dict[str, Any] = {
            "nonce": self.vault.nonce,
            "deadline": self.now + 60,
            "decision_id": b"\x11" * 32,
        }
        return Plan(legs=legs, **(given | fields))

    def leg(self, n: int, size: int = 0, assets: int = 0, quote: int = 0) -> Leg:
        """Return a leg at the n-th venue at any price."""
        return Leg(
            venue=Address(self.vault.venues[n].venue.address),
            size=size,
            margin_assets=assets,
            margin_quote=quote,
            limit_price_wad=market_world.MAX_UINT if size > 0 else 0,
        )

    def compare(self) -> None:
        seen, ours = on_chain(self.world), self.vault.snapshot(at=self.now)
        same = replace(
            seen, total_supply=0, state=replace(seen.state, audit_head=bytes(32)), venues=()
        )
        assert same == replace(ours, venues=())
        assert seen.venues == ours.venues
        self._compare_exits()

    def _compare_exits(self) -> None:
        chain, model = self.world.exit, self.exit
        assert chain.hollow_shares() == model.hollow
        assert chain.announced_at() == model.announced_at
        assert chain.round() == len(model.rounds)
        assert [tuple(chain.round_of(n)) for n in range(chain.round())] == model.rounds
        assert self.world.vault.totalSupply() == model.supply
        assert chain.balanceOf(self.depositor, chain.round()) == model.hollow
        escrow = model.hollow + sum(left.shares for left in model.rounds)
        assert self.world.vault.balanceOf(chain.address) == escrow


def refusal_on_chain(call: Callable[[], Any]) -> str | None:
    """Return why the chain refuses a call, None if it does not."""
    error = outcome(call, boa.BoaError)[1]
    return None if error is None else reason_of(error)


def refusal_in_model(call: Callable[[], Any]) -> str | None:
    """Return why the model refuses a call, None if it does not."""
    error = outcome(call, Reverted)[1]
    return None if error is None else error.reason


def lower(contract: Any) -> Address:
    return Address(str(contract.address).lower())


def on_chain(world: Any) -> VaultSnapshot:
    """Return what the lens says, as the keeper's records."""
    one = world.lens.snapshots([world.vault.address])[2][0]._asdict()
    count = one.pop("venue_count")
    venues = tuple(
        VenueSnapshot(
            venue=Address(each.venue.lower()),
            allotment_bps=each.allotment_bps,
            answers=each.answers,
            lost=each.lost,
            value=each.value,
            margin=Margin(**each.margin._asdict()),
            market=Market(**each.market._asdict()),
        )
        for each in one.pop("venues")[:count]
    )
    return VaultSnapshot(
        **{k: v.lower() if isinstance(v, str) else v for k, v in one.items()}
        | {
            "state": State(**one["state"]._asdict()),
            "limits": Limits(**one["limits"]._asdict()),
            "price_reason": one["price_reason"].rstrip(b"\0").decode(),
            "venues": venues,
        }
    )
