# SPDX-License-Identifier: MIT
"""
The account of the fast path: funding, fills, margin needs, budgets, liquidation, in floats.

One array of `STATES` floats is a vault with its account at one venue; the names of its places
stand below. Formulas are those of the reference model and of `keeper.margins`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from keeper.margins import levels
from keeper.policy import Policy
from keeper.simulation.backtest.defaults import Setup
from keeper.simulation.backtest.stale import renew
from keeper.simulation.flow import CAP_MARGIN_BPS
from keeper.simulation.reference import liquidation_rules
from keeper.simulation.reference.liquidation_rules import REWARDED_GAS, TIP
from keeper.units import BPS, FUNDING_PERIOD_SECS, WAD

renew(__file__, liquidation_rules)

Floats = NDArray[np.float64]

MEAN_SECS: Final = 1_800.0  # time constant of the mean premium
DAY: Final = 86_400.0
YEAR: Final = 365 * DAY

# The account, one float each.
IDLE, CASH, MARGIN, BALANCE, SIZE, ENTRY, SKEW, STOP, MEAN = range(9)
COST_USED, USED_AT, HEDGING, PRICE, CLOCK, TRADED_AT = range(9, 15)
# Sums, in the order of `engine.COLUMNS`.
FUNDING, IMPACT, FEES, SPOT, GAS, LOSSES, REBALANCES, TOP_UPS, LIQUIDATIONS = range(15, 24)
LOAN: Final = 24  # that bears interest: the debt to the venue when it was last settled
STATES: Final = 25


class Rules(NamedTuple):
    """Terms, limits and policy as floats; shares, whole units, seconds."""

    scale: float
    premium_cap: float
    min_size: float
    taker: float
    maker: float
    interest: float
    band: float
    funding_cap: float
    base: float
    slope: float
    share: float
    floor: float
    kept: float
    discount: float
    penalty: float
    reward_floor: float
    reward_cap: float
    reward_share: float
    loan_rate: float
    depth: float
    spot_fee: float
    ratio: float  # hedge ratio
    allotment: float
    max_trade: float
    urgent_band: float
    inner_band: float
    margin_floor: float
    touched: float
    cost_bound: float
    cost_budget: float
    reserve: float
    budget_use: float
    slippage: float
    urgent_slippage: float
    cooldown: float
    trigger: float
    target: float
    least_trade: float
    most_trade: float
    tolerance: float
    low_distance: float
    low_ratio: float
    target_distance: float
    target_ratio: float
    high_distance: float
    high_ratio: float
    idle_reserve: float
    settle_trigger: float
    settle_target: float
    premium_gap: float


def rules(setup: Setup, policy: Policy) -> Rules:
    """Return the rules of a system and a policy."""
    terms, limits, own = setup.terms, setup.limits, setup.identity
    one, unit = 10.0**own.asset_decimals, 10.0**own.quote_decimals
    level = levels(policy, limits)
    return Rules(
        scale=terms.skew_scale / one,
        premium_cap=terms.premium_cap_wad / WAD * CAP_MARGIN_BPS / BPS,
        min_size=terms.min_size / one,
        taker=terms.taker_fee_wad / WAD,
        maker=terms.maker_fee_wad / WAD,
        interest=terms.interest_wad / WAD,
        band=terms.interest_band_wad / WAD,
        funding_cap=terms.funding_cap_wad / WAD,
        base=terms.initial_base_wad / WAD,
        slope=terms.initial_slope_wad / WAD,
        share=terms.maintenance_share_wad / WAD,
        floor=terms.maintenance_floor_wad / WAD,
        kept=1 - terms.haircut_wad / WAD,
        discount=terms.discount_wad / WAD,
        penalty=terms.penalty_wad / WAD,
        reward_floor=terms.reward_floor / unit,
        reward_cap=terms.reward_cap / unit,
        reward_share=terms.reward_share_wad / WAD,
        loan_rate=terms.loan_rate_wad / WAD,
        depth=setup.spot_assets / one,
        spot_fee=setup.spot_fee_wad / WAD,
        ratio=own.hedge_ratio_bps / BPS,
        allotment=setup.allotment_bps / BPS * 0.999,
        max_trade=limits.max_trade / one,
        urgent_band=limits.urgent_band_bps / BPS,
        inner_band=limits.inner_band_bps / BPS,
        margin_floor=limits.margin_floor_bps / BPS,
        touched=level.target.ratio_bps / BPS,
        cost_bound=min(policy.cost_bound_bps, limits.cost_bound_bps) / BPS,
        cost_budget=limits.cost_budget_bps / BPS / 2,
        reserve=limits.urgent_reserve_bps / BPS,
        budget_use=policy.budget_use_bps / BPS,
        slippage=min(policy.slippage_bps, limits.slippage_bps) / BPS,
        urgent_slippage=limits.urgent_slippage_bps / BPS,
        cooldown=float(limits.cooldown_secs),
        trigger=max(limits.inner_band_bps, min(policy.trigger_bps, limits.urgent_band_bps)) / BPS,
        target=policy.target_bps / BPS,
        least_trade=policy.min_trade_bps / BPS,
        most_trade=policy.max_trade_bps / BPS,
        tolerance=policy.limit_tolerance_bps / BPS,
        low_distance=level.low.distance_bps / BPS,
        low_ratio=level.low.ratio_bps / BPS,
        target_distance=level.target.distance_bps / BPS,
        target_ratio=level.target.ratio_bps / BPS,
        high_distance=level.high.distance_bps / BPS,
        high_ratio=level.high.ratio_bps / BPS,
        idle_reserve=policy.idle_reserve_bps / BPS,
        settle_trigger=policy.settle_trigger_bps / BPS,
        settle_target=policy.settle_target_bps / BPS,
        premium_gap=policy.max_premium_gap_bps / BPS,
    )


# The account


@njit(cache=True)
def accrue(state: Floats, rules: Rules, at: float) -> None:
    """Pay funding and interest, and move the mean premium, from the clock to `at`."""
    secs = at - state[CLOCK]
    state[CLOCK] = at
    if secs <= 0.0:
        return
    premium = state[SKEW] / rules.scale
    pull = max(-rules.band, min(rules.band, rules.interest - premium))
    rate = max(-rules.funding_cap, min(rules.funding_cap, premium + pull))
    size, stop = state[SIZE], state[STOP]
    trader = state[SKEW] - size - stop
    longs = max(trader, 0.0) + max(size, 0.0) + max(stop, 0.0)
    shorts = max(-trader, 0.0) + max(-size, 0.0) + max(-stop, 0.0)
    due = abs(rate) * state[PRICE] * secs / FUNDING_PERIOD_SECS
    payers, receivers = (longs, shorts) if rate > 0 else (shorts, longs)
    if size * rate > 0:
        paid = -due * abs(size)
    elif receivers > 0:
        paid = due * min(1.0, payers / receivers) * abs(size)
    else:
        paid = 0.0
    paid -= state[LOAN] * rules.loan_rate * secs / YEAR
    state[BALANCE] += paid
    state[FUNDING] += paid
    state[MEAN] = premium + (state[MEAN] - premium) * np.exp(-secs / MEAN_SECS)


@njit(cache=True)
def needed(
    rules: Rules,
    price: float,
    skew: float,
    size: float,
    value: float,
    distance: float,
    ratio: float,
) -> float:
    """Return the asset margin for a level (`margins.assets_needed`)."""
    if size == 0.0:
        return max(0.0, -value / (price * rules.kept))
    notional = abs(size) * price
    rate = rules.base + rules.slope * abs(size) / rules.scale
    floor = notional * max(rate * rules.share, rules.floor)
    closing = max(0.0, -size * price * (2.0 * skew - size) / (2.0 * rules.scale))
    now = (max(notional * rate + closing, floor * ratio) - value) / (price * rules.kept)
    against = 1.0 + distance if size < 0.0 else max(1.0 - distance, 1e-4)
    lacking = floor * against - value - size * price * (against - 1.0)
    return max(0.0, now, lacking / (price * against * rules.kept))


@njit(cache=True)
def maintenance_of(rules: Rules, price: float, size: float) -> float:
    """Return the maintenance margin of a position."""
    rate = rules.base + rules.slope * abs(size) / rules.scale
    return abs(size) * price * max(rate * rules.share, rules.floor)


@njit(cache=True)
def fill(state: Floats, rules: Rules, price: float, size: float) -> float:
    """Trade on the curve; book impact and fee; return what it cost over the index."""
    skew, held = state[SKEW], state[SIZE]
    cost = size * price * (1.0 + (skew + size / 2.0) / rules.scale)
    maker = min(abs(size), abs(skew)) if skew * size < 0.0 else 0.0
    fee = price * (maker * rules.maker + (abs(size) - maker) * rules.taker)
    if held * size >= 0.0:
        state[ENTRY] += cost
    else:
        closed = state[ENTRY] * min(1.0, abs(size) / abs(held))
        state[ENTRY] -= closed
        state[BALANCE] += -cost - closed
    state[SIZE] = held + size
    state[SKEW] = skew + size
    state[BALANCE] -= fee
    state[IMPACT] += cost - size * price
    state[FEES] += fee
    return cost - size * price + fee


@njit(cache=True)
def profit_of(state: Floats, price: float) -> float:
    """Return unrealised profit at the index."""
    return state[SIZE] * price - state[ENTRY]


@njit(cache=True)
def nav_of(state: Floats, price: float) -> float:
    """Return all that the vault has, at the index."""
    quote = state[CASH] + state[BALANCE] + profit_of(state, price)
    return (state[IDLE] + state[MARGIN]) * price + quote


@njit(cache=True)
def room_of(state: Floats, rules: Rules, price: float, nav: float) -> float:
    """Return assets that still fit the venue's allotment."""
    there = state[BALANCE] + profit_of(state, price) + state[MARGIN] * price
    return max(0.0, rules.allotment * nav - there) / price


