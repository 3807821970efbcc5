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

from keeper.policy import Policy
from keeper.simulation.backtest import engine, fast_account, world
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
from keeper.simulation.backtest.fast_account import (
    BALANCE,
    CASH,
    CLOCK,
    FEES,
    FUNDING,
    GAS,
    HEDGING,
    IDLE,
    IMPACT,
    LIQUIDATIONS,
    LOSSES,
    MARGIN,
    MEAN,
    PRICE,
    REBALANCES,
    SIZE,
    SKEW,
    SPOT,
    STATES,
    TOP_UPS,
    TRADED_AT,
    Rules,
    accrue,
    budget_of,
    fill,
    liquidate,
    maintenance_of,
    nav_of,
    needed,
    profit_of,
    room_of,
    settle_loan,
    spend,
)
from keeper.simulation.backtest.stale import renew
from keeper.simulation.backtest.world import FEED_DECIMALS, MAX_AGE_SECS
from keeper.simulation.market import HOUR_SECS, MarketHour

renew(__file__, fast_account, engine, world)

Floats = NDArray[np.float64]

HALVINGS: Final = 48  # of a size that does not fit
NEUTRAL_TOLERANCE: Final = 1e-4  # of equity

# Wishes, in the order of `strategy`. Each returns gas of the plan, or 0.


@njit(cache=True)
def _added(
    state: Floats, rules: Rules, price: float, nav: float, spare: float, must: bool
) -> float:
    """Return margin to add to an account as it is (`situation.margin_in`), -1 if too little."""
    value = state[BALANCE] + profit_of(state, price)
    skew, size, held = state[SKEW], state[SIZE], state[MARGIN]
    least = needed(rules, price, skew, size, value, 0.0, rules.touched)
    low = needed(rules, price, skew, size, value, rules.low_distance, rules.low_ratio)
    if held >= max(low, least if must else 0.0):
        return 0.0
    target = needed(rules, price, skew, size, value, rules.target_distance, rules.target_ratio)
    added = min(target - held, spare, room_of(state, rules, price, nav))
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
    nav = nav_of(state, price)
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
    budget = budget_of(state, rules, nav, urgent)
    spare = _spare(state, rules, equity, margin_urgent)
    low, high, size = 0.0, cap, cap
    best = np.copy(state)
    fits = False
    for _ in range(HALVINGS):
        trial = np.copy(state)
        raises = side * state[SIZE] >= 0.0
        lost = fill(trial, rules, price, side * size)
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
    spend(state, rules, nav - nav_of(state, price), nav)
    state[REBALANCES] += 1.0
    return GAS_MARGIN


