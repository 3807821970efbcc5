# SPDX-License-Identifier: MIT
"""
The fast path: the same vault, venue and keeper in floats, compiled, for sweeps.

It keeps the whole account that the exact engine keeps: idle and margin in both tokens, entry,
skew, mean premium, funding on what each side can pay, impact, fees, spot pool, gas, liquidation
and the keeper's order of wishes (`keeper.strategy`). Left out are what binds on no path of the
files: turnover budgets, caps of a side, the pool's equity, refusals after latency. Hour steps,
one block of latency, the price of the decision. Against the exact engine NAV agrees within the
tolerance that `tests/unit/simulation/test_backtest_fast.py` states; what is decided there with a
fresh plan each time is the same formula here.

Whole units: assets and quote as floats; prices quote per asset. Sizes long positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from keeper.margins import levels
from keeper.policy import Policy
from keeper.simulation.backtest.defaults import Setup
from keeper.simulation.backtest.engine import (
    BLOCK_SECS,
    COLUMNS,
    GAS_MARGIN,
    GAS_PLAIN,
    GAS_SPOT,
    TICKS,
    Result,
    Tally,
)
from keeper.simulation.backtest.world import FEED_DECIMALS, MAX_AGE_SECS
from keeper.simulation.flow import CAP_MARGIN_BPS
from keeper.simulation.market import HOUR_SECS, MarketHour
from keeper.units import BPS, FUNDING_PERIOD_SECS, WAD

Floats = NDArray[np.float64]

MEAN_SECS: Final = 1_800.0  # time constant of the mean premium
DAY: Final = 86_400.0
HALVINGS: Final = 48  # of a size that does not fit
NEUTRAL_TOLERANCE: Final = 1e-4  # of equity

# The account, one float each.
IDLE, CASH, MARGIN, BALANCE, SIZE, ENTRY, SKEW, STOP, MEAN = range(9)
COST_USED, USED_AT, HEDGING, PRICE, CLOCK, TRADED_AT = range(9, 15)
# Sums, in the order of `engine.COLUMNS`.
FUNDING, IMPACT, FEES, SPOT, GAS, LOSSES, REBALANCES, TOP_UPS, LIQUIDATIONS = range(15, 24)
STATES: Final = 24


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
    reward: float
    reward_share: float
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
        reward=terms.reward / unit,
        reward_share=terms.reward_share_wad / WAD,
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
def _accrue(state: Floats, rules: Rules, at: float) -> None:
    """Pay funding and move the mean premium from the clock to `at`."""
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
    state[BALANCE] += paid
    state[FUNDING] += paid
    state[MEAN] = premium + (state[MEAN] - premium) * np.exp(-secs / MEAN_SECS)


@njit(cache=True)
def _needed(
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
def _maintenance(rules: Rules, price: float, size: float) -> float:
    rate = rules.base + rules.slope * abs(size) / rules.scale
    return abs(size) * price * max(rate * rules.share, rules.floor)


@njit(cache=True)
def _fill(state: Floats, rules: Rules, price: float, size: float) -> float:
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
def _profit(state: Floats, price: float) -> float:
    return state[SIZE] * price - state[ENTRY]


@njit(cache=True)
def _nav(state: Floats, price: float) -> float:
    quote = state[CASH] + state[BALANCE] + _profit(state, price)
    return (state[IDLE] + state[MARGIN]) * price + quote


@njit(cache=True)
def _room(state: Floats, rules: Rules, price: float, nav: float) -> float:
    """Return assets that still fit the venue's allotment."""
    there = state[BALANCE] + _profit(state, price) + state[MARGIN] * price
    return max(0.0, rules.allotment * nav - there) / price


@njit(cache=True)
def _budget(state: Floats, rules: Rules, nav: float, urgent: bool) -> float:
    """Return quote that a plan may cost."""
    leak = rules.cost_budget * (state[CLOCK] - state[USED_AT]) / DAY
    used = max(0.0, state[COST_USED] - leak)
    share = 1.0 if urgent else 1.0 - rules.reserve
    return max(0.0, rules.cost_budget * share - used) * nav * rules.budget_use