@njit(cache=True)
def budget_of(state: Floats, rules: Rules, nav: float, urgent: bool) -> float:
    """Return quote that a plan may cost."""
    leak = rules.cost_budget * (state[CLOCK] - state[USED_AT]) / DAY
    used = max(0.0, state[COST_USED] - leak)
    share = 1.0 if urgent else 1.0 - rules.reserve
    return max(0.0, rules.cost_budget * share - used) * nav * rules.budget_use


@njit(cache=True)
def spend(state: Floats, rules: Rules, cost: float, nav: float) -> None:
    """Draw a cost on the bucket, which leaks until now."""
    leak = rules.cost_budget * (state[CLOCK] - state[USED_AT]) / DAY
    state[COST_USED] = max(0.0, state[COST_USED] - leak) + max(0.0, cost) / nav
    state[USED_AT] = state[CLOCK]


@njit(cache=True)
def settle_loan(state: Floats) -> None:
    """Note what bears interest until the account is settled again (`Account.settled_at`)."""
    state[LOAN] = max(0.0, -state[BALANCE])


@njit(cache=True)
def liquidate(state: Floats, rules: Rules, price: float, gas_quote: float) -> None:
    """Let the backstop take what must be taken (`LiquidationRules`), and book the loss."""
    size, open_size = state[SIZE], abs(state[SIZE])
    if open_size == 0.0:
        return
    profit = profit_of(state, price)
    equity = state[BALANCE] + state[MARGIN] * price * rules.kept + profit
    if equity >= maintenance_of(rules, price, size):
        return
    before = state[MARGIN] * price + state[BALANCE] + profit
    spent = REWARDED_GAS * (gas_quote + TIP * 1e-18 * price)
    asked = min(max(spent, rules.reward_floor), rules.reward_cap)
    reward = min(asked, open_size * price * rules.reward_share)
    rate = rules.base + rules.slope * open_size / rules.scale
    lacking = max(0.0, rate * open_size * price + reward - equity)
    part = lacking / (price * (rate - rules.penalty))
    if equity <= 0.0 or part >= open_size or open_size - part < rules.min_size:
        part = open_size
    share = part / open_size
    state[BALANCE] += profit * share - part * price * rules.penalty - reward
    state[ENTRY] *= 1.0 - share
    state[SIZE] = size * (1.0 - share)
    state[STOP] += size * share
    if share == 1.0 and state[BALANCE] < 0.0:
        sold = min(state[MARGIN], -state[BALANCE] / (price * (1.0 - rules.discount)))
        state[MARGIN] -= sold
        state[BALANCE] = max(0.0, state[BALANCE] + sold * price * (1.0 - rules.discount))
    state[LOSSES] += before - state[MARGIN] * price - state[BALANCE] - profit_of(state, price)
    state[LIQUIDATIONS] += 1.0
    settle_loan(state)
