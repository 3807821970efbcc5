# SPDX-License-Identifier: MIT
import datetime
import gzip
from pathlib import Path

import pytest

from keeper.simulation.market import MarketHour
from keeper.simulation.market_file import MarketFileRefused, read_hours, with_daily_gas

HEADER = "timestamp_utc,spot,spot_high,perp,funding_rate"
ROWS = [
    "2024-08-05T00:00:00Z,2688.92,2724.12,2687.6,-0.000017",
    "2024-08-05T01:00:00Z,2526.81,2697.44,2526.04,",
    "2024-08-05T02:00:00Z,2319.25,2540.09,2317.37,",
]
ETH = Path(__file__).parents[4] / "shared/data/eth_binance_1h_2019-11_2025-12.csv.gz"


def _file(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "hours.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def _replaced(row: int, old: str, new: str) -> list[str]:
    return [text.replace(old, new) if i == row else text for i, text in enumerate(ROWS)]


def test_read__good_file__gives_prices_and_funding(tmp_path):
    first, second, _ = read_hours(_file(tmp_path, *ROWS))
    assert (first.closes_at, first.spot, first.perp) == (1_722_816_000, 2688.92, 2687.6)
    assert first.funding_rate == -0.000017
    assert second.funding_rate is None  # blank is "nothing settled", not zero
    assert not first.spot_halted


def test_read__mark__is_a_price_or_nothing(tmp_path):
    rows = ["2024-08-05T00:00:00Z,2688.92,2687.6,2687.9", "2024-08-05T01:00:00Z,2526.81,2526.04,"]
    path = _file(tmp_path, *rows, header="timestamp_utc,spot,perp,mark")
    assert [hour.mark for hour in read_hours(path)] == [2687.9, None]
    assert read_hours(_file(tmp_path, *ROWS))[0].mark is None  # no such column


def test_read__extremes_of_the_mark__are_prices_or_nothing(tmp_path):
    rows = ["2024-08-05T00:00:00Z,10,10,12,9", "2024-08-05T01:00:00Z,10,10,,"]
    path = _file(tmp_path, *rows, header="timestamp_utc,spot,perp,mark_high,mark_low")
    assert [(h.mark_high, h.mark_low) for h in read_hours(path)] == [(12.0, 9.0), (None, None)]


@pytest.mark.parametrize("column", ["mark", "mark_high", "mark_low"])
def test_read__wrong_mark__is_refused(tmp_path, column):
    row = "2024-08-05T00:00:00Z,2688.92,2687.6,0"
    path = _file(tmp_path, row, header=f"timestamp_utc,spot,perp,{column}")
    with pytest.raises(MarketFileRefused, match=f"line 2, column {column}: zero"):
        read_hours(path)


def test_read__gas__is_gwei_or_nothing(tmp_path):
    rows = ["2024-08-05T00:00:00Z,2688.92,2687.6,12.5", "2024-08-05T01:00:00Z,2526.81,2526.04,"]
    path = _file(tmp_path, *rows, header="timestamp_utc,spot,perp,gas_gwei")
    assert [hour.gas_gwei for hour in read_hours(path)] == [12.5, None]
    assert read_hours(_file(tmp_path, *ROWS))[0].gas_gwei is None  # no such column


@pytest.mark.parametrize("gas", ["-1", "100001", "nan"])
def test_read__wrong_gas__is_refused(tmp_path, gas):
    row = f"2024-08-05T00:00:00Z,2688.92,2687.6,{gas}"
    path = _file(tmp_path, row, header="timestamp_utc,spot,perp,gas_gwei")
    with pytest.raises(MarketFileRefused, match="line 2, column gas_gwei: not"):
        read_hours(path)


def test_with_daily_gas__each_hour__price_of_its_day(tmp_path):
    gas = tmp_path / "gas.csv"
    gas.write_text("date_utc,avg_gas_price_gwei,eth_usd\n2024-08-04,5.5,1\n2024-08-05,40,1\n")
    hours = with_daily_gas(read_hours(_file(tmp_path, *ROWS)), gas)
    assert [hour.gas_gwei for hour in hours] == [5.5, 40, 40]  # midnight closes the day before


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("2024-08-05,40", "no gas price of 2024-08-04"),
        ("2024-08-05,40\n2024-08-05,41", "line 3, column date_utc: 2024-08-05 stands there twice"),
        ("05/08/2024,40", "line 2, column date_utc: not a day"),
        ("2024-08-05,-1", "line 2, column avg_gas_price_gwei: not in 0"),
    ],
)
def test_with_daily_gas__wrong_file__is_refused(tmp_path, rows, fault):
    gas = tmp_path / "gas.csv"
    gas.write_text(f"date_utc,avg_gas_price_gwei\n{rows}\n")
    with pytest.raises(MarketFileRefused, match=fault):
        with_daily_gas(read_hours(_file(tmp_path, *ROWS)), gas)