@njit(cache=True)
def _spend(state: Floats, rules: Rules, cost: float, nav: float) -> None:
    leak = rules.cost_budget * (state[CLOCK] - state[USED_AT]) / DAY
    state[COST_USED] = max(0.0, state[COST_USED] - leak) + max(0.0, cost) / nav
    state[USED_AT] = state[CLOCK]


@njit(cache=True)
def _liquidate(state: Floats, rules: Rules, price: float) -> None:
    """Let the backstop take what must be taken (`LiquidationRules`), and book the loss."""
    size, open_size = state[SIZE], abs(state[SIZE])
    if open_size == 0.0:
        return
    profit = _profit(state, price)
    equity = state[BALANCE] + state[MARGIN] * price * rules.kept + profit
    if equity >= _maintenance(rules, price, size):
        return
    before = state[MARGIN] * price + state[BALANCE] + profit
    reward = min(rules.reward, open_size * price * rules.reward_share)
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
    state[LOSSES] += before - state[MARGIN] * price - state[BALANCE] - _profit(state, price)
    state[LIQUIDATIONS] += 1.0


# Wishes, in the order of `strategy`. Each returns gas of the plan, or 0.


@njit(cache=True)
def _added(
    state: Floats, rules: Rules, price: float, nav: float, spare: float, must: bool
) -> float:
    """Return margin to add to an account as it is (`situation.margin_in`), -1 if too little."""
    value = state[BALANCE] + _profit(state, price)
    skew, size, held = state[SKEW], state[SIZE], state[MARGIN]
    least = _needed(rules, price, skew, size, value, 0.0, rules.touched)
    low = _needed(rules, price, skew, size, value, rules.low_distance, rules.low_ratio)
    if held >= max(low, least if must else 0.0):
        return 0.0
    target = _needed(rules, price, skew, size, value, rules.target_distance, rules.target_ratio)
    added = min(target - held, spare, _room(state, rules, price, nav))
    if must and held + added < least * (1.0 - 1e-12):
        return -1.0
    return max(0.0, added)


@njit(cache=True)
def _spare(state: Floats, rules: Rules, equity: float, margin_urgent: bool) -> float:
    if margin_urgent:
        return state[IDLE]
    return max(0.0, state[IDLE] - rules.idle_reserve * equity)


@njit(cache=True)
def _hedge(state: Floats, rules: Rules, price: float, urgent: bool, margin_urgent: bool) -> float:
    """Close the gap, as far as fill, budget and margin let one plan."""
    nav = _nav(state, price)
    equity = nav / price
    gap = state[IDLE] + state[MARGIN] + state[SIZE] - (1.0 - rules.ratio) * equity
    wanted = abs(gap) - rules.target * equity
    if wanted <= 0.0:
        return 0.0
    side = -1.0 if gap > 0.0 else 1.0
    away = side * (state[SKEW] / rules.scale - state[MEAN])
    if away > rules.premium_gap and not urgent:
        return 0.0
    cap = min(wanted, rules.max_trade, equity * rules.most_trade)
    bound = rules.urgent_slippage if urgent else rules.slippage
    budget = _budget(state, rules, nav, urgent)
    spare = _spare(state, rules, equity, margin_urgent)
    low, high, size = 0.0, cap, cap
    best = np.copy(state)
    fits = False
    for _ in range(HALVINGS):
        trial = np.copy(state)
        raises = side * state[SIZE] >= 0.0
        lost = _fill(trial, rules, price, side * size)
        added = _added(trial, rules, price, nav, spare, raises)
        most = min(bound, rules.cost_bound) * size * price
        if added >= 0.0 and lost <= most and lost <= budget:
            trial[IDLE] -= added
            trial[MARGIN] += added
            best, fits, low = trial, True, size
            if size == cap:
                break
        else:
            high = size
        size = (low + high) / 2.0
    if not fits or low < min(rules.least_trade * equity, cap):
        return 0.0
    if not _may_trade(state, rules, urgent):
        return 0.0
    state[:] = best
    state[TRADED_AT] = state[CLOCK] + BLOCK_SECS
    _spend(state, rules, nav - _nav(state, price), nav)
    state[REBALANCES] += 1.0
    return GAS_MARGIN


