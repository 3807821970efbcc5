# SPDX-License-Identifier: MIT
"""
Seeded market paths with a crash and a squeeze in them.

The price follows a jump diffusion (Merton 1976, J. Financial Economics 3:125-144), the basis
reverts to its mean and is pushed by the jumps: in a crash the perp trades under spot, in a
squeeze over it, as on 2020-03-13 and 2021-02-11 in the hourly files.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keeper.simulation.market import FUNDING_SECS, HOUR_SECS, MarketHour

MIN_HOURS = 8  # shorter, crash and squeeze would overlap
MAX_HOURS = 24 * 366
INTEREST_RATE = 0.0001  # per 8 hours, the exchanges' default
FUNDING_CLAMP = 0.0005


@dataclass(frozen=True, slots=True, kw_only=True)
class PathTerms:
    """
    What a path looks like; rates per hour unless said otherwise, moves in logs.

    Defaults are in the range of the ETH hourly file: 0.9 % an hour (81 % a year), basis mean and
    deviation of 2024-25; the crash and the squeeze are of the size of its worst hours.
    """

    first_price: float = 2_500.0
    volatility: float = 0.009
    jumps: float = 0.01  # expected number per hour
    jump_deviation: float = 0.02
    basis_mean: float = 0.0003
    basis_reversion: float = 0.25  # share of the distance that closes in an hour
    basis_deviation: float = 0.00015
    crash: float = -0.30
    crash_basis: float = -0.0045
    squeeze: float = 0.28
    squeeze_basis: float = 0.0040
    stress_at: tuple[float, float] = (0.35, 0.70)  # start of crash and squeeze in the path
    stress_share: float = 0.04  # of the path that each takes, at least two hours


def jump_diffusion(
    hours: int, seed: int, starts_at: int, terms: PathTerms | None = None
) -> list[MarketHour]:
    """
    Return `hours` hours that depend on the arguments alone.

    Parameters
    ----------
    hours : int
        In ``[MIN_HOURS, MAX_HOURS]``.
    seed : int
        Not negative.
    starts_at : int
        Unix seconds; the first hour closes one hour later, rounded up to the full hour.

    Raises
    ------
    ValueError
        If `hours` or `seed` is out of range.
    """
    if not MIN_HOURS <= hours <= MAX_HOURS:
        raise ValueError(f"a path has {MIN_HOURS} to {MAX_HOURS} hours, not {hours}")
    if seed < 0:
        raise ValueError(f"a seed is not negative, got {seed}")
    terms = terms or PathTerms()
    random = np.random.default_rng(seed)
    moves, pushes = _stress(hours, random, terms)
    spots = terms.first_price * np.exp(np.cumsum(_returns(hours, random, terms) + moves))
    bases = _bases(random, pushes, terms)
    first_close = -(-starts_at // HOUR_SECS) * HOUR_SECS + HOUR_SECS
    rows = []
    for i in range(hours):
        closes_at = first_close + i * HOUR_SECS
        rows.append(
            MarketHour(
                closes_at=closes_at,
                spot=round(float(spots[i]), 2),
                perp=round(float(spots[i] * (1.0 + bases[i])), 2),
                funding_rate=_funding_rate(bases[: i + 1], closes_at),
            )
        )
    return rows


def _returns(hours: int, random: np.random.Generator, terms: PathTerms) -> NDArray[np.float64]:
    """Return log returns with mean-one jumps, so that the expected price does not drift."""
    diffusion = terms.volatility * random.standard_normal(hours) - terms.volatility**2 / 2
    counts = random.poisson(terms.jumps, hours)
    jumps = terms.jump_deviation * np.sqrt(counts) * random.standard_normal(hours)
    return diffusion + jumps - counts * terms.jump_deviation**2 / 2


def _stress(
    hours: int, random: np.random.Generator, terms: PathTerms
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the extra log return and the extra basis of each hour, shape ``(hours,)`` each."""
    moves = np.zeros(hours)
    pushes = np.zeros(hours)
    length = max(2, math.ceil(hours * terms.stress_share))
    sizes = ((terms.crash, terms.crash_basis), (terms.squeeze, terms.squeeze_basis))
    for start, (move, push) in zip(terms.stress_at, sizes, strict=True):
        first = min(round(start * hours), hours - length)
        shares = random.dirichlet(np.full(length, 4.0))
        moves[first : first + length] += move * shares
        pushes[first : first + length] += push * shares / shares.max()
    return moves, pushes


def _bases(
    random: np.random.Generator, pushes: NDArray[np.float64], terms: PathTerms
) -> NDArray[np.float64]:
    """Return an AR(1) basis around its mean; a push decays at the same speed."""
    bases = np.empty(len(pushes))
    basis = terms.basis_mean
    for i, push in enumerate(pushes):
        shock = terms.basis_deviation * random.standard_normal()
        basis += terms.basis_reversion * (terms.basis_mean - basis) + shock + push
        bases[i] = basis
    return bases


def _funding_rate(bases: NDArray[np.float64], closes_at: int) -> float | None:
    """Return premium + clamp(interest - premium), as Binance settles it, at 00, 08 and 16 UTC."""
    if closes_at % FUNDING_SECS:
        return None
    premium = float(bases[-FUNDING_SECS // HOUR_SECS :].mean())
    interest = min(max(INTEREST_RATE - premium, -FUNDING_CLAMP), FUNDING_CLAMP)
    return round(premium + interest, 8)
