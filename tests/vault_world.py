# SPDX-License-Identifier: MIT
"""
A vault with its book, guard, lens and spot market over `venue_world`, for tests of contracts.

``vault_world()`` builds one for any decimals, limits and terms. Amounts in tests are written in
whole tokens through ``world.assets`` and ``world.quotes``.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import boa

from tests.market_world import MAX_UINT, Joined, deployer
from tests.venue_world import World, world

BPS = 10_000
WAD = 10**18
BOUND = 2**112  # of an asset amount
HOUR = 3_600
DAY = 86_400
SHARE_DIGITS = 3  # decimals of a share over those of the asset
QUEUE_DELAY, QUEUE_CANCEL_DELAY = HOUR, 6 * HOUR
PREMIUM_TOLERANCE_WAD = 2 * 10**15  # 20 bp
EXIT_DELAY, EXIT_PATIENCE = 3 * DAY, 6 * HOUR
FALLBACK = (HOUR, HOUR, 10**15)  # grace, ramp, most of a reward in raw asset units
LIMIT_NAMES = (
    "inner_band_bps",
    "urgent_band_bps",
    "min_step_bps",
    "overshoot_bps",
    "margin_floor_bps",
    "margin_target_bps",
    "cost_bound_bps",
    "cost_budget_bps",
    "turnover_budget_bps",
    "urgent_reserve_bps",
    "slippage_bps",
    "urgent_slippage_bps",
    "cooldown_secs",
    "max_trade",
    "min_equity",
    "gap_share_bps",
    "gap_floor",
)


def default_limits(asset_decimals: int = 18) -> dict[str, int]:
    """Return limits under which a small vault can be hedged in a few plans."""
    unit = 10**asset_decimals
    return {
        "inner_band_bps": 100,
        "urgent_band_bps": 500,
        "min_step_bps": 20,
        "overshoot_bps": 50,
        "margin_floor_bps": 15_000,
        "margin_target_bps": 30_000,
        "cost_bound_bps": 100,
        "cost_budget_bps": 200,
        "turnover_budget_bps": 50_000,
        "urgent_reserve_bps": 2_500,
        "slippage_bps": 300,
        "urgent_slippage_bps": 500,
        "cooldown_secs": 600,
        "max_trade": 1_000 * unit,
        "min_equity": unit // 100,
        "gap_share_bps": 5_000,
        "gap_floor": 100 * unit,
    }


@dataclass(frozen=True)
class Leg:
    """One leg of a plan, in raw units."""

    margin_assets: int = 0
    margin_quote: int = 0
    size: int = 0
    limit_price_wad: int | None = None  # None: any price
    venue: str | None = None  # None: the first
    instrument: int = 0


@dataclass(frozen=True)
class VaultWorld:
    """A vault and everything under it; contracts are titanoboa's."""

    base: World
    spot: Any
    guard: Any
    book: Any
    vault: Any
    queue: Any
    exit: Any
    rules: Any
    lens: Any
    keeper: str
    guardian: str
    limits: dict[str, int]

    @property
    def asset(self) -> Any:
        return self.base.asset

    @property
    def quote(self) -> Any:
        return self.base.quote

    @property
    def venue(self) -> Any:
        return self.base.venue

    def assets(self, whole: float | str | Decimal) -> int:
        """Return raw asset units of so many whole tokens."""
        return self.base.assets(whole)

    def quotes(self, whole: float | str | Decimal) -> int:
        """Return raw quote units of so many whole tokens."""
        return self.base.quotes(whole)

    def price(self) -> int:
        """Return the oracle's price, WAD."""
        return self.base.price()

    def value(self, assets: int, price_wad: int | None = None) -> int:
        """Return quote worth of `assets`, floored."""
        price = self.price() if price_wad is None else price_wad
        return assets * price // self.base.divisor()

    def depositor(self, name: str, whole: float | str = 10_000) -> str:
        """Return an account that holds so many assets and approved the vault."""
        account = str(boa.env.generate_address(name))
        self.asset.mint(account, self.assets(whole))
        self.asset.approve(self.vault.address, MAX_UINT, sender=account)
        return account

    def deposit(self, account: str, whole: float | str) -> int:
        """Deposit so many whole assets for oneself and return the shares."""
        return int(self.vault.deposit(self.assets(whole), account, sender=account))

    def request(self, account: str, shares: int, min_assets: int = 0) -> int:
        """Put shares into the queue and return the request's number."""
        self.vault.approve(self.queue.address, shares, sender=account)
        return int(self.queue.request(shares, min_assets, sender=account))

    def become_due(self) -> None:
        """Let the delay of the queue pass and the feed report once after it, at the same price."""
        boa.env.time_travel(seconds=QUEUE_DELAY)
        self.pass_time(1)

    def plan(
        self,
        *legs: Leg,
        spot_assets: int = 0,
        spot_after: int = 0,
        spot_limit_price_wad: int | None = None,
        nonce: int | None = None,
        deadline: int | None = None,
        decision_id: bytes = b"\x11" * 32,
    ) -> tuple[Any, ...]:
        """Return a plan as the book takes it; what is left out is valid."""
        if spot_limit_price_wad is None:
            spot_limit_price_wad = 10**30 if spot_assets > 0 else 0
        return (
            self.state()["nonce"] if nonce is None else nonce,
            boa.env.timestamp + 60 if deadline is None else deadline,
            decision_id,
            [self._leg(leg) for leg in legs],
            spot_after,
            spot_assets,
            spot_limit_price_wad,
        )

    def _leg(self, leg: Leg) -> tuple[Any, ...]:
        limit = leg.limit_price_wad
        if limit is None:
            limit = MAX_UINT if leg.size > 0 else 0
        return (
            leg.venue or self.venue.address,
            leg.instrument,
            leg.margin_assets,
            leg.margin_quote,
            leg.size,
            limit,
        )

    def rebalance(self, *legs: Leg, **fields: Any) -> Any:
        """Send a plan as the keeper and return its record."""
        self.book.rebalance(self.plan(*legs, **fields), sender=self.keeper)
        return next(e for e in self.book.get_logs() if type(e).__name__ == "Rebalanced").record

    def hedge(self, margin_share: float = 0.3) -> Any:
        """Open the hedge for the whole gap, with a share of what is held as margin."""
        gap = self.gap()
        idle = self.vault.idle_assets()
        return self.rebalance(Leg(margin_assets=int(idle * margin_share), size=-gap))

    def state(self) -> dict[str, Any]:
        """Return the book's state by name."""
        return dict(self.book.state()._asdict())

    def equity(self) -> int:
        """Return E, asset units, floored; may be negative."""
        held, quote_value, _ = self._sums()
        return held + quote_value * self.base.divisor() // self.price()

    def gap(self) -> int:
        """Return D - (1 - h) * E, asset units."""
        held, _, delta = self._sums()
        share = BPS - self.book.hedge_ratio_bps()
        return held + delta - self.equity() * share // BPS

    def drift_bps(self) -> float:
        """Return gap / E in bps, signed."""
        return self.gap() * BPS / self.equity()

    def _sums(self) -> tuple[int, int, int]:
        valued = self.book.valuation()
        return self.vault.idle_assets() + valued.assets, valued.quote_value, valued.delta

    def margin(self, venue: Any = None) -> Any:
        """Return the book's account at a venue (the first)."""
        return (venue or self.venue).margin(self.book.address, self.price())

    def margin_ratio_bps(self) -> int:
        """Return equity / maintenance at the first venue, floored."""
        margin = self.margin()
        return int(margin.equity * BPS // margin.maintenance)

    def set_price(self, whole: float | str | Decimal) -> int:
        return self.base.set_price(whole)

    def pass_time(self, seconds: int) -> None:
        self.base.pass_time(seconds)

    def break_oracle(self) -> None:
        """Let the asset's feed answer zero."""
        self.base.asset_feed.set_answer(0)

    def open_exit(self) -> None:
        """Let there be no price for as long as exits in kind need."""
        self.break_oracle()
        self.exit.announce()
        boa.env.time_travel(seconds=EXIT_DELAY)

    def leave_in_kind(self, account: str, shares: int) -> tuple[int, int]:
        """Leave for oneself and return assets and quote paid."""
        assets, quote = self.exit.exit(shares, account, account, 0, 0, sender=account)
        return int(assets), int(quote)


def deploy_book(parts: dict[str, Any], limits: dict[str, int], **fields: Any) -> Joined:
    """Deploy a book; `parts` names its contracts and roles, `fields` replaces arguments."""
    arguments = {
        **{name: parts[name].address for name in ("asset", "quote", "oracle", "spot", "guard")},
        "keeper": parts["keeper"],
        "guardian": parts["guardian"],
        "hedge_ratio_bps": BPS,
        "min_hedge_ratio_bps": 0,
        "max_hedge_ratio_bps": 12_000,
        "limits": tuple(limits[name] for name in LIMIT_NAMES),
        "fallback_terms": FALLBACK,
    } | fields
    values = list(arguments.values())
    control = deployer("BookControl.vy").deploy(tuple(values[:5]))
    return Joined(deployer("HedgeBook.vy").deploy(control.address, *values[5:]), ["BookControl"])


def deploy_vault(book: Any, asset_decimals: int, base_charge_bps: int) -> tuple[Any, ...]:
    """Deploy a vault, its queue, exit and rules on a book that has yet to be told of it."""
    min_shares = 10 ** (asset_decimals + SHARE_DIGITS) // 100
    times = QUEUE_DELAY, QUEUE_CANCEL_DELAY
    queue = deployer("RedemptionQueue.vy").deploy(
        book.address, *times, min_shares, PREMIUM_TOLERANCE_WAD
    )
    exit_in_kind = deployer("ExitInKind.vy").deploy(book.address, EXIT_DELAY, EXIT_PATIENCE)
    rules = deployer("FlowRules.vy").deploy()
    parts = book.address, rules.address, queue.address, exit_in_kind.address
    vault = deployer("HedgeVault.vy").deploy(*parts, "Hedged ETH", "hETH", base_charge_bps)
    return vault, queue, exit_in_kind, rules


def vault_world(
    asset_decimals: int = 18,
    quote_decimals: int = 6,
    *,
    price: float | str = 1_000,
    liquidity: float | str = 10_000_000,
    base_charge_bps: int = 90,
    hedge_ratio_bps: int = BPS,
    spot_depth: float | str = 100_000,
    allotment_bps: int = 6_000,
    asset: Any = None,
    quote: Any = None,
    terms: dict[str, int] | None = None,
    **limits: int,
) -> VaultWorld:
    """
    Build a vault with one venue.

    Parameters
    ----------
    price : float or str
        Whole quote per whole asset.
    liquidity : float or str
        Whole quote in the venue's pool.
    base_charge_bps, hedge_ratio_bps, allotment_bps : int
        Parameters of vault and book.
    spot_depth : float or str
        Whole assets in the spot market, with quote at the price.
    asset, quote : contract, optional
        Tokens to use instead of mintable ones.
    terms : dict, optional
        Terms of the venue that differ from `venue_world.default_terms`, and from wide caps.
    **limits : int
        Limits that differ from `default_limits`.
    """
    unit = 10**asset_decimals
    wide = {
        "skew_scale": 100_000 * unit,
        "max_side": 20_000 * unit,
        "reward_floor": 0,
        "reward_cap": 0,
    }
    base = world(
        asset_decimals,
        quote_decimals,
        price=price,
        liquidity=liquidity,
        asset=asset,
        quote=quote,
        **(wide | (terms or {})),
    )
    spot = deployer("SpotMarket.vy").deploy(base.asset.address, base.quote.address, 10**15)
    _seed(base, spot, spot_depth, price)
    guard = deployer("HedgeGuard.vy").deploy()
    keeper, guardian = (str(boa.env.generate_address(n)) for n in ("keeper", "guardian"))
    chosen = default_limits(asset_decimals) | limits
    parts = {
        "asset": base.asset,
        "quote": base.quote,
        "oracle": base.oracle,
        "spot": spot,
        "guard": guard,
        "keeper": keeper,
        "guardian": guardian,
    }
    book = deploy_book(parts, chosen, hedge_ratio_bps=hedge_ratio_bps)
    vault, queue, leaving, rules = deploy_vault(book, asset_decimals, base_charge_bps)
    book.set_vault(vault.address)
    book.add_venue(base.venue.address, allotment_bps)
    lens = deployer("VaultLens.vy").deploy()
    vaults = book, vault, queue, leaving, rules
    return VaultWorld(base, spot, guard, *vaults, lens, keeper, guardian, chosen)


def _seed(base: World, spot: Any, depth: float | str, price: float | str) -> None:
    assets = base.assets(depth)
    quote = base.quotes(Decimal(str(depth)) * Decimal(str(price)))
    base.asset.mint(base.owner, assets)
    base.quote.mint(base.owner, quote)
    base.asset.approve(spot.address, MAX_UINT)
    base.quote.approve(spot.address, MAX_UINT)
    spot.seed(assets, quote)


def event(contract: Any, name: str) -> Any:
    """Return the first event of this name in what a contract logged last."""
    return next(log for log in contract.get_logs() if type(log).__name__ == name)


def lose_all(world: VaultWorld) -> None:
    """Move all that is idle to a second venue, which then owes more than there is."""
    venue = add_settable_venue(world, BPS)
    world.rebalance(Leg(margin_assets=world.vault.idle_assets(), venue=venue.address))
    venue.set_faults(BPS, BPS, -world.base.quotes(10**6), 0)


def add_settable_venue(world: VaultWorld, allotment_bps: int = 6_000) -> Any:
    """Register a second venue that does what the test says, with quote to pay profits."""
    base = world.base
    venue = deployer("testing/SettableVenue.vy").deploy(
        base.asset.address, base.quote.address, base.oracle.address
    )
    base.quote.mint(venue.address, base.quotes(10**9))
    world.book.add_venue(venue.address, allotment_bps)
    return venue