@njit(cache=True)
def _top_up(state: Floats, rules: Rules, price: float, margin_urgent: bool) -> float:
    """Add margin from idle quote against losses, then from idle assets, up to the target."""
    nav = _nav(state, price)
    room = _room(state, rules, price, nav)
    value = state[BALANCE] + _profit(state, price)
    quote = max(0.0, min(-value, state[CASH], room * price))
    target = _needed(
        rules, price, state[SKEW], state[SIZE], value + quote,
        rules.target_distance, rules.target_ratio,
    )  # fmt: skip
    lacking = max(0.0, target - state[MARGIN])
    spare = _spare(state, rules, nav / price, margin_urgent)
    assets = min(lacking, spare, max(0.0, room - quote / price))
    least = rules.least_trade * max(nav, 0.0) / price
    if quote == 0.0 and assets < min(least, lacking):
        return 0.0
    if quote + assets <= 0.0:
        return 0.0
    state[CASH] -= quote
    state[BALANCE] += quote
    state[IDLE] -= assets
    state[MARGIN] += assets
    state[TOP_UPS] += 1.0
    return GAS_MARGIN


@njit(cache=True)
def _limit(expected: float, price: float, bound: float, tolerance: float, side: float) -> float:
    if side > 0.0:
        return min(expected * (1.0 + tolerance), max(price * (1.0 + bound), expected))
    return max(expected * (1.0 - tolerance), min(price * (1.0 - bound), expected))


@njit(cache=True)
def _gap(state: Floats, rules: Rules, price: float) -> float:
    equity = _nav(state, price) / price
    return state[IDLE] + state[MARGIN] + state[SIZE] - (1.0 - rules.ratio) * equity


@njit(cache=True)
def _settled(
    state: Floats,
    rules: Rules,
    price: float,
    cap: float,
    quote: float,
    urgent: bool,
    margin_urgent: bool,
) -> float:
    """Carry out the largest settlement up to `cap`: of debt where `quote` is negative."""
    nav = _nav(state, price)
    bound = rules.urgent_slippage if urgent else rules.slippage
    least = rules.least_trade * nav / price
    if cap < least:
        return 0.0
    budget = _budget(state, rules, nav, urgent)
    low, high, size = 0.0, cap, cap
    best = np.copy(state)
    for _ in range(HALVINGS):
        trial = np.copy(state)
        if quote < 0.0:
            lost = _debt_paid(trial, rules, price, size, bound)
        else:
            lost = _profit_spent(trial, rules, price, size, quote, bound, margin_urgent)
        cost = nav - _nav(trial, price)
        if lost <= bound * size * price and cost <= min(
            budget, rules.cost_bound * 2 * size * price
        ):
            best, low = trial, size
            if size == cap:
                break
        else:
            high = size
        size = (low + high) / 2.0
    if low < max(min(least, cap), 1e-18) or not _may_trade(state, rules, urgent):
        return 0.0
    after, equity = abs(_gap(best, rules, price)), _nav(best, price) / price
    most = abs(_gap(state, rules, price)) + NEUTRAL_TOLERANCE * nav / price
    if after > rules.inner_band * equity and after > most:
        return 0.0
    state[:] = best
    _spend(state, rules, nav - _nav(state, price), nav)
    state[REBALANCES] += 1.0
    state[TRADED_AT] = state[CLOCK] + BLOCK_SECS
    return GAS_SPOT


@njit(cache=True)
def _may_trade(state: Floats, rules: Rules, urgent: bool) -> bool:
    return urgent or state[CLOCK] >= state[TRADED_AT] + rules.cooldown


