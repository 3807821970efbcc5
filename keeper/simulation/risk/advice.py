# SPDX-License-Identifier: MIT
"""
From studies to the operator's configuration: floats end here, `Policy` holds integers.

The decision runs on fixed bands and distances. They are worked out here, off line, from costs, the
drift that a vault had, and the forecast of its market, and written into the keeper's configuration
by a person: a statistic that goes wrong cannot move a position by itself, and every decision
replays without it. Repeat it when gas, volatility or the hedge ratio have changed for long; the
band answers a price of gas 16 times higher by a factor of two only.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from keeper.band import BandTerms, joint_band, trigger_bps
from keeper.policy import MOST, Policy, policy_fault
from keeper.units import WAD

Floats = NDArray[np.float64]

YEAR_SECS = 31_557_600  # 365.25 days


def drift_variance_a_year(
    drifts: Floats, at: NDArray[np.int64], traded: NDArray[np.bool_]
) -> float:
    """
    Return a, the growth of the variance of drift a year, as a vault had it.

    Parameters
    ----------
    drifts : ndarray, shape (n,), signed gap over equity
    at : ndarray, shape (n,), int64, Unix seconds, rising
    traded : ndarray, shape (n,), bool
        Whether a rebalance fell between the sample before and this one; the first does not count.

    Raises
    ------
    ValueError
        If no two samples stand without a trade between them, times do not rise or a drift is not
        finite.
    """
    steps, moves = np.diff(at), np.diff(drifts)
    if not (np.isfinite(drifts).all() and (steps > 0).all()):
        raise ValueError("drifts must be finite and their times must rise")
    kept = ~traded[1:]
    if not kept.any():
        raise ValueError("no two samples without a trade between them")
    return float(np.sum(moves[kept] ** 2) / np.sum(steps[kept])) * YEAR_SECS


def band_terms(
    gas_share: float, cost_rate: float, drift_variance: float, aversion: float, variance: float
) -> BandTerms:
    """
    Return the terms of a band, to the nearest WAD.

    Parameters
    ----------
    gas_share : float
        Gas of one rebalance over NAV, both in one currency.
    cost_rate : float
        Fee and slippage over notional traded.
    drift_variance, variance : float
        A year, of drift and of the log price.
    aversion : float
        Relative risk aversion: 2 to 6 are usual; 1 is the logarithm.
    """
    return BandTerms(
        fixed_wad=round(gas_share * WAD),
        proportional_wad=round(cost_rate * WAD),
        drift_variance_wad=round(drift_variance * WAD),
        risk_wad=round(aversion * variance * WAD),
    )


def advised(
    policy: Policy, terms: BandTerms, headroom_bps: int, inner_bps: int, urgent_bps: int
) -> Policy:
    """
    Return the policy with the cheapest band and the margin that the forecast asks for.

    Parameters
    ----------
    policy : Policy
        What to start from; its distances keep their spacing.
    terms : BandTerms
    headroom_bps : int
        Distance to liquidation at which a margin call within the watch's reach is as unlikely as
        wanted (`margin_forecast.distance_for`).
    inner_bps, urgent_bps : int
        The chain's bands: the trigger stands between them, the target under it.

    Raises
    ------
    ValueError
        If what comes out is no usable policy; the text names the field.
    """
    band = joint_band(terms)
    trigger = trigger_bps(band.trigger_bps(), inner_bps, urgent_bps)
    higher = headroom_bps - policy.distance_low_bps
    changed = replace(
        policy,
        trigger_bps=trigger,
        target_bps=min(band.target_bps(), trigger - 1),
        distance_low_bps=headroom_bps,
        distance_target_bps=policy.distance_target_bps + higher,
        distance_high_bps=min(policy.distance_high_bps + higher, MOST["distance_high_bps"]),
    )
    fault = policy_fault(changed)
    if fault is not None:
        raise ValueError(f"no usable policy: {fault}")
    return changed
