# SPDX-License-Identifier: MIT
"""
The exact engine: the live decision on the reference model, hour by hour.

At each close the market moves, then the keeper looks: snapshot, `decide`, `objection`, and, if a
plan is worth sending, `rebalance` some seconds later. After a plan he looks again within the hour
until nothing is wanted, as a keeper that ticks would. Every number that decides anything is an
integer of the chain; floats are what is written down about it.

Accounting, raw quote units, over each hour and in sum, exact but for the flooring of values:

    NAV after - NAV before = exposure + funding - trading - spot - losses

exposure is what the price did to the unhedged amount, funding what the position received less
interest on a balance below zero, trading what fills cost over the index in impact and fees, spot
the same at the spot pool, losses what liquidations took. Gas is the keeper's and stands beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keeper.guard import Safety, Spent, objection
from keeper.margins import headroom_bps, raised_bps
from keeper.outlook import observed
from keeper.plan import Plan
from keeper.policy import Memory, Policy
from keeper.ratio import reachable_bps, wanted_bps
from keeper.simulation.backtest.defaults import Setup, without_funding
from keeper.simulation.backtest.defaults import setup as default_setup
from keeper.simulation.backtest.quiet import watch
from keeper.simulation.backtest.world import SingleFeed, World, between
from keeper.simulation.market import HOUR_SECS, MarketHour
from keeper.simulation.reference import Reverted
from keeper.simulation.reference.hedge_guard import Position
from keeper.snapshot import Block, Margin, Snapshot
from keeper.strategy import Rebalance, decide
from keeper.units import BPS, DAY_SECS, WAD, div_floor

Floats = NDArray[np.float64]

BLOCK_SECS: Final = 12
TICKS: Final = 6  # looks within one hour, a cooldown apart
UNLIMITED: Final = Safety(
    max_reverts_in_row=2**31, max_sends_an_hour=2**31, max_gas_a_day=2**63, max_spend_a_day=2**127,
    max_turnover_an_hour_bps=2**31,
)  # fmt: skip
# Gas of a rebalance by what it does; a test holds it against `tests/gas_snapshot.json`.
GAS_PLAIN: Final = 339_139
GAS_MARGIN: Final = 369_930
GAS_SPOT: Final = 397_876


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    How the keeper runs, and what befalls him and the vault.

    Parameters
    ----------
    latency_blocks : int
        From the decision's block to the plan's, 12 s each.
    moving : bool
        Whether prices move on the way to the next close before a late plan arrives; otherwise
        they stand until then.
    max_gas_gwei : float
        Over it only urgent plans are sent.
    outages : tuple of (int, int)
        Unix seconds from and to which the keeper is down.
    cuts : tuple of (int, float)
        Closes at which a share of the position is deleveraged.
    advised : bool
        Whether the owner sets the ratio that the policy's strategy advises, once a day at
        midnight, as far as the book lets it move.
    ratios : tuple of (int, int)
        Closes at which the owner wants a ratio, bps, that was worked out elsewhere.
    file_funding : bool
        Whether the position is paid the rates of the file, at its settlements, instead of what the
        venue's rule makes of the premium.
    """

    policy: Policy = field(default_factory=Policy)
    latency_blocks: int = 1
    moving: bool = False
    max_gas_gwei: float = float("inf")
    outages: tuple[tuple[int, int], ...] = ()
    cuts: tuple[tuple[int, float], ...] = ()
    advised: bool = False
    ratios: tuple[tuple[int, int], ...] = ()
    file_funding: bool = False


@dataclass(slots=True)
class Tally:
    """Sums of one run; quote in raw units, exact."""

    funding: int = 0
    impact: int = 0
    fees: int = 0
    spot: int = 0
    losses: int = 0
    gas: float = 0.0  # quote, raw units
    turnover: int = 0  # raw quote, gross
    rebalances: int = 0
    top_ups: int = 0
    liquidations: int = 0
    cuts: int = 0
    ratios: int = 0  # changes of the target
    dear_gas: int = 0
    blind_hours: int = 0
    decided: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)


