# SPDX-License-Identifier: MIT
"""
Market hours from a CSV file, plain or gzip.

Needed columns are ``timestamp_utc`` (close, ISO 8601 with Z), ``spot`` and ``perp``; of the others
only ``funding_rate``, ``mark``, ``mark_high``, ``mark_low`` and ``gas_gwei`` are read, and may be
blank. A wrong row refuses the whole file, also outside the period asked for: a simulation on a
repaired file would look like evidence and be none. Missing hours are taken by those who ask for
`gaps`.

One oddity is accepted because real files have it: a blank ``spot`` where the exchange was halted
while the perp traded on. The coin had a price then, so the hour gets the perp's price at the last
quoted basis, ``perp / (1 + basis)``, and says so in `MarketHour.spot_halted`. A blank before any
quote is refused.
"""

import csv
import datetime
import gzip
import io
import math
import statistics
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from keeper.simulation.market import HOUR_SECS, MarketHour

NEEDED = ("timestamp_utc", "spot", "perp")
GAS_NEEDED = ("date_utc", "avg_gas_price_gwei")
DAY_SECS = 24 * HOUR_SECS
MIN_PRICE, MAX_PRICE = 1e-4, 1e9  # a feed of 8 decimals still tells a basis point of the least
MAX_GAS_GWEI = 1e5  # the worst block on file is 1,352
MAX_FUNDING_RATE = 0.10  # of notional at one settlement; the worst on file is 0.00375
MAX_USUAL_RATE = 0.002  # median size of a rate; 0.0001 on file, and 0.01 where it is in per cent
USUAL = 30  # settlements, ten days, that a median takes
MAX_BASIS = 0.5  # the worst close on file is off by 8 %: beyond, prices are of two units


class MarketFileRefused(Exception):
    """A market file cannot be used; the text says where and why, in one line."""

    def __init__(
        self, path: Path, fact: str, line: int | None = None, column: str | None = None
    ) -> None:
        place = "" if line is None else f", line {line}"
        place += "" if column is None else f", column {column}"
        super().__init__(f"{path.name}{place}: {fact}")
        self.line = line
        self.column = column


def read_hours(
    path: Path,
    first_day: datetime.date | None = None,
    last_day: datetime.date | None = None,
    *,
    gaps: bool = False,
) -> list[MarketHour]:
    """
    Return the hours that close in ``[first_day 00:00, last_day + 1 day 00:00)`` UTC.

    Parameters
    ----------
    gaps : bool
        Take a file in which hours are missing; whoever asks for it lets time pass there.

    Raises
    ------
    MarketFileRefused
        If the file cannot be read, a column is missing, a row is not as described, hours are
        missing, doubled or out of order, or no hour falls into the period.
    """
    first_at = -math.inf if first_day is None else _midnight(first_day)
    end_at = math.inf if last_day is None else _midnight(last_day) + DAY_SECS
    hours = [hour for hour in _all_hours(path, gaps=gaps) if first_at <= hour.closes_at < end_at]
    if not hours:
        raise MarketFileRefused(path, f"no hour from {first_day} to {last_day}")
    return hours


def with_daily_gas(hours: list[MarketHour], path: Path) -> list[MarketHour]:
    """
    Return the hours with the gas price of their day, from a CSV file.

    Its columns are ``date_utc`` and ``avg_gas_price_gwei``. A bar that closes at midnight
    belongs to the day before.

    Raises
    ------
    MarketFileRefused
        If the file cannot be read, a row is wrong, or a day is missing.
    """
    days: dict[datetime.date, float] = {}
    for row in _rows(path, GAS_NEEDED):
        day, price = row.day_of_gas()
        if day in days:
            raise row.refused("date_utc", f"{day} stands there twice")
        days[day] = price
    priced = []
    for hour in hours:
        moment = datetime.datetime.fromtimestamp(hour.closes_at - 1, datetime.UTC)
        if moment.date() not in days:
            raise MarketFileRefused(path, f"no gas price of {moment.date()}")
        priced.append(replace(hour, gas_gwei=days[moment.date()]))
    return priced


def _midnight(day: datetime.date) -> int:
    return int(datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp())


def _all_hours(path: Path, *, gaps: bool) -> Iterator[MarketHour]:
    """Yield every hour of the file, each checked against the one before."""
    before: MarketHour | None = None
    basis: float | None = None
    rates: list[float] = []
    for row in _rows(path):
        hour = row.hour(basis)
        _check_units(row, hour, rates)
        if before is not None:
            _check_order(row, before.closes_at, hour.closes_at, gaps=gaps)
        if not hour.spot_halted:
            basis = hour.basis
        before = hour
        yield hour


def _check_units(row: "_Row", hour: MarketHour, rates: list[float]) -> None:
    """Refuse prices of two units, and rates in per cent once there are enough to tell."""
    if abs(hour.basis) > MAX_BASIS:
        raise row.refused("perp", f"{hour.perp:g} beside a spot price of {hour.spot:g}: two units?")
    if hour.mark is not None and abs(hour.mark / hour.perp - 1.0) > MAX_BASIS:
        raise row.refused("mark", f"{hour.mark:g} beside a perp price of {hour.perp:g}: two units?")
    if hour.funding_rate is None:
        return
    rates.append(abs(hour.funding_rate))
    if len(rates) == USUAL and statistics.median(rates) > MAX_USUAL_RATE:
        raise row.refused(
            "funding_rate",
            f"half of the first {USUAL} are over {MAX_USUAL_RATE} of notional: in per cent?",
        )


