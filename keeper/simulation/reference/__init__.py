# SPDX-License-Identifier: MIT
"""
The integer reference model of oracle, venue, pool, fund and spot market.

It agrees with the contracts to the unit: same inputs, same outputs, same state, same refusals
(`Reverted` with the contract's reason). Pure: Python integers only, time is an argument `at`.
`build` wires one venue as the deployment does.
"""

from __future__ import annotations

from keeper.simulation.reference.insurance_fund import MAX_QUOTE, InsuranceFund
from keeper.simulation.reference.liquidation_rules import LiquidationRules, Outcome
from keeper.simulation.reference.liquidity_pool import LiquidityPool, Oracle
from keeper.simulation.reference.oracle import Feed, Price, PriceOracle, Round, Source
from keeper.simulation.reference.position import Account
from keeper.simulation.reference.reverted import Reverted
from keeper.simulation.reference.spot_market import SpotMarket
from keeper.simulation.reference.terms import Terms, check_terms
from keeper.simulation.reference.venue import Venue
from keeper.simulation.reference.venue_ledger import (
    Batch,
    MarketState,
    Payout,
    Reserves,
    Waiting,
    Window,
)
from keeper.units import price_divisor

__all__ = [
    "Account",
    "Batch",
    "Feed",
    "InsuranceFund",
    "LiquidationRules",
    "LiquidityPool",
    "MarketState",
    "Oracle",
    "Outcome",
    "Payout",
    "Price",
    "PriceOracle",
    "Reserves",
    "Reverted",
    "Round",
    "Source",
    "SpotMarket",
    "Terms",
    "Venue",
    "Waiting",
    "Window",
    "build",
    "check_terms",
]


def build(
    terms: Terms, oracle: Oracle, *, asset_decimals: int, quote_decimals: int, at: int
) -> Venue:
    """
    Return a venue, with an empty pool behind it and an empty fund that knows it.

    Parameters
    ----------
    terms : Terms
        In raw units of these decimals.
    oracle : Oracle
        The index price of venue and pool.
    asset_decimals, quote_decimals : int
        6 to 18.
    at : int
        Unix seconds of the deployment.
    """
    pool = LiquidityPool(
        oracle, price_divisor(asset_decimals, quote_decimals), min_holding=10**quote_decimals
    )
    fund = InsuranceFund()
    gas_divisor = 10 ** (36 - quote_decimals)
    venue = Venue(terms, oracle, pool, fund, at=at, gas_divisor=gas_divisor)
    pool.set_venue(pool.owner, venue)
    fund.register(fund.owner, venue, MAX_QUOTE)
    return venue