COLUMNS: Final = (
    *("nav", "delta", "marked", "funding", "impact", "fees", "spot", "gas", "losses"),
    *("rebalances", "top_ups", "liquidations"),
    *("size", "collateral", "equity", "maintenance", "premium", "ratio"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    What a run left; one row an hour.

    Attributes
    ----------
    closes_at : ndarray, shape (n,), int64, Unix seconds
    spot : ndarray, shape (n,), float64, whole quote per whole asset
    rows : ndarray, shape (n, 18), float64
        The `COLUMNS`; whole quote, whole assets. `marked` is NAV with the position at the mark
        price instead of the index; from `funding` to `liquidations` they are sums since the start.
        The last six are the state: signed size, asset margin after the haircut, equity for margin
        and maintenance in quote, premium, target hedge ratio.
    """

    closes_at: NDArray[np.int64]
    spot: Floats
    rows: Floats
    tally: Tally
    deposit: float  # whole assets

    def column(self, name: str) -> Floats:
        """Return one of `COLUMNS`."""
        return np.asarray(self.rows[:, COLUMNS.index(name)])

    @property
    def costs(self) -> Floats:
        """Return what trading cost the vault: impact, fees and spot pool; gas is the keeper's."""
        return self.column("impact") + self.column("fees") + self.column("spot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A plan that reached the chain, and whether it was refused there."""

    decided_at: int
    executed_at: int
    plan: Plan
    reason: str
    refusal: str | None


class Engine:
    """
    One vault on one path.

    Parameters
    ----------
    world : World
        At the first hour, the deposit not yet made.
    run : Run
        The keeper.
    watching : bool
        Whether quiet bars are skipped; the result is the same.
    on_sent : callable
        Told of each plan.
    """

    def __init__(
        self,
        world: World,
        run: Run,
        *,
        watching: bool = True,
        on_sent: Callable[[Sent], None] = lambda _: None,
    ) -> None:
        self.world, self.run, self.tally = world, run, Tally()
        self._on_sent = on_sent
        self._memory = Memory()
        self._number = 0
        self._cuts, self._ratios = dict(run.cuts), dict(run.ratios)
        own = world.setup.identity
        price_wad = world.vault.last_price_wad or world.index.try_read(at=0)[1].price_wad
        market = world.venue.market(price_wad, at=world.venue.accrued_at)
        self._watch = (
            watch(run.policy, world.setup.limits, market, own.hedge_ratio_bps, world.divisor)
            if watching
            else None
        )
        self._account = own.book
        self._quote = 0  # of the account, when it was last looked at
        policy = run.policy
        self._expects = bool(policy.ratio_strategy or policy.headroom_deviations_bps)

    def play(self, hours: Sequence[MarketHour]) -> Result:
        """Run through the hours; the deposit is made at the first."""
        world, tally = self.world, self.tally
        rows = []
        for i, hour in enumerate(hours):
            after = hours[i + 1] if i + 1 < len(hours) else hour
            nav, delta, marked, margin = self.step(hour, after)
            rows.append((
                nav, delta, marked, tally.funding, tally.impact, tally.fees, tally.spot,
                tally.gas, tally.losses, tally.rebalances, tally.top_ups, tally.liquidations,
                margin.delta, margin.assets, margin.equity, margin.maintenance,
                world.venue.skew, world.vault.identity.hedge_ratio_bps,
            ))  # fmt: skip
        return Result(
            closes_at=np.array([hour.closes_at for hour in hours], dtype=np.int64),
            spot=np.array([hour.spot for hour in hours]),
            rows=np.array(rows, dtype=np.float64) / self._units(),
            tally=tally,
            deposit=world.setup.deposit / 10**world.setup.identity.asset_decimals,
        )

    def _units(self) -> Floats:
        """Return what each of `COLUMNS` is divided by to be in whole units or a share."""
        setup = self.world.setup
        quote, one = float(self.world.quote_unit), 10.0**setup.identity.asset_decimals
        kept = 1.0 - setup.terms.haircut_wad / WAD
        counts = (1.0,) * 3
        state = (one, one / kept, quote, quote, float(setup.terms.skew_scale), float(BPS))
        return np.array([quote, one, *(quote,) * 7, *counts, *state])

    def step(self, hour: MarketHour, after: MarketHour) -> tuple[int, int, float, Margin]:
        """Play one hour; return NAV, delta, NAV at the mark and the account, after the keeper."""
        world, vault, at = self.world, self.world.vault, hour.closes_at
        seen = world.advance(hour)
        ok, price, _ = world.index.try_read(at=at)
        margin = self._booked(price.price_wad, at, seen)
        if not vault.last_price_wad and ok:
            vault.credit(world.setup.deposit, at=at)
        if at in self._cuts and ok:
            margin = self._cut(price.price_wad, at)
        if ok and self._expects:
            self._expect(price.price_wad, at)
        if ok and at in self._ratios:
            self._set_ratio(self._ratios[at], at)
        if not ok:
            self.tally.blind_hours += 1
        elif not self._down(at) and not self._quiet(margin, price.price_wad):
            at = self._look(hour, after)
            price = world.index.try_read(at=at)[1]
            margin = self._booked(price.price_wad, at)
        return *self._valued(margin, price.price_wad), margin

    def _quiet(self, margin: Margin, price_wad: int) -> bool:
        """Return whether a decision now could only hold."""
        if self._watch is None or self._memory.hedging:
            return False
        vault, policy, raised = self.world.vault, self.run.policy, 0.0
        if policy.headroom_deviations_bps:
            raised = raised_bps(policy, headroom_bps(self._memory.outlook, policy)) / BPS
        return self._watch.quiet(
            margin, vault.idle_assets, vault.idle_quote, self.world.venue.skew, price_wad, raised
        )

    def _expect(self, price_wad: int, at: int) -> None:
        """Keep the outlook as a decision at every bar would, and follow its advice at midnight."""
        venue = self.world.venue
        premium_wad = venue.curve.premium(venue.skew)
        mark_wad = div_floor(price_wad * (WAD + premium_wad), WAD)
        rate_wad = venue.funding.rate(premium_wad)
        outlook = observed(self._memory.outlook, price_wad, mark_wad, rate_wad, at)
        self._memory = replace(self._memory, outlook=outlook)
        if not self.run.advised or at % DAY_SECS:
            return
        wanted = wanted_bps(outlook, self.run.policy)
        if wanted is not None:
            self._set_ratio(wanted, at)

    def _set_ratio(self, wanted_bps: int, at: int) -> None:
        """Set what the book takes of a ratio."""
        vault, least_bps = self.world.vault, self.run.policy.least_ratio_change_bps
        ratio = reachable_bps(wanted_bps, vault.snapshot(at=at).state, least_bps, at)
        if ratio == vault.identity.hedge_ratio_bps:
            return
        vault.set_hedge_ratio(ratio, at=at)
        self.tally.ratios += 1
        if self._watch is not None:
            self._watch = replace(self._watch, target_share=(BPS - ratio) / BPS)

    def _valued(self, margin: Margin, price_wad: int) -> tuple[int, int, float]:
        world, vault = self.world, self.world.vault
        held = vault.idle_assets + margin.assets
        quote = vault.idle_quote + margin.quote + margin.profit
        nav = held * price_wad // world.divisor + quote
        premium = world.venue.skew / world.setup.terms.skew_scale
        return nav, held + margin.delta, nav + margin.delta * price_wad / world.divisor * premium

    def _booked(self, price_wad: int, at: int, seen: Margin | None = None) -> Margin:
        """Return the account now, and book what time and liquidators did to it."""
        for failure in self.world.failures:
            before, after = failure.before, failure.after
            self._fund(before)
            kept = (after.assets - before.assets) * failure.price_wad // self.world.divisor
            change = after.quote + after.profit - before.quote - before.profit
            self.tally.losses -= kept + change
            self.tally.liquidations += 1
            self._quote = after.quote
        self.world.failures.clear()
        margin = seen or self.world.venue.margin(self._account, price_wad, at=at)
        self._fund(margin)
        return margin

    def _fund(self, margin: Margin) -> None:
        """Book what the quote balance has changed by since: funding, and interest on a loan."""
        self.tally.funding += margin.quote - self._quote
        self._quote = margin.quote

    def _look(self, hour: MarketHour, after: MarketHour) -> int:
        """Decide, and again after each plan, while the hour lasts; return when it was last."""
        at, end = hour.closes_at, hour.closes_at + HOUR_SECS
        last_at = at
        for _ in range(TICKS):
            last_at, done = self._decided(hour, after, at)
            at = last_at + self.world.setup.limits.cooldown_secs
            if not done or at >= end or self._down(at):
                break
        return last_at

    def _decided(self, hour: MarketHour, after: MarketHour, at: int) -> tuple[int, bool]:
        """Return the time after a decision and whether a plan was carried out."""
        self._number += 1
        self.tally.decided += 1
        seen = self.world.vault.snapshot(at=at)
        snapshot = Snapshot(block=_block(self._number, at), vault=seen, words=b"")
        decision = decide(snapshot, self.run.policy, self._memory)
        self._memory = decision.memory
        if not isinstance(decision, Rebalance) or self._refused(snapshot, decision.plan):
            return at, False
        gas_gwei = hour.gas_gwei or 0.0
        if gas_gwei > self.run.max_gas_gwei and not decision.urgent:
            self.tally.dear_gas += 1
            return at, False
        executed_at = at + self.run.latency_blocks * BLOCK_SECS
        if self.run.moving and after.closes_at > hour.closes_at:
            share = min(1.0, (executed_at - hour.closes_at) / (after.closes_at - hour.closes_at))
            self.world.advance(between(hour, after, share), at=executed_at)
        refusal = self._send(decision.plan, executed_at, gas_gwei * hour.spot)
        self._on_sent(
            Sent(
                decided_at=at,
                executed_at=executed_at,
                plan=decision.plan,
                reason=decision.reason,
                refusal=refusal,
            )
        )
        self.tally.reasons[decision.reason.split(" ")[0]] += refusal is None
        return executed_at, refusal is None

    def _refused(self, snapshot: Snapshot, plan: Plan) -> bool:
        """Return whether the guard objects."""
        return (
            objection(
                snapshot,
                plan,
                policy=self.run.policy,
                safety=UNLIMITED,
                spent=Spent(),
                sender=snapshot.vault.keeper,
                killed=False,
            )
            is not None
        )

    def _send(self, plan: Plan, at: int, gas_price: float) -> str | None:
        """Carry a plan out and book what it cost; return why it was refused."""
        world = self.world
        self.tally.gas += _gas(plan) * gas_price * 1e-9 * world.quote_unit
        try:
            price_wad = world.index.read(at=at).price_wad
            self._booked(price_wad, at)
            before = world.vault.position(price_wad, at=at)
            fills = [
                world.venue.quote_trade(leg.instrument, leg.size, price_wad)
                for leg in plan.legs
                if leg.size
            ]
            after = world.vault.rebalance(plan, at=at)
        except Reverted as refusal:
            self.tally.refusals[refusal.reason] += 1
            return refusal.reason
        self._quote = after.margins[0].quote
        self._attribute(plan, before, after, fills)
        return None

    def _attribute(
        self, plan: Plan, before: Position, after: Position, fills: Sequence[tuple[int, int]]
    ) -> None:
        """Book the cost of a plan by cause; what is neither impact nor fee is the spot pool's."""
        sizes = [leg.size for leg in plan.legs if leg.size]
        fee = sum(fee for _, fee in fills)
        impact = sum(fill[0] - before.value_down(x) for fill, x in zip(fills, sizes, strict=True))
        gross = sum(abs(size) for size in sizes) + abs(plan.spot_assets)
        tally = self.tally
        tally.fees += fee
        tally.impact += impact
        tally.spot += before.nav - after.nav - fee - impact
        tally.turnover += before.value_up(gross)
        tally.rebalances += gross != 0
        tally.top_ups += gross == 0

    def _cut(self, price_wad: int, at: int) -> Margin:
        self.world.cut(self._cuts[at], at=at)
        self.tally.cuts += 1
        margin = self.world.venue.margin(self._account, price_wad, at=at)
        self._quote = margin.quote
        return margin

    def _down(self, at: int) -> bool:
        return any(first <= at < last for first, last in self.run.outages)


def _gas(plan: Plan) -> int:
    if plan.spot_assets:
        return GAS_SPOT
    return (
        GAS_MARGIN if any(leg.margin_assets or leg.margin_quote for leg in plan.legs) else GAS_PLAIN
    )


def backtest(
    hours: Sequence[MarketHour],
    run: Run | None = None,
    setup: Setup | None = None,
    on_sent: Callable[[Sent], None] = lambda _: None,
) -> Result:
    """Return what a vault of the default system, or of `setup`, does over the hours."""
    run, setup = run or Run(), setup or default_setup()
    index = SingleFeed()
    index.publish(hours[0].spot, at=hours[0].closes_at)
    if run.file_funding:
        setup = without_funding(setup)
    world = World(setup, index, at=hours[0].closes_at, file_funding=run.file_funding)
    return Engine(world, run, on_sent=on_sent).play(hours)


def _block(number: int, at: int) -> Block:
    return Block(number=number, hash="0x" + f"{number:064x}", parent_hash="", at=at, base_fee=0)