@njit(cache=True)
def _top_up(state: Floats, rules: Rules, price: float, margin_urgent: bool) -> float:
    """Add margin from idle quote against losses, then from idle assets, up to the target."""
    nav = nav_of(state, price)
    room = room_of(state, rules, price, nav)
    value = state[BALANCE] + profit_of(state, price)
    quote = max(0.0, min(-value, state[CASH], room * price))
    target = needed(
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
    equity = nav_of(state, price) / price
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
    nav = nav_of(state, price)
    bound = rules.urgent_slippage if urgent else rules.slippage
    least = rules.least_trade * nav / price
    if cap < least:
        return 0.0
    budget = budget_of(state, rules, nav, urgent)
    low, high, size = 0.0, cap, cap
    best = np.copy(state)
    for _ in range(HALVINGS):
        trial = np.copy(state)
        if quote < 0.0:
            lost = _debt_paid(trial, rules, price, size, bound)
        else:
            lost = _profit_spent(trial, rules, price, size, quote, bound, margin_urgent)
        cost = nav - nav_of(trial, price)
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
    after, equity = abs(_gap(best, rules, price)), nav_of(best, price) / price
    most = abs(_gap(state, rules, price)) + NEUTRAL_TOLERANCE * nav / price
    if after > rules.inner_band * equity and after > most:
        return 0.0
    state[:] = best
    spend(state, rules, nav - nav_of(state, price), nav)
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
    nav = nav_of(state, price)
    net = sold * (1.0 - rules.spot_fee)
    proceeds = rules.depth * price * net / (rules.depth + net)
    limit = _limit(proceeds / sold, price, bound, rules.tolerance, -1.0)
    lost = fill(state, rules, price, sold)
    state[SPOT] += sold * price - proceeds
    missing = max(0.0, sold - state[IDLE])
    state[MARGIN] -= missing
    state[IDLE] += missing - sold
    profit = profit_of(state, price)
    owed = max(0.0, -state[BALANCE] - profit)
    paid = min(owed, state[CASH] + sold * limit)
    value = state[BALANCE] + paid + min(profit, 0.0)
    need = needed(
        rules, price, state[SKEW], state[SIZE], value, rules.target_distance, rules.target_ratio
    )
    released = max(0.0, state[MARGIN] - need)
    state[MARGIN] -= released
    state[IDLE] += released
    quote = max(0.0, min(owed, paid, room_of(state, rules, price, nav) * price))
    state[BALANCE] += quote
    state[CASH] += proceeds - quote
    return lost


@njit(cache=True)
def _released(state: Floats, rules: Rules, price: float) -> float:
    """Return quote that the account would pay out and be at its target."""
    if state[BALANCE] <= 0.0:
        return 0.0
    value = min(profit_of(state, price), 0.0)
    need = needed(
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
    nav = nav_of(state, price)
    cost = rules.depth * price * bought / (rules.depth - bought) / (1.0 - rules.spot_fee)
    limit = _limit(cost / bought, price, bound, rules.tolerance, 1.0)
    if bought * limit > quote:
        return np.inf
    taken = max(0.0, bought * limit - state[CASH])
    state[BALANCE] -= taken
    state[CASH] += taken - cost
    state[IDLE] += bought
    state[SPOT] += cost - bought * price
    lost = fill(state, rules, price, -bought)
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
    nav = nav_of(state, price)
    equity = nav / price
    gap = state[IDLE] + state[MARGIN] + state[SIZE] - (1.0 - rules.ratio) * equity
    side = -1.0 if state[SIZE] > 0.0 else 1.0
    cap = min(abs(state[SIZE]), rules.max_trade, rules.urgent_band * equity - side * gap) * 0.99
    if cap < rules.least_trade * equity or cap <= 0.0:
        return 0.0
    fill(state, rules, price, side * cap)
    state[TRADED_AT] = state[CLOCK] + BLOCK_SECS
    spend(state, rules, nav - nav_of(state, price), nav)
    state[REBALANCES] += 1.0
    return GAS_PLAIN


@njit(cache=True)
def _decide(state: Floats, rules: Rules, price: float) -> float:
    """Carry out the first wish that has a plan; return its gas, 0 when there is none."""
    nav = nav_of(state, price)
    equity = nav / price
    if equity <= 0.0:
        return 0.0
    drift = abs(_gap(state, rules, price)) / equity
    value = state[BALANCE] + profit_of(state, price)
    margin_urgent = state[SIZE] != 0.0 and (
        value + state[MARGIN] * price * rules.kept
        < rules.margin_floor * maintenance_of(rules, price, state[SIZE])
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
    size, value = state[SIZE], state[BALANCE] + profit_of(state, price)
    low = needed(rules, price, state[SKEW], size, value, rules.low_distance, rules.low_ratio)
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
    nav = nav_of(state, price)
    trigger, kept = rules.settle_trigger * nav, rules.settle_target * nav
    debt = -(state[CASH] + state[BALANCE] + profit_of(state, price))
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
    value = state[BALANCE] + min(profit_of(state, price), 0.0)
    short = state[IDLE] < rules.idle_reserve * equity
    high = needed(rules, price, skew, size, value, rules.high_distance, rules.high_ratio)
    if not short and held <= high:
        return 0.0
    target = needed(rules, price, skew, size, value, rules.target_distance, rules.target_ratio)
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
        accrue(state, rules, path.closes_at[i])
        if path.good[i]:
            state[PRICE] = price
            state[SKEW] = max(-most, min(most, path.bases[i] * rules.scale))
            liquidate(state, rules, price, path.gas_quote[i])
            if i == 0:
                state[IDLE] = deposit
            _look(state, rules, price, path.closes_at[i] + HOUR_SECS, path.gas_quote[i])
        rows[i, 0] = nav_of(state, price)
        rows[i, 1] = state[IDLE] + state[MARGIN] + state[SIZE]
        rows[i, 2] = rows[i, 0] + state[SIZE] * price * state[SKEW] / rules.scale
        rows[i, 3:12] = state[FUNDING : LIQUIDATIONS + 1]
        rows[i, 12] = state[SIZE]
        rows[i, 13] = state[MARGIN] * rules.kept
        rows[i, 14] = state[BALANCE] + profit_of(state, price) + rows[i, 13] * price
        rows[i, 15] = maintenance_of(rules, price, state[SIZE])
        rows[i, 16] = state[SKEW] / rules.scale
        rows[i, 17] = rules.ratio
    return state


@njit(cache=True)
def _look(state: Floats, rules: Rules, price: float, end: float, gas_quote: float) -> None:
    """Decide, and again after each plan, while the hour lasts."""
    for _ in range(TICKS):
        gas = _decide(state, rules, price)
        if gas == 0.0:
            return
        state[GAS] += gas * gas_quote
        accrue(state, rules, state[CLOCK] + BLOCK_SECS)
        settle_loan(state)
        if state[CLOCK] + rules.cooldown >= end:
            return
        accrue(state, rules, state[CLOCK] + rules.cooldown)


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
    """
    Return what the vault does over the path, as `engine.backtest` with one block of latency.

    Raises
    ------
    ValueError
        If the policy keeps margin by forecast, which only the exact engine knows.
    """
    if policy.headroom_deviations_bps:
        raise ValueError("headroom_deviations_bps: the fast path keeps margin by fixed distances")
    deposit = setup.deposit / 10.0**setup.identity.asset_decimals
    unit = 10.0**setup.identity.quote_decimals
    rows = np.empty((len(path.prices), len(COLUMNS)))
    state = _play(path, fast_account.rules(setup, policy), deposit, rows)
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