@njit(cache=True)
def _pay_debt(state: Floats, rules: Rules, price: float, debt: float, urgent: bool) -> float:
    """Sell assets at the spot pool, buy as much hedge back, put the proceeds to the account."""
    sold = min(debt / price, -state[SIZE], rules.max_trade)
    return _settled(state, rules, price, sold, -1.0, urgent, False)


@njit(cache=True)
def _debt_paid(state: Floats, rules: Rules, price: float, sold: float, bound: float) -> float:
    """Play the plan of `settlement._debt_plan`; return what the hedge cost over the index."""
    nav = _nav(state, price)
    net = sold * (1.0 - rules.spot_fee)
    proceeds = rules.depth * price * net / (rules.depth + net)
    limit = _limit(proceeds / sold, price, bound, rules.tolerance, -1.0)
    lost = _fill(state, rules, price, sold)
    state[SPOT] += sold * price - proceeds
    missing = max(0.0, sold - state[IDLE])
    state[MARGIN] -= missing
    state[IDLE] += missing - sold
    profit = _profit(state, price)
    owed = max(0.0, -state[BALANCE] - profit)
    paid = min(owed, state[CASH] + sold * limit)
    value = state[BALANCE] + paid + min(profit, 0.0)
    need = _needed(
        rules, price, state[SKEW], state[SIZE], value, rules.target_distance, rules.target_ratio
    )
    released = max(0.0, state[MARGIN] - need)
    state[MARGIN] -= released
    state[IDLE] += released
    quote = max(0.0, min(owed, paid, _room(state, rules, price, nav) * price))
    state[BALANCE] += quote
    state[CASH] += proceeds - quote
    return lost


@njit(cache=True)
def _released(state: Floats, rules: Rules, price: float) -> float:
    """Return quote that the account would pay out and be at its target."""
    if state[BALANCE] <= 0.0:
        return 0.0
    value = min(_profit(state, price), 0.0)
    need = _needed(
        rules, price, state[SKEW], state[SIZE], value, rules.target_distance, rules.target_ratio
    )
    return max(0.0, state[BALANCE] - max(0.0, need - state[MARGIN]) * price)


@njit(cache=True)
def _spend_profit(
    state: Floats, rules: Rules, price: float, quote: float, urgent: bool, margin_urgent: bool
) -> float:
    """Buy assets with quote from idle and the account, and sell as much more of the hedge."""
    bought = min(quote / price, rules.max_trade)
    return _settled(state, rules, price, bought, quote, urgent, margin_urgent)


@njit(cache=True)
def _profit_spent(
    state: Floats,
    rules: Rules,
    price: float,
    bought: float,
    quote: float,
    bound: float,
    margin_urgent: bool,
) -> float:
    """Play the plan of `settlement._profit_plan`; return the hedge's cost, inf if it fails."""
    nav = _nav(state, price)
    cost = rules.depth * price * bought / (rules.depth - bought) / (1.0 - rules.spot_fee)
    limit = _limit(cost / bought, price, bound, rules.tolerance, 1.0)
    if bought * limit > quote:
        return np.inf
    taken = max(0.0, bought * limit - state[CASH])
    state[BALANCE] -= taken
    state[CASH] += taken - cost
    state[IDLE] += bought
    state[SPOT] += cost - bought * price
    lost = _fill(state, rules, price, -bought)
    spare = _spare(state, rules, nav / price, margin_urgent)
    added = _added(state, rules, price, nav, spare, True)
    if added < 0.0:
        return np.inf
    state[IDLE] -= added
    state[MARGIN] += added
    return lost


@njit(cache=True)
def _reduce(state: Floats, rules: Rules, price: float) -> float:
    """Buy hedge back within the urgent band when nothing else raises the margin."""
    nav = _nav(state, price)
    equity = nav / price
    gap = state[IDLE] + state[MARGIN] + state[SIZE] - (1.0 - rules.ratio) * equity
    side = -1.0 if state[SIZE] > 0.0 else 1.0
    cap = min(abs(state[SIZE]), rules.max_trade, rules.urgent_band * equity - side * gap) * 0.99
    if cap < rules.least_trade * equity or cap <= 0.0:
        return 0.0
    _fill(state, rules, price, side * cap)
    state[TRADED_AT] = state[CLOCK] + BLOCK_SECS
    _spend(state, rules, nav - _nav(state, price), nav)
    state[REBALANCES] += 1.0
    return GAS_PLAIN


