# SPDX-License-Identifier: MIT
"""
A venue with its pool, fund, oracle and tokens in titanoboa, for tests of contracts.

``world()`` builds one for any decimals and terms; amounts in tests are written in whole tokens
through ``world.assets`` and ``world.quote``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import boa

from tests.market_world import (
    MAX_UINT,
    NOBODY,
    Joined,
    deploy_feed,
    deploy_oracle,
    deploy_token,
    deployer,
)

WAD = 10**18
FEED_UNIT = 10**8
BP = 10**14  # one basis point, WAD
FUND_DELAY = 7 * 86_400  # seconds from a request until a staker is paid
FUND_WINDOW = 2 * 86_400  # seconds from then until the request expires
# Each knows the next.
CODE_PARTS = ("PerpVenue", "VenueRecovery", "Deleverager", "VenueBackstop", "VenueWindUp")
MINTED = 10**12  # whole tokens that `actor` gets of each
POOL_DELAY, POOL_WINDOW, PRICE_STAND = 3_600, 4 * 3_600, 60  # seconds
NO_FUNDING = {"interest_wad": 0, "interest_band_wad": 0, "funding_cap_wad": 0}
NO_REWARD = {"reward_floor": 0, "reward_cap": 0}
FREE = {"taker_fee_wad": 0, "maker_fee_wad": 0, "unwind_step": 0, **NO_FUNDING}
TERM_NAMES = (
    "skew_scale",
    "max_side",
    "min_size",
    "premium_cap_wad",
    "skew_share_wad",
    "taker_fee_wad",
    "maker_fee_wad",
    "fund_share_wad",
    "interest_wad",
    "interest_band_wad",
    "funding_cap_wad",
    "initial_base_wad",
    "initial_slope_wad",
    "maintenance_share_wad",
    "maintenance_buffer_wad",
    "haircut_wad",
    "discount_wad",
    "penalty_wad",
    "reward_floor",
    "reward_cap",
    "reward_share_wad",
    "liquidation_flow",
    "unwind_step",
    "loan_rate_wad",
    "loan_share_wad",
    "realise_share_wad",
    "low_share_wad",
)


def default_terms(asset_decimals: int = 18, quote_decimals: int = 6) -> dict[str, int]:
    """Return terms of attacks.md: L = 1,000 assets, 5 bp; margin 5 %, half of it maintenance."""
    unit = 10**asset_decimals
    return {
        "skew_scale": 1_000 * unit,
        "max_side": 500 * unit,
        "min_size": unit // 100,
        "premium_cap_wad": 5_000 * BP,
        "skew_share_wad": 5_000 * BP,
        "taker_fee_wad": 5 * BP,
        "maker_fee_wad": 2 * BP,
        "fund_share_wad": 2_000 * BP,
        "interest_wad": BP,
        "interest_band_wad": 5 * BP,
        "funding_cap_wad": 75 * BP,
        "initial_base_wad": 500 * BP,
        "initial_slope_wad": 2_000 * BP,
        "maintenance_share_wad": 5_000 * BP,
        "maintenance_buffer_wad": 50 * BP,
        "haircut_wad": 1_000 * BP,
        "discount_wad": 500 * BP,
        "penalty_wad": 150 * BP,
        "reward_floor": 5 * 10**quote_decimals,
        "reward_cap": 5 * 10**quote_decimals,
        "reward_share_wad": 10 * BP,
        "liquidation_flow": 1_000 * unit,
        "unwind_step": 4 * unit // 10,
        "loan_rate_wad": 1_000 * BP,
        "loan_share_wad": 5_000 * BP,
        "realise_share_wad": 1_000 * BP,
        "low_share_wad": 500 * BP,
    }


@dataclass(frozen=True)
class World:
    """One venue and what it stands on; contracts are titanoboa's."""

    asset: Any
    quote: Any
    asset_feed: Any
    quote_feed: Any
    oracle: Any
    fund: Any
    pool: Any
    venue: Any
    terms: dict[str, int]
    asset_decimals: int
    quote_decimals: int
    owner: str
    actors: list[str] = field(default_factory=list)

    def assets(self, whole: float | str | Decimal) -> int:
        """Return raw asset units of so many whole tokens."""
        return int(Decimal(str(whole)) * 10**self.asset_decimals)

    def quotes(self, whole: float | str | Decimal) -> int:
        """Return raw quote units of so many whole tokens."""
        return int(Decimal(str(whole)) * 10**self.quote_decimals)

    def divisor(self) -> int:
        """Return PRICE_DIVISOR: quote = assets * price_wad / divisor."""
        return int(10 ** (18 + self.asset_decimals - self.quote_decimals))

    def actor(self, name: str) -> str:
        """Return a new account with plenty of both tokens, approved for the venue."""
        account = str(boa.env.generate_address(name))
        for token, unit in (
            (self.asset, 10**self.asset_decimals),
            (self.quote, 10**self.quote_decimals),
        ):
            token.mint(account, MINTED * unit)
            token.approve(self.venue.address, MAX_UINT, sender=account)
        self.quote.approve(self.pool.address, MAX_UINT, sender=account)
        self.actors.append(account)
        return account

    def trader(self, name: str, quote: float | str = 0, assets: float | str = 0) -> str:
        """Return an actor with that margin deposited (whole tokens)."""
        account = self.actor(name)
        if quote or assets:
            self.venue.deposit(self.assets(assets), self.quotes(quote), sender=account)
        return account

    def set_price(self, whole: float | str | Decimal) -> int:
        """Publish the asset's price in quote (8 decimals) and return it as WAD."""
        answer = int(Decimal(str(whole)) * FEED_UNIT)
        self.asset_feed.set_answer(answer)
        self.quote_feed.set_answer(FEED_UNIT)
        return answer * 10**10

    def price(self) -> int:
        """Return the oracle's price, WAD."""
        return int(self.oracle.read()[0])

    def pass_time(self, seconds: int) -> None:
        """Let time pass and feeds answer the same again."""
        answer = self.asset_feed.last_round()[1]
        boa.env.time_travel(seconds=seconds)
        self.asset_feed.set_answer(answer)
        self.quote_feed.set_answer(FEED_UNIT)

    def become_due(self, seconds: int = POOL_DELAY) -> None:
        """Let requests to the pool become due, at the same answers in a later round."""
        self.pass_time(seconds)
        self.stand()

    def stand(self) -> None:
        """Note the price at the pool and let it stand."""
        self.pool.note_price()
        boa.env.time_travel(seconds=PRICE_STAND)

    def provide(self, quote: int, owner: str | None = None, min_shares: int = 0) -> int:
        """Request to provide raw quote, wait as long as one must, and return the shares."""
        owner = owner or self.owner
        self.pool.request_provide(quote, min_shares, sender=owner)
        if self.pool.total_shares():
            self.become_due()
        return int(self.pool.execute_provide(owner))

    def remove(self, shares: int, owner: str | None = None, min_quote: int = 0) -> tuple[int, int]:
        """Request to remove shares, wait as long as one must, and return quote and assets."""
        owner = owner or self.owner
        self.pool.request_remove(shares, min_quote, owner, sender=owner)
        self.become_due()
        quote, assets = self.pool.execute_remove(owner)
        return int(quote), int(assets)

    def trade(self, account: str, whole: float | str | Decimal) -> int:
        """Trade so many whole assets at any price and return quote paid."""
        return self.trade_raw(account, self.assets(whole))

    def trade_raw(self, account: str, size: int) -> int:
        """Trade `size` asset units at any price and return quote paid, fee included."""
        limit = MAX_UINT if size > 0 else 0
        return int(self.venue.trade(0, size, limit, sender=account))


