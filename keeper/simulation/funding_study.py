# SPDX-License-Identifier: MIT
"""
The venue's funding against the funding that an exchange paid.

The reference venue is driven by a file: at each hourly close the index becomes the spot price and
a trader moves the skew until K / L = perp / spot - 1, held for the next hour as a chain would.
What the long index grew in the 8 hours before a settlement, over the mean of the 8 index prices
that it grew on, is the rate that longs would have been charged; `funding_rate` is what they paid.

Why spot and not mark: the exchange's mark is a median that follows its own contract price, so
perp / mark - 1 is noise around zero and says nothing of the premium.

The exchange's rule [1]_: its premium index max(0, impact bid - index) - max(0, index - impact ask)
over index, sampled every 5 s, is averaged with weights 1, 2, ..., n growing to the settlement, and
the clamp is applied to the average. `ladder` goes from our rule to theirs one step at a time.

Gaps: hours with a halted spot market keep their last basis (`market_file`), and a period that
touches one is left out of the statistics; the stale spot quotes stand next to such hours. Missing
hours, missing settlements and a premium beyond `MAX_PREMIUM` are refused. The first weeks of the
contracts are illiquid: begin at `FIRST_DAY`.

Floats are fine here except inside the venue.

References
----------
.. [1] Binance, "Introduction to Binance Futures Funding Rates", FAQ 360033525031; mark price,
   FAQ 360033525071.
"""

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keeper.simulation.flow import PerpBook, trader_size
from keeper.simulation.market import FUNDING_SECS, HOUR_SECS, MarketHour
from keeper.simulation.reference import Price, Terms, Venue, build
from keeper.units import WAD

Floats = NDArray[np.float64]

FIRST_DAY: Final = datetime.date(2020, 1, 1)
LAST_DAY: Final = datetime.date(2026, 1, 1)  # its first hour settles the last period of 2025
HOURS: Final = FUNDING_SECS // HOUR_SECS  # in a period
INTEREST: Final = 1e-4  # per 8 hours
BAND: Final = 5e-4
VENUE_CAP: Final = 75e-4
EXCHANGE_CAPS: Final[Mapping[str, float]] = {
    "ETH": 0.00375,  # 0.75 of the lowest maintenance margin; the worst rates on file are these
    "BTC": 0.0030,
    "ADA": 0.004875,
}
FILE_STEP: Final = 1e-8  # the files' rates are rounded to it
MAX_PREMIUM: Final = 0.10  # the worst on file from 2020 on is 0.026 (BTC, 2020-03-13)
BP: Final = 1e4
WEIGHTS: Final = np.arange(1, HOURS + 1) / (HOURS * (HOURS + 1) / 2)

_UNIT = 10**18  # raw units of one asset
_PLENTY = 10**24  # quote, raw: nobody here is to run out of margin
_STANDING = 10**3 * _UNIT  # on each side, so that both indices always grow
_BP_WAD = 10**14
_TRADER = "trader"
_ASSET_DECIMALS, _QUOTE_DECIMALS = 18, 6