@njit(cache=True)
def _decide(state: Floats, rules: Rules, price: float) -> float:
    """Carry out the first wish that has a plan; return its gas, 0 when there is none."""
    nav = _nav(state, price)
    equity = nav / price
    if equity <= 0.0:
        return 0.0
    drift = abs(_gap(state, rules, price)) / equity
    value = state[BALANCE] + _profit(state, price)
    margin_urgent = state[SIZE] != 0.0 and (
        value + state[MARGIN] * price * rules.kept
        < rules.margin_floor * _maintenance(rules, price, state[SIZE])
    )
    urgent = drift > rules.urgent_band or margin_urgent
    keeps = state[HEDGING] > 0.0 and drift > max(rules.inner_band, rules.target)
    state[HEDGING] = 1.0 if drift > rules.trigger or keeps else 0.0
    gas = 0.0
    if state[HEDGING] > 0.0:
        gas = _hedge(state, rules, price, urgent, margin_urgent)
    if gas == 0.0:
        gas = _secure(state, rules, price, urgent, margin_urgent)
    if gas == 0.0:
        gas = _settle(state, rules, price, urgent, margin_urgent)
    if gas == 0.0:
        gas = _take_back(state, rules, price, equity)
    return gas


@njit(cache=True)
def _secure(state: Floats, rules: Rules, price: float, urgent: bool, margin_urgent: bool) -> float:
    """When margin is low: top up, else pay debt, else reduce."""
    size, value = state[SIZE], state[BALANCE] + _profit(state, price)
    low = _needed(rules, price, state[SKEW], size, value, rules.low_distance, rules.low_ratio)
    if state[MARGIN] >= low:
        return 0.0
    gas = _top_up(state, rules, price, margin_urgent)
    debt = -(state[CASH] + value)
    if gas == 0.0 and size != 0.0 and debt > 0.0:
        gas = _pay_debt(state, rules, price, debt, urgent)
    if gas == 0.0 and size != 0.0 and margin_urgent:
        gas = _reduce(state, rules, price)
    return gas


@njit(cache=True)
def _settle(state: Floats, rules: Rules, price: float, urgent: bool, margin_urgent: bool) -> float:
    """Settle quote debt or profit over its trigger."""
    nav = _nav(state, price)
    trigger, kept = rules.settle_trigger * nav, rules.settle_target * nav
    debt = -(state[CASH] + state[BALANCE] + _profit(state, price))
    if debt > trigger:
        return _pay_debt(state, rules, price, debt - kept, urgent) if state[SIZE] < 0.0 else 0.0
    if state[CASH] + max(0.0, state[BALANCE]) <= trigger:
        return 0.0
    available = state[CASH] + _released(state, rules, price)
    if available <= trigger:
        return 0.0
    return _spend_profit(state, rules, price, available - kept, urgent, margin_urgent)


@njit(cache=True)
def _take_back(state: Floats, rules: Rules, price: float, equity: float) -> float:
    skew, size, held = state[SKEW], state[SIZE], state[MARGIN]
    value = state[BALANCE] + min(_profit(state, price), 0.0)
    short = state[IDLE] < rules.idle_reserve * equity
    high = _needed(rules, price, skew, size, value, rules.high_distance, rules.high_ratio)
    if not short and held <= high:
        return 0.0
    target = _needed(rules, price, skew, size, value, rules.target_distance, rules.target_ratio)
    surplus = held - target
    if surplus < rules.least_trade * equity:
        return 0.0
    state[MARGIN] -= surplus
    state[IDLE] += surplus
    state[TOP_UPS] += 1.0
    return GAS_MARGIN


