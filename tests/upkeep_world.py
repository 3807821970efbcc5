# SPDX-License-Identifier: MIT
"""A venue in numbers for the tests of upkeep: 6 decimals of quote, 18 of assets, S = 2,000."""

from __future__ import annotations

from dataclasses import replace

from keeper.curve import Scale, initial_up, maintenance_up
from keeper.snapshot import Margin
from keeper.units import WAD, Assets, Quote, Wad
from keeper.upkeep import Account, Failures, Pool, PoolRequest, Stage, Terms, Venue
from tests.keeper_world import ETHER, NOW, address, market

USDC = 10**6
PRICE = Wad(2_000 * WAD)
DIVISOR = 10**30
SCALE = Scale(price_wad=PRICE, divisor=DIVISOR)


MARKET = market(
    max_side=3_000 * ETHER,
    premium_cap_wad=3 * WAD // 100,
    initial_base_wad=WAD // 10,
    initial_slope_wad=WAD,
    pool_equity=20_000_000 * USDC,
)

TERMS = Terms(
    loan_share_wad=Wad(WAD // 2),
    low_share_wad=Wad(WAD // 2),
    skew_share_wad=Wad(WAD // 2),
    unwind_step=Assets(10 * ETHER),
)

POOL = Pool(
    min_delay=3_600,
    window=14_400,
    price_stand=60,
    total_shares=20_000_000 * USDC,
    noted=(PRICE, 7, NOW - 60),
)

VENUE = Venue(
    address=address(0xFE),
    fund=address(0xFD),
    block=100,
    at=NOW,
    stage=Stage.OPEN,
    price_ok=True,
    price_reason="",
    price_wad=PRICE,
    round_id=7,
    divisor=DIVISOR,
    market=MARKET,
    terms=TERMS,
    backstop_size=Assets(0),
    unwound_at=0,
    accrued_at=NOW,
    pool_claim=Quote(0),
    fund_claim=Quote(0),
    debt=Quote(0),
    pool_assets=Assets(0),
    failed_shorts=Failures(),
    failed_longs=Failures(),
    pool=POOL,
    accounts=(),
)


def account(number: int, size: int, equity: int, *, assets: int = 0, quote: int = 0) -> Account:
    """Return an account of `size` whole assets and an equity of raw quote."""
    return of_units(number, size * ETHER, equity, assets=assets, quote=quote)


def of_units(number: int, delta: int, equity: int, *, assets: int = 0, quote: int = 0) -> Account:
    """Return an account that is liquidatable, in full, when it is under maintenance margin."""
    maintenance = maintenance_up(MARKET, delta, SCALE)
    margin = Margin(
        assets=Assets(assets),
        quote=Quote(quote),
        delta=Assets(delta),
        profit=Quote(0),
        equity=Quote(equity),
        initial=initial_up(MARKET, delta, SCALE),
        maintenance=maintenance,
    )
    failing = equity < maintenance
    return Account(
        owner=address(number),
        margin=margin,
        liquidatable=failing,
        size=Assets(abs(delta) if failing else 0),
        reward=Quote(2 * USDC if failing else 0),
    )


def venue(*accounts: Account, **changes: object) -> Venue:
    """Return the quiet venue with these accounts, its open interest theirs, and changes."""
    longs = sum(max(each.margin.delta, 0) for each in accounts)
    shorts = sum(max(-each.margin.delta, 0) for each in accounts)
    sides = replace(
        MARKET,
        skew=Assets(longs - shorts),
        long_size=Assets(longs),
        short_size=Assets(shorts),
    )
    return replace(VENUE, **{"accounts": accounts, "market": sides, **changes})


def request(number: int, *, entering: bool = True, age: int = 3_600, round_id: int = 6):
    return PoolRequest(
        owner=address(number), entering=entering, round_id=round_id, requested_at=NOW - age
    )