class StudyRefused(Exception):
    """The hours cannot be studied; the text says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """
    The settlements of one coin, n of them, 8 hours apart.

    Attributes
    ----------
    ends_at : ndarray, shape (n,), int64, Unix seconds
    paid : ndarray, shape (n,), fraction of notional per 8 hours, longs pay if positive
    charged : ndarray, shape (n,), the same by our venue
    premiums : ndarray, shape (n, 9), perp / spot - 1 at the closes from start to end
    over_mark : ndarray, shape (n, 9), perp / mark - 1, nan where there was no mark
    halted : ndarray, shape (n,), bool, spot was halted at one of the nine closes
    """

    ends_at: NDArray[np.int64]
    paid: Floats
    charged: Floats
    premiums: Floats
    over_mark: Floats
    halted: NDArray[np.bool_]

    @property
    def years(self) -> NDArray[np.int64]:
        """Return the calendar year, UTC, in which each period began."""
        begins = (self.ends_at - FUNDING_SECS).astype("datetime64[s]")
        return begins.astype("datetime64[Y]").astype(np.int64) + 1970

    def where(self, chosen: NDArray[np.bool_]) -> "Periods":
        """Return the chosen periods."""
        names = ("ends_at", "paid", "charged", "premiums", "over_mark", "halted")
        return Periods(**{name: getattr(self, name)[chosen] for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """
    How one series of rates matches what was paid; rates in bp per 8 hours, shares 0 to 1.

    `correlation` is nan where a series does not move. `at_interest` is the share of periods at
    exactly 0.01 %, the value inside the clamp, to the file's last digit.
    """

    n: int
    mean: float
    paid: float
    correlation: float
    mean_error: float
    rmse: float
    at_interest: float
    paid_at_interest: float
    negative: float
    paid_negative: float


class _Index:
    """An oracle that answers the last close."""

    def __init__(self) -> None:
        self.price_wad = WAD

    def read(self, *, at: int) -> Price:
        return Price(self.price_wad, at, 1)


class DrivenVenue:
    """
    The reference venue with a standing long, a standing short and a trader who moves the skew.

    No fee, caps out of reach, deep accounts: only funding is studied here.
    """

    def __init__(self, hour: MarketHour) -> None:
        self._index = _Index()
        self.close(hour)
        at = hour.closes_at
        self.venue: Venue = build(
            study_terms(),
            self._index,
            asset_decimals=_ASSET_DECIMALS,
            quote_decimals=_QUOTE_DECIMALS,
            at=at,
        )
        self.venue.pool.request_provide("owner", _PLENTY, at=at)
        self.venue.pool.execute_provide("owner", at=at)
        for owner, size in (("long", _STANDING), ("short", -_STANDING), (_TRADER, 0)):
            self.venue.deposit(owner, 0, _PLENTY, at=at)
            if size:
                self._trade(owner, size, at)

    def close(self, hour: MarketHour) -> None:
        """Let the index be the spot price of this close."""
        self._index.price_wad = round(hour.spot * WAD)

    def follow(self, premium: float, at: int) -> None:
        """Trade until K / L is the premium; this accrues, also when there is nothing to trade."""
        size = trader_size(self._book(), premium)
        if size:
            self._trade(_TRADER, size, at)
        else:
            self.poke(at)
        if abs(self.venue.skew - premium * self.venue.terms.skew_scale) > 1:
            raise StudyRefused(f"the venue cannot reach a premium of {premium:+.4f} at {_day(at)}")

    def poke(self, at: int) -> None:
        """Accrue and take the index price for what follows."""
        self.venue.accrue(at=at)

    @property
    def long_index_wad(self) -> int:
        """Return quote that a long of one asset owed from the start to the last touch, WAD."""
        return self.venue.long_index_wad

    @property
    def price_wad(self) -> int:
        """Return the index price of the last close, WAD."""
        return self._index.price_wad

    def _trade(self, owner: str, size: int, at: int) -> None:
        self.venue.trade(owner, 0, size, 2**256 - 1 if size > 0 else 0, at=at)

    def _book(self) -> PerpBook:
        venue, terms = self.venue, self.venue.terms
        return PerpBook(
            skew=venue.skew,
            skew_scale=terms.skew_scale,
            long_size=venue.longs,
            short_size=venue.shorts,
            max_side=terms.max_side,
            max_skew=terms.skew_scale * terms.premium_cap_wad // WAD,
            position=venue.account(_TRADER).size,
        )


def study_terms() -> Terms:
    """Return the funding terms of the deployment; fees of zero and caps that never bind."""
    return Terms(
        skew_scale=10**6 * _UNIT,
        max_side=2 * 10**5 * _UNIT,
        min_size=1,
        premium_cap_wad=2_000 * _BP_WAD,
        skew_share_wad=5_000 * _BP_WAD,
        taker_fee_wad=0,
        maker_fee_wad=0,
        fund_share_wad=0,
        interest_wad=_BP_WAD,
        interest_band_wad=5 * _BP_WAD,
        funding_cap_wad=75 * _BP_WAD,
        initial_base_wad=500 * _BP_WAD,
        initial_slope_wad=2_000 * _BP_WAD,
        maintenance_share_wad=5_000 * _BP_WAD,
        maintenance_buffer_wad=50 * _BP_WAD,
        haircut_wad=1_000 * _BP_WAD,
        discount_wad=500 * _BP_WAD,
        penalty_wad=150 * _BP_WAD,
        reward_floor=5 * 10**_QUOTE_DECIMALS,
        reward_cap=5 * 10**_QUOTE_DECIMALS,
        reward_share_wad=10 * _BP_WAD,
        liquidation_flow=10**6 * _UNIT,
        unwind_step=0,
        loan_rate_wad=0,
        loan_share_wad=0,
        realise_share_wad=0,
        low_share_wad=0,
    )


# The venue on a path


def study(hours: Sequence[MarketHour]) -> Periods:
    """
    Drive the venue through the hours and return each period that stands there whole.

    Raises
    ------
    StudyRefused
        If hours or settlements are missing, a premium is beyond `MAX_PREMIUM`, or no period of
        8 hours ends in a settlement.
    """
    _check(hours)
    ends = np.array([i for i, hour in enumerate(hours) if _settles(hour) and i >= HOURS])
    if not ends.size:
        raise StudyRefused("no period of 8 hours ends in a settlement")
    closes = ends[:, None] + np.arange(-HOURS, 1)
    rates = [hours[i].funding_rate for i in ends]
    return Periods(
        ends_at=np.array([hours[i].closes_at for i in ends], dtype=np.int64),
        paid=np.array(rates, dtype=np.float64),
        charged=charged(hours, ends),
        premiums=np.array([hour.basis for hour in hours])[closes],
        over_mark=np.array([_over_mark(hour) for hour in hours])[closes],
        halted=np.any(np.array([hour.spot_halted for hour in hours])[closes], axis=1),
    )


def charged(hours: Sequence[MarketHour], ends: Iterable[int]) -> Floats:
    """Return the venue's rate over the 8 hours before each of the hours numbered `ends`."""
    driven = DrivenVenue(hours[0])
    grown: list[int] = []
    for hour in hours:
        driven.close(hour)
        driven.follow(hour.basis, hour.closes_at)
        grown.append(driven.long_index_wad)
    prices = [round(hour.spot * WAD) for hour in hours]
    return np.array(
        [(grown[i] - grown[i - HOURS]) * HOURS / sum(prices[i - HOURS : i]) for i in ends]
    )