def test_read__gaps_asked_for__hours_may_be_missing_but_not_turn_back(tmp_path):
    gap = [ROWS[0], ROWS[2]]
    hours = read_hours(_file(tmp_path, *gap), gaps=True)
    assert hours[1].closes_at - hours[0].closes_at == 7_200
    with pytest.raises(MarketFileRefused, match="the same hour as the row before"):
        read_hours(_file(tmp_path, *gap, ROWS[2]), gaps=True)
    with pytest.raises(MarketFileRefused, match="earlier than the row before"):
        read_hours(_file(tmp_path, *gap, ROWS[1]), gaps=True)


def test_read__gzip__same_as_plain(tmp_path):
    plain = _file(tmp_path, *ROWS)
    packed = tmp_path / "hours.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_hours(packed) == read_hours(plain)


def test_read__period__both_days_included(tmp_path):
    path = _file(tmp_path, *ROWS)
    day = datetime.date(2024, 8, 5)
    assert len(read_hours(path, day, day)) == 3
    with pytest.raises(MarketFileRefused, match="no hour from 2024-08-06"):
        read_hours(path, datetime.date(2024, 8, 6))


def test_read__blank_spot__takes_the_perp_at_the_last_basis_and_says_so(tmp_path):
    _, second, third = read_hours(_file(tmp_path, *_replaced(2, "2319.25", "")))
    assert third.spot_halted
    assert third.basis == pytest.approx(second.basis, abs=1e-12)
    assert third.perp == 2317.37


@pytest.mark.parametrize(
    ("rows", "line", "column", "fact"),
    [
        (_replaced(0, "2688.92", ""), 2, "spot", "no spot price stands before it"),
        (_replaced(1, "2526.81", "-2526.81"), 3, "spot", "negative"),
        (_replaced(1, "2526.04", "0"), 3, "perp", "zero"),
        (_replaced(1, "2526.81", "1e300"), 3, "spot", "not in 0.0001 to"),
        (_replaced(1, "2526.04", "1e-300"), 3, "perp", "not in 0.0001 to"),
        (_replaced(1, "2526.04", "nan"), 3, "perp", "not finite"),
        (_replaced(1, "2526.04", "inf"), 3, "perp", "not finite"),
        (_replaced(1, "2526.04", ""), 3, "perp", "blank"),
        (_replaced(1, "2526.04", "2,526.04"), 3, "funding_rate", "6 cells"),
        (_replaced(1, ",2526.04,", ""), 3, "perp", "3 cells"),
        (_replaced(1, "2526.04", "2_526.04"), 3, "perp", "not a number"),
        (_replaced(1, "2526.04", "x"), 3, "perp", "not a number"),
        (_replaced(0, "-0.000017", "-0.5"), 2, "funding_rate", "beyond"),
        (_replaced(1, "T01:00:00Z", "T00:00:00Z"), 3, "timestamp_utc", "the same hour"),
        (_replaced(2, "T02:00:00Z", "T03:00:00Z"), 4, "timestamp_utc", "gap: 1 hours"),
        (_replaced(1, "T01:00:00Z", "T01:30:00Z"), 3, "timestamp_utc", "not a full hour"),
        (_replaced(1, "T01:00:00Z", "T01:00:00"), 3, "timestamp_utc", "not in UTC"),
        (_replaced(1, "T01:00:00Z", "T01:00:00+02:00"), 3, "timestamp_utc", "not in UTC"),
        (_replaced(1, "2526.04", "252604"), 3, "perp", "two units"),
        (_replaced(1, "2526.81", "25.2681"), 3, "perp", "two units"),
        (_replaced(1, "2024-08-05T01:00:00Z", "soon"), 3, "timestamp_utc", "not a time"),
        ([ROWS[1], ROWS[0], ROWS[2]], 3, "timestamp_utc", "earlier than the row before"),
    ],
)
def test_read__wrong_row__refused_with_line_and_column(tmp_path, rows, line, column, fact):
    with pytest.raises(MarketFileRefused, match=fact) as refused:
        read_hours(_file(tmp_path, *rows))
    assert (refused.value.line, refused.value.column) == (line, column)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith(f"hours.csv, line {line}")


