# SPDX-License-Identifier: MIT
"""
A vault's ledger and what plans do to it (`HedgeVault.vy`, `HedgeBook.vy`).

Holdings are idle assets, idle quote and the accounts at the venues, which are kept there under
the book's address. A plan that is refused, by vault, book, guard, venue, oracle or spot market,
changes nothing: it is tried on a copy first, as a keeper simulates before he sends. Shares, the
queue and the audit chain are not modelled; what enters is said by `credit`.
Raw asset and quote units, prices WAD, time `at` in Unix seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

from keeper.plan import MAX_LEGS, Leg, Plan
from keeper.simulation.reference.book_record import Left, Sight, sight
from keeper.simulation.reference.hedge_guard import (
    BP_WAD,
    Buckets,
    Carried,
    Position,
    due,
    judge,
    position,
    used,
)
from keeper.simulation.reference.oracle import Price
from keeper.simulation.reference.reverted import Reverted, require
from keeper.simulation.reference.spot_market import SpotMarket
from keeper.simulation.reference.venue import Venue
from keeper.snapshot import Address, Limits, State, VaultSnapshot, VenueSnapshot
from keeper.units import (
    DAY_SECS,
    Assets,
    Bps,
    Quote,
    Wad,
    mul_div_down,
    mul_div_up,
    positive_part,
    price_divisor,
)

MAX_AMOUNT: Final = 2**112
MAX_PRICE_WAD: Final = 10**30
MAX_IDLE_QUOTE: Final = 2**96
RATIO_STEP_BPS: Final = 2_500  # in a day


class CheckedOracle(Protocol):
    """Whatever answers with a price or says why there is none."""

    def read(self, *, at: int) -> Price:
        """Return the price at this second or raise `Reverted`."""

    def try_read(self, *, at: int) -> tuple[bool, Price, str]:
        """Return whether the price may be used, the price as far as there is one, the reason."""


class Registered(NamedTuple):
    """A venue of the book."""

    venue: Venue
    allotment_bps: int


class Fallback(NamedTuple):
    """When anyone may do the keeper's work, and for how much (`IHedgeBook.Fallback`)."""

    grace_secs: int
    ramp_secs: int
    max_reward: int  # asset units