def _check(hours: Sequence[MarketHour]) -> None:
    settled_at: int | None = None
    for i, hour in enumerate(hours):
        day = _day(hour.closes_at)
        if i and hour.closes_at - hours[i - 1].closes_at != HOUR_SECS:
            raise StudyRefused(f"hours are missing or out of order before {day}")
        if abs(hour.basis) > MAX_PREMIUM:
            raise StudyRefused(f"a premium of {hour.basis:+.4f} at {day}")
        if not _settles(hour):
            continue
        if hour.closes_at % FUNDING_SECS:
            raise StudyRefused(f"a settlement at {day}, not at 00, 08 or 16")
        if settled_at is not None and hour.closes_at - settled_at != FUNDING_SECS:
            raise StudyRefused(f"a settlement is missing before {day}")
        settled_at = hour.closes_at


def _settles(hour: MarketHour) -> bool:
    return hour.funding_rate is not None


def _over_mark(hour: MarketHour) -> float:
    return float("nan") if hour.mark is None else hour.perp / hour.mark - 1.0


def _day(at: int) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M")


# When it is poked


def poked(hours: Sequence[MarketHour], pokes: Callable[[], Iterable[int]]) -> Floats:
    """
    Return the growth of the long index over each 8 hours, over the price at their start.

    The skew moves only every 8 hours, from the first hour on, so between two pokes nothing but
    the index price differs: growth depends on pokes through S only.

    Parameters
    ----------
    hours : sequence of MarketHour
        Without gaps.
    pokes : callable
        Seconds after the start of a period, ascending, inside (0, 28,800); asked once a period.
    """
    driven = DrivenVenue(hours[0])
    rates: list[float] = []
    for first in range(0, len(hours) - HOURS, HOURS):
        begin = hours[first]
        driven.close(begin)
        driven.follow(begin.basis, begin.closes_at)
        start_wad, price_wad = driven.long_index_wad, driven.price_wad
        for secs in pokes():
            driven.close(hours[first + secs // HOUR_SECS])
            driven.poke(begin.closes_at + secs)
        driven.poke(begin.closes_at + FUNDING_SECS)
        rates.append((driven.long_index_wad - start_wad) / price_wad)
    return np.array(rates)


def hourly() -> Iterable[int]:
    """Return a poke at each hour inside a period."""
    return range(HOUR_SECS, FUNDING_SECS, HOUR_SECS)


def never() -> Iterable[int]:
    """Return no poke: the next is the trade 8 hours later."""
    return ()


def at_random(chance: np.random.Generator, count: int = 3) -> Callable[[], Iterable[int]]:
    """Return a maker of `count` pokes at seconds drawn evenly from a period."""
    return lambda: sorted(int(secs) for secs in chance.integers(1, FUNDING_SECS, count))


# From our rule to theirs


def rate(premium: Floats, cap: float = VENUE_CAP) -> Floats:
    """
    Return f = p + clamp(i - p, -band, band), clamped to ±cap, per 8 hours.

    >>> [round(float(f) * 1e4, 2) for f in rate(np.array([3e-4, 20e-4, -20e-4, 1.0]))]
    [1.0, 15.0, -15.0, 75.0]
    """
    return np.clip(premium + np.clip(INTEREST - premium, -BAND, BAND), -cap, cap)


def shrunk(premium: Floats, half_spread: float | Floats) -> Floats:
    """Return the premium index of a book whose impact prices stand that far from its middle."""
    return np.sign(premium) * np.maximum(0.0, np.abs(premium) - half_spread)


def comparators(periods: Periods) -> dict[str, Floats]:
    """Return simple rules by name; the first previous rate is unknown, nan."""
    premiums = periods.premiums
    return {
        "interest only, 1 bp": np.full(len(periods.paid), INTEREST),
        "what was paid before": np.concatenate([[np.nan], periods.paid[:-1]]),
        "premium of the last close": rate(premiums[:, -1]),
        "mean of 8 closes, clamped last": rate(premiums[:, 1:].mean(axis=1)),
        "perp over mark, clamped last": rate(periods.over_mark[:, 1:] @ WEIGHTS),
    }


def ladder(periods: Periods, cap: float) -> dict[str, Floats]:
    """Return rates by name, each with one step more of the exchange's rule than the one before."""
    between = (periods.premiums[:, 1:] + periods.premiums[:, :-1]) / 2.0
    spreads = half_spreads(periods, cap)
    spread = np.array([spreads[int(year)] for year in periods.years])
    return {
        "our venue": periods.charged,
        "+ hours alike, not by price": rate(periods.premiums[:, :-1]).mean(axis=1),
        "+ premium between closes": rate(between).mean(axis=1),
        "+ averaged before the clamp": rate(between.mean(axis=1)),
        "+ weights growing to the end": rate(between @ WEIGHTS),
        "+ the exchange's cap": rate(between @ WEIGHTS, cap),
        "+ impact spread, fitted": rate(shrunk(between, spread[:, None]) @ WEIGHTS, cap),
    }


def half_spreads(periods: Periods, cap: float) -> dict[int, float]:
    """Return by year the half spread, on a grid of 0.1 bp, that leaves the least RMSE."""
    between = (periods.premiums[:, 1:] + periods.premiums[:, :-1]) / 2.0
    grid = np.arange(0, 81) / 10.0 / BP

    def error(year: int, half_spread: float) -> float:
        chosen = periods.years == year
        ours = rate(shrunk(between[chosen], half_spread) @ WEIGHTS, cap)
        return float(np.mean((ours - periods.paid[chosen]) ** 2))

    return {
        int(year): min((float(each) for each in grid), key=lambda each: error(int(year), each))
        for year in np.unique(periods.years)
    }


def sampling_error(periods: Periods) -> float:
    """
    Return the RMSE that comes from seeing 8 closes and no more, bp.

    Half the difference between the rates from the odd and from the even closes: two independent
    halves of a mean differ by twice its standard error. A trend inside the period adds to it.
    """
    closes = periods.premiums[:, 1:]
    odd, even = (closes[:, i::2] @ WEIGHTS[i::2] / WEIGHTS[i::2].sum() for i in (0, 1))
    return float(np.sqrt(np.mean((rate(odd) - rate(even)) ** 2)) / 2.0 * BP)


def fit(ours: Floats, paid: Floats) -> Fit:
    """Compare two series of rates; periods in which ours is nan do not count."""
    known = ~np.isnan(ours)
    ours, paid = ours[known], paid[known]
    error = (ours - paid) * BP
    moves = len(ours) > 1 and float(np.ptp(ours)) > 0.0 and float(np.ptp(paid)) > 0.0
    return Fit(
        n=len(ours),
        mean=float(ours.mean()) * BP,
        paid=float(paid.mean()) * BP,
        correlation=float(np.corrcoef(ours, paid)[0, 1]) if moves else float("nan"),
        mean_error=float(error.mean()),
        rmse=float(np.sqrt(np.mean(error**2))),
        at_interest=_at_interest(ours),
        paid_at_interest=_at_interest(paid),
        negative=float(np.mean(ours < 0)),
        paid_negative=float(np.mean(paid < 0)),
    )


def _at_interest(rates: Floats) -> float:
    return float(np.mean(np.abs(rates - INTEREST) < FILE_STEP / 2))