def deploy_venue(parts: tuple[Any, ...], terms: dict[str, int]) -> Joined:
    """Deploy a venue and its rules on (asset, quote, oracle, pool, fund)."""
    rules = deploy_rules(parts[0], parts[1], terms)
    return venue_of(tuple(part.address for part in (*parts, rules)))


def venue_of(parts: tuple[Any, ...]) -> Joined:
    """Deploy the code of a venue on the addresses (asset, quote, oracle, pool, fund, rules)."""
    last = deployer(f"{CODE_PARTS[-1]}.vy").deploy(parts)
    for name in CODE_PARTS[-2::-1]:
        last = deployer(f"{name}.vy").deploy(last.address)
    return Joined(last, CODE_PARTS[1:])


def code_parts(venue: Joined) -> list[str]:
    """Return the addresses of the code behind a venue."""
    addresses = [str(venue.contract.NEXT())]
    for name in CODE_PARTS[1:-1]:
        addresses.append(str(deployer(f"{name}.vy").at(addresses[-1]).NEXT()))
    return addresses


def deploy_rules(asset: Any, quote: Any, terms: dict[str, int], gas_oracle: str = NOBODY) -> Any:
    """Deploy the terms of a venue; the constructor refuses bad ones."""
    return deployer("LiquidationRules.vy").deploy(
        asset.address, quote.address, gas_oracle, tuple(terms[name] for name in TERM_NAMES)
    )