NO_REWARD: Final = Fallback(DAY_SECS, DAY_SECS, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a snapshot says of a vault that no plan moves."""

    vault: Address = Address("0x" + "a" * 40)
    book: Address = Address("0x" + "b" * 40)
    asset: Address = Address("0x" + "c" * 40)
    quote: Address = Address("0x" + "d" * 40)
    oracle: Address = Address("0x" + "e" * 40)
    spot: Address = Address("0x" + "f" * 40)
    owner: Address = Address("0x" + "1" * 40)
    keeper: Address = Address("0x" + "2" * 40)
    guardian: Address = Address("0x" + "3" * 40)
    asset_decimals: int = 18
    quote_decimals: int = 6
    base_charge_bps: int = 0
    hedge_ratio_bps: int = 10_000
    min_hedge_ratio_bps: int = 0
    max_hedge_ratio_bps: int = 12_000
    hedge_ratio_set_at: int = 0


class HedgeVault:
    """
    Vault and book, empty.

    Parameters
    ----------
    identity : Identity
        Addresses, decimals and the target.
    oracle : CheckedOracle
        The one that the venues read.
    spot : SpotMarket
        Where quote profit and debt are settled.
    venues : sequence of Registered
        Known by their addresses.
    limits : Limits
        The guard's.
    fallback : Fallback
        Terms of who comes in the keeper's place.
    at : int
        When the venues were registered.
    """

    def __init__(
        self,
        identity: Identity,
        oracle: CheckedOracle,
        spot: SpotMarket,
        venues: Sequence[Registered],
        limits: Limits,
        fallback: Fallback = NO_REWARD,
        *,
        at: int = DAY_SECS,
    ) -> None:
        self.identity = identity
        self.fallback = fallback
        self.oracle = oracle
        self.spot = spot
        self.venues = tuple(venues)
        self.limits = limits
        self.price_divisor = price_divisor(identity.asset_decimals, identity.quote_decimals)
        self.idle_assets = 0
        self.idle_quote = 0
        self.nonce = 0
        self.rebalanced_at = 0
        self.paused_until = 0
        self.buckets = Buckets()
        self.last_price_wad = 0
        self.last_price_at = 0
        self.flagged_at = 0
        self.unwinds = False
        self.unsettled = False  # exits in kind (`exit_in_kind.py`)
        self.left = [Left(noted_at=at - DAY_SECS) for _ in self.venues]

    def credit(self, assets: int, *, at: int) -> None:
        """Count assets that a depositor paid in; an entry stores the price."""
        require(not self.unsettled, "vault: exits in kind unsettled")
        price_wad = self.oracle.read(at=at).price_wad
        if self.flagged_at and not due(self.position(price_wad, at=at), self.limits):
            self.flagged_at = 0
        self._see(price_wad, at)
        self.idle_assets += assets

    def set_hedge_ratio(self, ratio_bps: int, *, at: int) -> None:
        """Set the target as the owner does; the base charge is taken to cover it."""
        own = self.identity
        elapsed = min(at - own.hedge_ratio_set_at, DAY_SECS)
        step = abs(ratio_bps - own.hedge_ratio_bps)
        allowed = mul_div_down(RATIO_STEP_BPS, elapsed, DAY_SECS)
        require(step <= allowed, "book: ratio changed too fast")
        require(ratio_bps >= own.min_hedge_ratio_bps, "book: ratio under its bound")
        require(ratio_bps <= own.max_hedge_ratio_bps, "book: ratio over its bound")
        self.identity = replace(own, hedge_ratio_bps=ratio_bps, hedge_ratio_set_at=at)

    def rebalance(self, plan: Plan, *, at: int) -> Position:
        """
        Carry out a plan, if its result is within the limits, and return the position after it.

        Raises
        ------
        Reverted
            With the reason of the contract that refuses; nothing has changed then.
        """
        require(plan.nonce == self.nonce, "book: wrong nonce")
        require(at <= plan.deadline, "book: deadline passed")
        return self._tried(plan, at)

    def flag(self, *, at: int) -> int:
        """Say whether the keeper is late, note what is at the venues, return since when he is."""
        price_wad = self.oracle.read(at=at).price_wad
        sights = self._sights(price_wad, self.left, at)
        position = self._position(sights, price_wad)
        inside = position.drift_wad <= self.limits.inner_band_bps * BP_WAD
        for i, seen in enumerate(sights):
            if not seen.short and (inside or not seen.lost):
                self.left[i] = seen.noted(price_wad, self.price_divisor)
        late = due(position, self.limits)
        self.flagged_at = (self.flagged_at or at) if late else 0
        self._see(price_wad, at)
        return self.flagged_at

    def fall_back(self, leg: Leg, reward: int, *, at: int) -> Position:
        """
        Carry out one leg in the keeper's place, for `reward` asset units.

        Raises
        ------
        Reverted
            As `rebalance`, and where the keeper is not late by the grace period.
        """
        require(self.flagged_at != 0, "book: not flagged")
        ready_at = self.flagged_at + self.fallback.grace_secs
        require(at >= ready_at, "book: the keeper has time left")
        elapsed = min(at - ready_at, self.fallback.ramp_secs)
        most = mul_div_down(self.fallback.max_reward, elapsed, self.fallback.ramp_secs)
        require(reward <= most, "book: reward too high")
        takes = leg.margin_assets < 0 or leg.margin_quote < 0
        require(self.unwinds or not takes, "book: fallback takes no margin")
        plan = Plan(nonce=self.nonce, deadline=at, decision_id=bytes(32), legs=(leg,))
        return self._tried(plan, at, open_to_all=True, reward=reward)

    def start_unwind(self, *, at: int) -> None:
        """Make no hedge the target, for good."""
        require(not self.unwinds, "book: unwinding already")
        self.unwinds = True
        self.identity = replace(
            self.identity,
            hedge_ratio_bps=0,
            min_hedge_ratio_bps=0,
            max_hedge_ratio_bps=0,
            hedge_ratio_set_at=at,
        )

    def position(self, price_wad: int, *, at: int) -> Position:
        """Return what the vault owns at a price, funding accrued to the second."""
        return self._position(self._sights(price_wad, self.left, at), price_wad)

    def _sights(self, price_wad: int, left: Sequence[Left], at: int) -> list[Sight]:
        book = self.identity.book
        return [
            sight(
                known.venue.margin(book, price_wad, at=at),
                record,
                price_wad,
                self.last_price_wad,
                self.price_divisor,
                at=at,
            )
            for known, record in zip(self.venues, left, strict=True)
        ]

    def _position(self, sights: Sequence[Sight], price_wad: int) -> Position:
        idle = self.idle_assets, self.idle_quote
        ratio_bps = self.identity.hedge_ratio_bps
        return position(sights, idle, ratio_bps, price_wad, self.price_divisor)

    # Carrying it out

    def _tried(
        self, plan: Plan, at: int, *, open_to_all: bool = False, reward: int = 0
    ) -> Position:
        """Carry it out on a copy first: what is refused has changed nothing."""
        try:
            deepcopy(self)._carry_out(plan, at, open_to_all, reward)
        except (OverflowError, ZeroDivisionError) as failed:
            raise Reverted from failed
        return self._carry_out(plan, at, open_to_all, reward)

    def _carry_out(self, plan: Plan, at: int, open_to_all: bool, reward: int) -> Position:
        price_wad = self.oracle.read(at=at).price_wad
        index = self._venue_index(plan)
        require(not self.unsettled, "vault: exits in kind unsettled")
        sights = self._sights(price_wad, self.left, at)
        before = self._position(sights, price_wad)
        require(not open_to_all or due(before, self.limits), "book: nothing is urgent")
        lost = {i for i, seen in enumerate(sights) if seen.lost}
        left = list(self.left)
        for i in lost | set(index):
            left[i] = sights[i].noted(price_wad, self.price_divisor)
        costs, spot_quote = self._execute(plan, index, at)
        for i, leg in zip(index, plan.legs, strict=True):
            orders = leg.margin_assets, leg.margin_quote, leg.size
            left[i] = left[i].after_order(*orders, price_wad, self.price_divisor)
        self._release(reward)
        sights = self._sights(price_wad, left, at)
        after = self._position(sights, price_wad)
        carried = Carried(
            venue_index=index,
            costs=costs,
            spot_quote=spot_quote,
            allotments_bps=tuple(known.allotment_bps for known in self.venues),
            rebalanced_at=self.rebalanced_at,
            paused_until=self.paused_until,
            buckets=self.buckets,
            lost=bool(lost),
            unwinds=self.unwinds,
            open_to_all=open_to_all,
            reward=before.value_up(reward),
        )
        traded, self.buckets = judge(plan, before, after, carried, self.limits, at=at)
        for i in lost | set(index):
            self.left[i] = sights[i].noted(price_wad, self.price_divisor)
        self.nonce += 1
        if traded:
            self.rebalanced_at = at
        late = due(after, self.limits)
        rewarded = traded or reward == 0 or not late
        require(rewarded, "book: margin still under its floor")
        self.flagged_at = (at if open_to_all else self.flagged_at) if late else 0
        self._see(price_wad, at)
        return after

    def _venue_index(self, plan: Plan) -> tuple[int, ...]:
        """Return which venue each leg is for; refuse amounts that no sum could hold."""
        if len(plan.legs) > MAX_LEGS:
            raise Reverted
        require(abs(plan.spot_assets) <= MAX_AMOUNT, "book: amount too large")
        require(plan.spot_limit_price_wad <= MAX_PRICE_WAD, "book: spot limit too large")
        known = {each.venue.address: i for i, each in enumerate(self.venues)}
        index = []
        for leg in plan.legs:
            most = max(abs(leg.margin_assets), abs(leg.margin_quote), abs(leg.size))
            require(most <= MAX_AMOUNT, "book: amount too large")
            require(leg.venue in known, "book: unknown venue")
            index.append(known[leg.venue])
        return tuple(index)

    def _execute(self, plan: Plan, index: tuple[int, ...], at: int) -> tuple[tuple[int, ...], int]:
        """Run the legs, the spot trade after `spot_after` of them; return what they paid."""
        placed, spot_quote = min(plan.spot_after, len(plan.legs)), 0
        costs = []
        for n in range(len(plan.legs) + 1):
            if n == placed and plan.spot_assets != 0:
                spot_quote = self._trade_spot(plan)
            if n < len(plan.legs):
                costs.append(self._run_leg(plan.legs[n], self.venues[index[n]].venue, at))
        return tuple(costs), spot_quote

    def _run_leg(self, leg: Leg, venue: Venue, at: int) -> int:
        """Move margin in, trade, move margin out; return quote paid for the trade."""
        book, cost = self.identity.book, 0
        assets, quote = positive_part(leg.margin_assets), positive_part(leg.margin_quote)
        self._release(assets)
        self._spend_quote(quote)
        if assets or quote:
            venue.deposit(book, assets, quote, at=at)
        if leg.size:
            cost = venue.trade(book, leg.instrument, leg.size, leg.limit_price_wad, at=at)
        assets, quote = positive_part(-leg.margin_assets), positive_part(-leg.margin_quote)
        if assets:
            venue.withdraw(book, assets, 0, receiver=self.identity.vault, at=at)
            self.idle_assets += assets
        if quote:
            venue.withdraw(book, 0, quote, receiver=book, at=at)
            self._receive_quote(quote)
        return cost

    def _trade_spot(self, plan: Plan) -> int:
        """Return quote received."""
        assets, limit = abs(plan.spot_assets), plan.spot_limit_price_wad
        if plan.spot_assets > 0:
            paid = self.spot.quote_buy(assets)
            most = mul_div_down(assets, limit, self.price_divisor)
            require(paid <= most, "book: spot limit price")
            self._spend_quote(paid)
            self.spot.buy(assets, paid)
            self.idle_assets += assets
            return -paid
        self._release(assets)
        received = self.spot.sell(assets, mul_div_up(assets, limit, self.price_divisor))
        self._receive_quote(received)
        return received

    def _release(self, assets: int) -> None:
        require(assets <= self.idle_assets, "vault: not enough idle assets")
        self.idle_assets -= assets

    def _spend_quote(self, quote: int) -> None:
        require(quote <= self.idle_quote, "book: not enough idle quote")
        self.idle_quote -= quote

    def _receive_quote(self, quote: int) -> None:
        require(self.idle_quote + quote < MAX_IDLE_QUOTE, "book: quote over its bound")
        self.idle_quote += quote

    def _see(self, price_wad: int, at: int) -> None:
        self.last_price_wad, self.last_price_at = price_wad, at

    # What the lens shows

    def snapshot(self, *, at: int) -> VaultSnapshot:
        """Return what `VaultLens` answers; supply and audit head are left zero."""
        own, limits = self.identity, self.limits
        ok, price, reason = self.oracle.try_read(at=at)
        price_wad, updated_at = price.price_wad, price.updated_at
        if price_wad == 0:
            price_wad, updated_at = self.last_price_wad, self.last_price_at
        assets, quote = self.spot.reserves()
        return VaultSnapshot(
            vault=own.vault,
            book=own.book,
            asset=own.asset,
            quote=own.quote,
            oracle=own.oracle,
            spot=own.spot,
            asset_decimals=own.asset_decimals,
            quote_decimals=own.quote_decimals,
            owner=own.owner,
            keeper=own.keeper,
            guardian=own.guardian,
            price_ok=ok,
            price_wad=Wad(price_wad),
            price_updated_at=updated_at,
            price_round_id=price.round_id,
            price_reason=reason,
            total_supply=0,
            idle_assets=Assets(self.idle_assets),
            entry_paused_until=0,
            base_charge_bps=Bps(own.base_charge_bps),
            spot_assets=Assets(assets),
            spot_quote=Quote(quote),
            spot_fee_wad=Wad(self.spot.fee_wad),
            state=self._state(price_wad if ok else self.last_price_wad, at),
            limits=limits,
            venues=self._venues(price_wad, at),
        )

    def _state(self, price_wad: int, at: int) -> State:
        nav = self.position(price_wad, at=at).nav if price_wad else 0
        cost, turnover, neutral = used(
            self.buckets, nav, price_wad, self.price_divisor, self.limits, at=at
        )
        own = self.identity
        return State(
            nonce=self.nonce,
            audit_head=bytes(32),
            hedge_ratio_bps=Bps(own.hedge_ratio_bps),
            min_hedge_ratio_bps=Bps(own.min_hedge_ratio_bps),
            max_hedge_ratio_bps=Bps(own.max_hedge_ratio_bps),
            hedge_ratio_set_at=own.hedge_ratio_set_at,
            idle_quote=Quote(self.idle_quote),
            cost_used=Quote(cost),
            turnover_used=Quote(turnover),
            neutral_turnover_used=Quote(neutral),
            rebalanced_at=self.rebalanced_at,
            paused_until=self.paused_until,
            last_price_wad=Wad(self.last_price_wad),
            last_price_at=self.last_price_at,
            flagged_at=self.flagged_at,
            unwinds=self.unwinds,
        )

    def _venues(self, price_wad: int, at: int) -> tuple[VenueSnapshot, ...]:
        sights = self._sights(price_wad, self.left, at)
        return tuple(
            VenueSnapshot(
                venue=Address(known.venue.address),
                allotment_bps=Bps(known.allotment_bps),
                answers=True,
                lost=seen.lost,
                value=Quote(seen.value),
                margin=seen.margin,
                market=known.venue.market(price_wad, at=at),
            )
            for known, seen in zip(self.venues, sights, strict=True)
        )