class Bars(NamedTuple):
    """A path as arrays, made once for many runs; shape (n,) each."""

    closes_at: Floats  # Unix seconds
    spot: Floats
    prices: Floats  # what the oracle says
    bases: Floats
    good: NDArray[np.bool_]  # whether the oracle says anything
    gas_quote: Floats  # what a unit of gas costs in quote


@njit(cache=True)
def _play(path: Bars, rules: Rules, deposit: float, rows: Floats) -> Floats:
    """Play all hours into `rows` and return the account at the end."""
    state = np.zeros(STATES)
    state[TRADED_AT] = -rules.cooldown
    state[CLOCK] = path.closes_at[0]
    most = rules.premium_cap * rules.scale
    for i in range(len(path.prices)):
        price = path.prices[i]
        _accrue(state, rules, path.closes_at[i])
        if path.good[i]:
            state[PRICE] = price
            state[SKEW] = max(-most, min(most, path.bases[i] * rules.scale))
            _liquidate(state, rules, price)
            if i == 0:
                state[IDLE] = deposit
            _look(state, rules, price, path.closes_at[i] + HOUR_SECS, path.gas_quote[i])
        rows[i, 0] = _nav(state, price)
        rows[i, 1] = state[IDLE] + state[MARGIN] + state[SIZE]
        rows[i, 2] = rows[i, 0] + state[SIZE] * price * state[SKEW] / rules.scale
        rows[i, 3:] = state[FUNDING : LIQUIDATIONS + 1]
    return state


@njit(cache=True)
def _look(state: Floats, rules: Rules, price: float, end: float, gas_quote: float) -> None:
    """Decide, and again after each plan, while the hour lasts."""
    for _ in range(TICKS):
        gas = _decide(state, rules, price)
        if gas == 0.0:
            return
        state[GAS] += gas * gas_quote
        _accrue(state, rules, state[CLOCK] + BLOCK_SECS)
        if state[CLOCK] + rules.cooldown >= end:
            return
        _accrue(state, rules, state[CLOCK] + rules.cooldown)


def bars(hours: Sequence[MarketHour]) -> Bars:
    """Return the hours as arrays; a halted hour keeps the last published price."""
    n = len(hours)
    prices, good = np.empty(n), np.empty(n, dtype=np.bool_)
    last, last_at = 0.0, 0
    for i, hour in enumerate(hours):
        if not hour.spot_halted:
            last, last_at = round(hour.spot, FEED_DECIMALS), hour.closes_at
        prices[i], good[i] = last, hour.closes_at - last_at <= MAX_AGE_SECS
    return Bars(
        closes_at=np.array([float(hour.closes_at) for hour in hours]),
        spot=np.array([hour.spot for hour in hours]),
        prices=prices,
        bases=np.array([hour.basis for hour in hours]),
        good=good,
        gas_quote=np.array([(hour.gas_gwei or 0.0) * 1e-9 * hour.spot for hour in hours]),
    )


def play(path: Bars, setup: Setup, policy: Policy) -> Result:
    """Return what the vault does over the path, as `engine.backtest` with one block of latency."""
    deposit = setup.deposit / 10.0**setup.identity.asset_decimals
    unit = 10.0**setup.identity.quote_decimals
    rows = np.empty((len(path.prices), len(COLUMNS)))
    state = _play(path, rules(setup, policy), deposit, rows)
    tally = Tally(
        funding=round(state[FUNDING] * unit),
        impact=round(state[IMPACT] * unit),
        fees=round(state[FEES] * unit),
        spot=round(state[SPOT] * unit),
        losses=round(state[LOSSES] * unit),
        gas=float(state[GAS] * unit),
        rebalances=int(state[REBALANCES]),
        top_ups=int(state[TOP_UPS]),
        liquidations=int(state[LIQUIDATIONS]),
        blind_hours=int(np.sum(~path.good)),
    )
    return Result(
        closes_at=path.closes_at.astype(np.int64),
        spot=path.spot,
        rows=rows,
        tally=tally,
        deposit=deposit,
    )
