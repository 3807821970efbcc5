# SPDX-License-Identifier: MIT
"""The hourly files of ../shared/data, as quant.md samples them."""

from functools import lru_cache
from pathlib import Path

import pytest

from keeper.simulation.market_file import read_hours
from keeper.simulation.risk.series import Series, series

FOLDER = Path(__file__).resolve().parents[2] / "shared/data"
COINS = ("ETH", "BTC", "ADA")
FIRST_AT = 1_580_515_200  # 2020-02-01 00:00 UTC
LAST_AT = 1_767_225_600  # 2026-01-01 00:00, the close of the last hour of 2025


@lru_cache
def sample(coin: str) -> Series:
    """Return the hours from the close of 2020-02-01 00:00 to that of 2026-01-01 00:00."""
    found = sorted(FOLDER.glob(f"{coin.lower()}_binance_1h_*.csv.gz"))
    if not found:
        pytest.skip(f"no hourly file of {coin} in ../shared/data")
    return series(read_hours(found[0])).between(FIRST_AT, LAST_AT)