def _check_order(row: "_Row", before_at: int, at: int, *, gaps: bool) -> None:
    step = at - before_at
    if step == HOUR_SECS or (gaps and step > HOUR_SECS):
        return
    if step == 0:
        raise row.refused("timestamp_utc", "the same hour as the row before")
    if step < 0:
        raise row.refused("timestamp_utc", "earlier than the row before")
    if step < HOUR_SECS:
        raise row.refused("timestamp_utc", f"{step} s after the row before, hours are needed")
    raise row.refused("timestamp_utc", f"gap: {step // HOUR_SECS - 1} hours are missing before it")


class _Row:
    """One row of the file and where it stands."""

    def __init__(self, path: Path, line: int, cells: dict[str, str]) -> None:
        self._path = path
        self._line = line
        self._cells = cells

    def refused(self, column: str, fact: str) -> MarketFileRefused:
        return MarketFileRefused(self._path, fact, self._line, column)

    def hour(self, last_basis: float | None) -> MarketHour:
        """Return the row as an hour; `last_basis` stands in for a halted spot market."""
        closes_at = self._closes_at()
        perp = self._price("perp")
        halted = not self._cells["spot"].strip()
        if halted and last_basis is None:
            raise self.refused("spot", "blank, and no spot price stands before it")
        spot = perp / (1.0 + last_basis) if halted and last_basis is not None else 0.0
        return MarketHour(
            closes_at=closes_at,
            spot=spot if halted else self._price("spot"),
            perp=perp,
            funding_rate=self._funding_rate(),
            spot_halted=halted,
            mark=self._optional_price("mark"),
            mark_high=self._optional_price("mark_high"),
            mark_low=self._optional_price("mark_low"),
            gas_gwei=self._gas_gwei(),
        )

    def _closes_at(self) -> int:
        text = self._cells["timestamp_utc"].strip()
        try:
            moment = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise self.refused("timestamp_utc", f"not a time: {text!r}") from None
        if moment.tzinfo is None or moment.utcoffset() != datetime.timedelta(0):
            raise self.refused("timestamp_utc", f"not in UTC (…Z): {text!r}")
        seconds = moment.timestamp()
        if seconds < 0 or seconds % HOUR_SECS:
            raise self.refused("timestamp_utc", f"not a full hour: {text!r}")
        return int(seconds)

    def _number(self, column: str) -> float:
        text = self._cells[column].strip()
        try:
            number = float("" if "_" in text else text)  # Python reads 1_000, others do not
        except ValueError:
            fact = f"not a number: {text!r}" if text else "blank"
            raise self.refused(column, fact) from None
        if not math.isfinite(number):
            raise self.refused(column, f"not finite: {text!r}")
        return number

    def _price(self, column: str) -> float:
        price = self._number(column)
        if price <= 0:
            raise self.refused(column, f"{'zero' if price == 0 else 'negative'}: {price}")
        if not MIN_PRICE <= price <= MAX_PRICE:
            raise self.refused(column, f"not in {MIN_PRICE:g} to {MAX_PRICE:g}: {price:g}")
        return price

    def _optional_price(self, column: str) -> float | None:
        return self._price(column) if self._cells.get(column, "").strip() else None

    def _gas_gwei(self) -> float | None:
        if not self._cells.get("gas_gwei", "").strip():
            return None
        return self._gas("gas_gwei")

    def day_of_gas(self) -> tuple[datetime.date, float]:
        """Return day and price of a row of daily gas."""
        text = self._cells["date_utc"].strip()
        try:
            day = datetime.date.fromisoformat(text)
        except ValueError:
            raise self.refused("date_utc", f"not a day: {text!r}") from None
        return day, self._gas("avg_gas_price_gwei")

    def _gas(self, column: str) -> float:
        price = self._number(column)
        if not 0 <= price <= MAX_GAS_GWEI:
            raise self.refused(column, f"not in 0 to {MAX_GAS_GWEI:g}: {price:g}")
        return price

    def _funding_rate(self) -> float | None:
        if not self._cells.get("funding_rate", "").strip():
            return None
        rate = self._number("funding_rate")
        if abs(rate) > MAX_FUNDING_RATE:
            raise self.refused("funding_rate", f"beyond ±{MAX_FUNDING_RATE} of notional: {rate}")
        return rate


def _rows(path: Path, needed: tuple[str, ...] = NEEDED) -> Iterator[_Row]:
    """Yield the rows after the header; cells by column name."""
    reader = csv.reader(io.StringIO(_text(path)), strict=True)
    try:
        header = _header(path, reader, needed)
        for cells in reader:
            if len(cells) != len(header):
                fact = f"{len(cells)} cells, the header has {len(header)}"
                wrong = header[min(len(cells), len(header) - 1)]  # the first missing, or the last
                raise MarketFileRefused(path, fact, reader.line_num, wrong)
            yield _Row(path, reader.line_num, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise MarketFileRefused(path, f"not CSV: {error}", reader.line_num) from None


def _header(path: Path, reader: Iterator[list[str]], needed: tuple[str, ...]) -> list[str]:
    header = [name.strip() for name in next(reader, [])]
    if not header:
        raise MarketFileRefused(path, "empty")
    for name in needed:
        if header.count(name) != 1:
            fact = "missing" if name not in header else "stands there twice"
            raise MarketFileRefused(path, fact, 1, name)
    return header


def _text(path: Path) -> str:
    """Return the whole file; the largest on hand has 3 MB packed, 10 MB unpacked."""
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MarketFileRefused(path, "not UTF-8 text") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise MarketFileRefused(path, f"damaged gzip: {error}") from None
    except OSError as error:
        raise MarketFileRefused(path, f"cannot be read: {error.strerror or error}") from None
