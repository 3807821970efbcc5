# SPDX-License-Identifier: MIT
"""
The hedge ratio that a strategy asks for, and what of it the book would take today. Pure; integers.

The ratio on chain is the owner's: he sets it in a call of its own, between two bounds and by at
most 25 percentage points a day. So a strategy only proposes. Its advice stands in the sum of every
decision (`hedgevault explain`), `hedgevault ratio` prints it with the call that would apply it,
and the backtest applies it once a day as an owner who follows it would.

| strategy | ratio | loses when |
|---|---|---|
| none | the book's own, for ever | see static |
| static | `static_ratio_bps`; 100 %, or an OLS or GARCH estimate of `scripts.advise` | the mark moves more or less than the index for long; shorts pay |
| minimum variance | Cov / Var of index and mark, 90 days (Ederington 1979) | a stale index or a pushed mark enters the average; on a same-coin perpetual it gains nothing over 1 |
| carry | 1 + f / (gamma sigma2) (Anderson & Danthine 1981, J. Political Economy 89:1182-1196) | funding turns: most over-hedged in rallies, least hedged when shorts pay, in crashes |
| volatility | 1 - min(most, target / sigma) (Moreira & Muir 2017, J. Finance 72:1611-1644) | the fall comes out of a calm, when most is unhedged |

`keeper.simulation.risk.ratios` has the same as floats with the estimators that need a history.
"""  # noqa: E501 - a table

from __future__ import annotations

from enum import IntEnum
from math import isqrt
from typing import Final

from keeper.explain import Sheet
from keeper.outlook import Outlook, carry_wad, minimum_variance_bps, variance_wad
from keeper.policy import Policy
from keeper.snapshot import State
from keeper.units import BPS, DAY_SECS, WAD, Bps, div_floor, mul_div_down, sign

STEP_BPS: Final = 2_500  # of the ratio in a day, as HedgeBook.vy has it


class Strategy(IntEnum):
    """`Policy.ratio_strategy`."""

    NONE = 0
    STATIC = 1
    MINIMUM_VARIANCE = 2
    CARRY = 3
    VOLATILITY = 4


def wanted_bps(outlook: Outlook, policy: Policy) -> Bps | None:
    """Return the ratio that the policy's strategy asks for; None without one, or not known yet."""
    match Strategy(policy.ratio_strategy):
        case Strategy.NONE:
            return None
        case Strategy.STATIC:
            return Bps(policy.static_ratio_bps)
        case Strategy.MINIMUM_VARIANCE:
            return minimum_variance_bps(outlook)
        case strategy:
            variance = variance_wad(outlook, policy.volatility_bps)
            if variance is None:
                return None
            if strategy is Strategy.CARRY:
                return carry_ratio_bps(carry_wad(outlook), variance, policy.aversion_bps)
            return volatility_ratio_bps(
                variance, policy.target_volatility_bps, policy.most_unhedged_bps
            )


def carry_ratio_bps(carry_a_year_wad: int, variance_a_year_wad: int, aversion_bps: int) -> Bps:
    """
    Return 1 + f / (gamma sigma2), not negative, rounded down.

    >>> carry_ratio_bps(-WAD // 10, 64 * WAD // 100, 40_000)  # shorts pay 10 % a year at 80 %
    9609
    """
    speculative = div_floor(carry_a_year_wad * BPS**2, aversion_bps * variance_a_year_wad)
    return Bps(max(0, BPS + speculative))


def volatility_ratio_bps(variance_a_year_wad: int, target_bps: int, most_bps: int) -> Bps:
    """
    Return 1 - min(most, target / sigma), rounded up.

    >>> volatility_ratio_bps(64 * WAD // 100, 2_000, 10_000)  # leaves 20 of 80 %
    7500
    """
    volatility_wad = isqrt(variance_a_year_wad * WAD)
    left = mul_div_down(target_bps, WAD, volatility_wad)
    return Bps(BPS - min(most_bps, left, BPS))


def reachable_bps(wanted: int, state: State, least_change_bps: int, at: int) -> Bps:
    """
    Return the ratio nearest to `wanted` that the book would take now.

    Parameters
    ----------
    least_change_bps : int
        A smaller change is not worth a call: then it is the ratio that is set.
    at : int
        Unix seconds; what a day allows grows with the time since the last change.
    """
    now = state.hedge_ratio_bps
    allowed = mul_div_down(STEP_BPS, min(at - state.hedge_ratio_set_at, DAY_SECS), DAY_SECS)
    inside = min(max(wanted, state.min_hedge_ratio_bps), state.max_hedge_ratio_bps)
    change = sign(inside - now) * min(abs(inside - now), allowed)
    return Bps(now + change if abs(change) >= max(least_change_bps, 1) else now)


def advice_bps(
    state: State, outlook: Outlook, policy: Policy, at: int, sheet: Sheet | None = None
) -> Bps:
    """Return the ratio to set now, the one that is set when there is nothing to advise."""
    sheet = sheet or Sheet()
    wanted = wanted_bps(outlook, policy)
    if wanted is None:
        return state.hedge_ratio_bps
    source = f"strategy {Strategy(policy.ratio_strategy).name.lower()}"
    sheet.read("ratio_wanted_bps", source, wanted, "bps")
    rule = "nearest within bounds, the step of a day and the least change"
    reached = reachable_bps(wanted, state, policy.least_ratio_change_bps, at)
    sheet.search("ratio_advised_bps", rule, reached, "bps")
    return reached