def settled(folder, rates):
    """Write settlements at these rates, eight hours apart, with the hours between."""
    begin = datetime.datetime(2024, 8, 5, tzinfo=datetime.UTC)
    lines = []
    for i in range(8 * len(rates)):
        at = (begin + datetime.timedelta(hours=i)).strftime("%Y-%m-%dT%H:%M:%SZ")
        lines.append(f"{at},2000,2000,2001,{rates[i // 8] if i % 8 == 0 else ''}")
    return _file(folder, *lines)


@pytest.mark.parametrize("rates", [[0.01] * 40, [0.01, -0.012, 0.02, 0.004] * 10])
def test_read__rates_in_per_cent__refused_when_there_are_enough_to_tell(tmp_path, rates):
    """The thirtieth settlement closes on line 2 + 8 * 29."""
    with pytest.raises(MarketFileRefused, match="in per cent") as refused:
        read_hours(settled(tmp_path, rates))
    assert (refused.value.line, refused.value.column) == (234, "funding_rate")


def test_read__rates_of_a_mania__are_taken(tmp_path):
    """ETH paid up to 0.375 % at a settlement; half of a month was never over 0.1 %."""
    assert len(read_hours(settled(tmp_path, [0.001, 0.00375, 0.0018, 0.0019] * 10))) == 320


def test_read__mark_of_another_unit__refused(tmp_path):
    row = "2024-08-05T00:00:00Z,2688.92,2687.6,26.9"
    path = _file(tmp_path, row, header="timestamp_utc,spot,perp,mark")
    with pytest.raises(MarketFileRefused, match=r"line 2, column mark: .*two units"):
        read_hours(path)


@pytest.mark.parametrize(
    "field",
    [
        {"spot": float("nan")}, {"perp": float("inf")}, {"spot": 0.0}, {"perp": -1.0},
        {"mark": float("nan")}, {"mark_low": 0.0}, {"gas_gwei": float("nan")},
        {"gas_gwei": -1.0}, {"funding_rate": float("nan")},
    ],
    ids=str,
)  # fmt: skip
def test_hour__not_a_number__cannot_be_made(field):
    """Files are not the only source: neither engine can be given what no decision may see."""
    with pytest.raises(ValueError, match="finite"):
        MarketHour(**{"closes_at": 0, "spot": 1.0, "perp": 1.0} | field)


@pytest.mark.parametrize(
    ("header", "fact"),
    [
        ("timestamp_utc,spot_high,spot_low,perp,funding_rate", "column spot: missing"),
        ("timestamp_utc,spot,spot,perp,funding_rate", "column spot: stands there twice"),
    ],
)
def test_read__wrong_header__refused(tmp_path, header, fact):
    with pytest.raises(MarketFileRefused, match=fact):
        read_hours(_file(tmp_path, *ROWS, header=header))


@pytest.mark.parametrize(
    ("raw", "fact"),
    [
        (b"", "empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        # mtime: the workers of a run must name the test alike
        (gzip.compress(HEADER.encode(), mtime=0)[:-9], "damaged gzip"),
        (b'timestamp_utc,spot,perp\n"2024', "not CSV"),
    ],
)
def test_read__damaged_file__refused_in_one_line(tmp_path, raw, fact):
    path = tmp_path / "hours.csv"
    path.write_bytes(raw)
    with pytest.raises(MarketFileRefused, match=fact) as refused:
        read_hours(path)
    assert "\n" not in str(refused.value)


def test_read__no_file__refused(tmp_path):
    with pytest.raises(MarketFileRefused, match="cannot be read: No such file"):
        read_hours(tmp_path / "none.csv")


@pytest.mark.skipif(not ETH.exists(), reason="the shared data files are not beside this checkout")
def test_read__eth_file__whole_and_by_period():
    hours = read_hours(ETH)
    assert len(hours) == 53_441
    assert sum(hour.spot_halted for hour in hours) == 32
    crash = read_hours(ETH, datetime.date(2024, 8, 1), datetime.date(2024, 8, 10))
    assert len(crash) == 240
    assert min(hour.spot for hour in crash) == 2228.21