def deploy_pool(asset: Any, quote: Any, oracle: Any) -> Any:
    """Deploy a pool that does not know its venue yet."""
    parts = (part.address for part in (asset, quote, oracle))
    return deployer("LiquidityPool.vy").deploy(*parts, POOL_DELAY, POOL_WINDOW)


def world(
    asset_decimals: int = 18,
    quote_decimals: int = 6,
    *,
    price: float | str = 1,
    liquidity: float | str = 1_000,
    insurance: float | str = 0,
    asset: Any = None,
    quote: Any = None,
    **changes: int,
) -> World:
    """
    Build a venue at `price` with the pool provided and the fund seeded.

    Parameters
    ----------
    asset_decimals, quote_decimals : int
        Decimals of the tokens, 6 to 18; ignored for tokens that are given.
    price : float or str
        Whole quote per whole asset.
    liquidity, insurance : float or str
        Whole quote put into pool and fund by the deploying account.
    asset, quote : contract, optional
        Tokens to use instead of mintable ones.
    **changes : int
        Terms that differ from `default_terms`.
    """
    asset = asset or deploy_token(asset_decimals, "ETH")
    quote = quote or deploy_token(quote_decimals, "USDC")
    asset_feed = deploy_feed(int(Decimal(str(price)) * FEED_UNIT))
    quote_feed = deploy_feed(FEED_UNIT)
    oracle = deploy_oracle(asset_feed, quote_feed)
    fund = deployer("InsuranceFund.vy").deploy(quote.address, FUND_DELAY, FUND_WINDOW)
    pool = deploy_pool(asset, quote, oracle)
    terms = default_terms(asset_decimals, quote_decimals) | changes
    venue = deploy_venue((asset, quote, oracle, pool, fund), terms)
    pool.set_venue(venue.address)
    fund.register(venue.address, MAX_UINT)
    owner = str(boa.env.eoa)
    unit = 10**quote_decimals
    quote.mint(owner, 2 * MINTED * unit)
    quote.approve(pool.address, MAX_UINT)
    quote.approve(fund.address, MAX_UINT)
    if Decimal(str(liquidity)):
        pool.request_provide(int(Decimal(str(liquidity)) * unit), 0)
        pool.execute_provide(owner)
    if Decimal(str(insurance)):
        fund.donate(int(Decimal(str(insurance)) * unit))
    return World(
        asset=asset,
        quote=quote,
        asset_feed=asset_feed,
        quote_feed=quote_feed,
        oracle=oracle,
        fund=fund,
        pool=pool,
        venue=venue,
        terms=terms,
        asset_decimals=asset_decimals,
        quote_decimals=quote_decimals,
        owner=owner,
    )
